"""Creates, verifies and restores snapshots: copies of the store and of the cache.

A snapshot is a data directory with a manifest. It is written atomically and verified when it is
restored; a read-only index serves it as it is.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from index_service.native.disk.directories import (
    MANIFEST,
    DirectoryError,
    described,
    read_manifest,
    replace_directory,
    sync,
)
from index_service.native.store.database import Store
from index_service.records import Snapshot
from lookalike.errors import StartupError

DATABASE = "index.sqlite3"
CACHE = "cache"
SNAPSHOTS = "snapshots"


def create(data_dir: Path, store: Store) -> Snapshot:
    """Copies the store as it is now, and the cache, which may be of an earlier write.

    Args:
        data_dir: The data directory; the snapshot is created below `snapshots`, and named by the
            newest write.
        store: The store of record, open.

    Raises:
        OSError: The disk is full, or cannot be written; nothing is left.
    """
    folder = data_dir / SNAPSHOTS
    temporary = folder / "new"
    folder.mkdir(exist_ok=True)
    sync(data_dir)
    with replace_directory(temporary) as (new, files):
        store.copy_to(new / DATABASE)
        with Store(new / DATABASE, read_only=True) as copy:
            seq = copy.seq()
        files.add(new / DATABASE)
        if (data_dir / CACHE / MANIFEST).exists():
            (new / CACHE).mkdir()
            for path in sorted((data_dir / CACHE).iterdir()):
                # The files of a cache never change, so a hard link is a copy.
                _link(path, new / CACHE / path.name)
            sync(new / CACHE)
        files.manifest = {"seq": seq, "cache": _cache_of(new)}
    name = _free_name(folder, f"{seq:012d}")
    temporary.rename(folder / name)
    sync(folder)
    size = sum(path.stat().st_size for path in (folder / name).rglob("*") if path.is_file())
    return Snapshot(name, seq, size)


def verify(snapshot: Path) -> int:
    """Verifies the files of a snapshot, and returns its newest write.

    Raises:
        StartupError: One was damaged or changed; the message names it.
    """
    try:
        manifest = read_manifest(snapshot)
        if manifest["cache"] != _cache_of(snapshot):
            raise DirectoryError(f"{snapshot / CACHE / MANIFEST} is not that of the snapshot")
        if manifest["cache"]:
            read_manifest(snapshot / CACHE)
        return int(manifest["seq"])
    except (DirectoryError, KeyError, ValueError) as error:
        raise StartupError(f"{snapshot} is no good snapshot: {error}") from None


def restore(snapshot: Path, data_dir: Path) -> int:
    """Creates a data directory from a snapshot; returns its newest write.

    Raises:
        StartupError: The snapshot is damaged, or the directory holds an index already.
    """
    if (data_dir / DATABASE).exists():
        raise StartupError(f"{data_dir} holds an index already; restore to an empty directory")
    seq = verify(snapshot)
    new = data_dir.with_name(f"{data_dir.name}.restoring")
    shutil.rmtree(new, ignore_errors=True)
    try:
        shutil.copytree(snapshot, new, ignore=shutil.ignore_patterns("lock"))
        verify(new)
        for path in [p for p in new.rglob("*") if p.is_file()]:
            with path.open("rb") as file:
                os.fsync(file.fileno())
        (new / MANIFEST).unlink()  # a data directory has none, since its files change
        for folder in (new, *(p for p in new.rglob("*") if p.is_dir())):
            sync(folder)
        if data_dir.exists():
            for path in sorted(data_dir.iterdir()):
                if path.name != "lock":
                    raise StartupError(f"{data_dir} is not empty; restore to an empty directory")
            shutil.rmtree(data_dir)
        data_dir.parent.mkdir(parents=True, exist_ok=True)
        new.rename(data_dir)
        sync(data_dir.parent)
    except OSError as error:
        raise StartupError(f"cannot restore to {data_dir}: {error}") from None
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return seq


def _cache_of(folder: Path) -> dict[str, Any]:
    """Returns what identifies a cache; empty if there is none."""
    path = folder / CACHE / MANIFEST
    return described(path) if path.exists() else {}


def _free_name(folder: Path, name: str) -> str:
    number, free = 2, name
    while (folder / free).exists():
        number, free = number + 1, f"{name}-{number}"
    return free


def _link(path: Path, copy: Path) -> None:
    try:
        os.link(path, copy)
    except OSError:  # a file system without hard links
        shutil.copyfile(path, copy)
        with copy.open("rb") as file:
            os.fsync(file.fileno())
