"""The power goes at each operation on files: what is written is complete afterwards, or absent."""

from __future__ import annotations

import asyncio
import logging
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from index_service.native.disk import snapshot
from lookalike.errors import StartupError
from tests.recovery import native, small_index
from tests.recovery.crashes import DONE
from tests.recovery.processes import ROOT
from tests.recovery.small_index import Content


@pytest.fixture(scope="module")
def data_dir(fast_folder: Path) -> Path:
    """An index with a graph, dead rows, and a cache that lacks the newest writes."""
    small_index.write(fast_folder / "data")
    return fast_folder / "data"


@pytest.fixture(scope="module")
def expected(data_dir: Path) -> Content:
    copy = data_dir.with_name("expected")
    shutil.copytree(data_dir, copy)
    return small_index.read(copy)


def _crash(work: str, data_dir: Path, out: Path) -> Iterator[tuple[Path, str | None]]:
    """Yields what each crash left, and what the work returned if it came to its end."""
    command = [sys.executable, "-m", "tests.recovery.crashes", work, str(data_dir), str(out)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=240)
    folders = sorted(path for path in out.iterdir() if path.is_dir())
    assert len(folders) > 10, "hardly any operations were seen"
    for folder in folders:
        done = folder.with_name(f"{folder.name}.{DONE}")
        yield folder, done.read_text() if done.exists() else None


def test_crash_while_the_cache_is_written_leaves_a_good_one_or_none(
    data_dir: Path, expected: Content, fast_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for folder, _ in _crash("cache", data_dir, fast_path):
        with caplog.at_level(logging.WARNING):
            assert small_index.read(folder / "data") == expected, folder.name
        assert not caplog.records, f"{folder.name}: {caplog.text}"
        left = {path.name for path in (folder / "data").glob("cache*")}
        assert left == {"cache"}, f"{folder.name} was not cleaned up: {left}"


def test_crash_while_a_snapshot_is_taken_leaves_a_whole_one_or_none(
    data_dir: Path, expected: Content, fast_path: Path
) -> None:
    for folder, acknowledged in _crash("snapshot", data_dir, fast_path):
        snapshots = folder / "data" / "snapshots"
        found = {path for path in snapshots.glob("*") if path.name[0].isdigit()}
        assert acknowledged is None or snapshots / acknowledged in found, folder.name
        for path in found:
            snapshot.verify(path)
            assert small_index.read(path, read_only=True) == expected, folder.name
        with native.opened(folder / "data") as backend:
            taken = asyncio.run(backend.create_snapshot())
        found.add(snapshots / taken.name)
        assert set(snapshots.iterdir()) == found, f"{folder.name} was not cleaned up"
        assert small_index.read(folder / "data") == expected, folder.name


def test_crash_while_a_snapshot_is_restored_leaves_all_of_it_or_nothing(
    data_dir: Path, expected: Content, fast_path: Path
) -> None:
    copy = fast_path / "data"
    shutil.copytree(data_dir, copy)
    with native.opened(copy) as backend:
        asyncio.run(backend.create_snapshot())
    for folder, acknowledged in _crash("restore", copy, fast_path / "crashes"):
        restored = folder / "restored"
        (source,) = (folder / "data" / "snapshots").iterdir()
        if not restored.exists():
            assert acknowledged is None, folder.name
            snapshot.restore(source, restored)
        assert small_index.read(restored) == expected, folder.name
        left = {path.name for path in folder.iterdir()} - {"data", "restored"}
        assert not left or acknowledged is None, f"{folder.name} left {left}"
        with pytest.raises(StartupError, match="already"):
            snapshot.restore(source, restored)
