"""Writes directories atomically, and verifies their files.

A directory is written under a temporary name; each file is synced, then the directory; it is
renamed, and the parent is synced. Its manifest lists every file with its length and SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

MANIFEST = "manifest.json"

_CHUNK = 1 << 20


class DirectoryError(Exception):
    """A directory was damaged or changed; the message names the file."""


class Files:
    """The files of a directory that is being written; `manifest` is written with their list."""

    def __init__(self) -> None:
        self.manifest: dict[str, Any] = {}
        self.entries: dict[str, dict[str, Any]] = {}

    def add(self, path: Path) -> None:
        """Syncs a file that was written, and adds it to the list."""
        with path.open("rb") as file:
            os.fsync(file.fileno())
        self.entries[path.name] = described(path)


def write_file(path: Path, array: npt.NDArray[np.generic], files: Files) -> None:
    """Writes an array's bytes to a file, and adds it."""
    np.ascontiguousarray(array).tofile(path)
    files.add(path)


@contextmanager
def replace_directory(directory: Path) -> Iterator[tuple[Path, Files]]:
    """Yields an empty folder that replaces the directory at the end of the block.

    Until then, and if the block or the disk fails, the old directory stays.
    """
    folder = directory.with_name(f"{directory.name}.new")
    old = directory.with_name(f"{directory.name}.old")
    for leftover in (folder, old):
        shutil.rmtree(leftover, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        files = Files()
        yield folder, files
        manifest = {**files.manifest, "files": files.entries}
        text = json.dumps({**manifest, "checksum": _checksum(manifest)}, indent=1, sort_keys=True)
        with (folder / MANIFEST).open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        sync(folder)
        if directory.exists():  # a directory cannot be renamed over another
            directory.rename(old)
        folder.rename(directory)
        sync(directory.parent)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        if old.exists() and not directory.exists():
            old.rename(directory)
        raise


def read_manifest(directory: Path) -> dict[str, Any]:
    """Verifies every file of a directory, and returns its manifest.

    Raises:
        DirectoryError: A file is missing, too short or long, or changed.
    """
    path = directory / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        entries = dict(manifest["files"])
        if manifest.pop("checksum", None) != _checksum(manifest):
            raise DirectoryError(f"{path} was changed: it is not as it was written")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DirectoryError(f"{path} cannot be read: {error}") from error
    for name, expected in entries.items():
        if Path(name).name != name or not isinstance(expected, dict):
            raise DirectoryError(f"{path} names a file elsewhere: {name}")
        try:
            found = described(directory / name)
        except OSError as error:
            raise DirectoryError(f"{directory / name} cannot be read: {error.strerror}") from error
        if found != expected:
            what = "was changed" if found["bytes"] == expected.get("bytes") else "is truncated"
            raise DirectoryError(f"{directory / name} {what}: it is not what the manifest says")
    return manifest


def sync(directory: Path) -> None:
    """Syncs a directory, so that the names in it survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def described(path: Path) -> dict[str, Any]:
    """Returns a file's length and SHA-256."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return {"bytes": path.stat().st_size, "sha256": digest.hexdigest()}


def _checksum(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
