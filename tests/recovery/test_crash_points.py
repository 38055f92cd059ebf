"""The power goes at each operation on files: what is written is complete afterwards, or absent."""

from __future__ import annotations

import asyncio
import logging
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from index_service import snapshot
from index_service.backends import Backend
from index_service.records import EVERYTHING, Batch, Collection, Item, Metric, Vector, View
from lookalike.errors import StartupError
from tests.recovery import native
from tests.recovery.crashes import DONE
from tests.recovery.processes import ROOT

SPACE = "space-1"

Content = dict[str, list[tuple[str, list[float]]]]
"""Ids and vectors of each collection's items, in order."""


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index with a graph, dead rows, and a cache that lacks the newest writes."""
    folder = tmp_path_factory.mktemp("crash-points")
    with native.opened(folder / "closed") as backend:
        asyncio.run(_fill(backend))
        native.upkeep(backend)
    with native.opened(folder / "closed") as backend:
        asyncio.run(_upsert(backend, "graph", range(60, 70)))
        asyncio.run(backend.delete_items("graph", ["graph-1", "graph-61"], []))
        shutil.copytree(folder / "closed", folder / "data")
    return folder / "data"


@pytest.fixture(scope="module")
def expected(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Content:
    copy = tmp_path_factory.mktemp("expected") / "data"
    shutil.copytree(data_dir, copy)
    return _content(copy)


async def _fill(backend: Backend) -> None:
    for name, limit in (("exact", 1000), ("graph", 10)):
        collection = Collection(name, SPACE, 4, Metric.SQUARED_L2, ("colour",), exact_up_to=limit)
        await backend.create_collection(collection)
        await _upsert(backend, name, range(60))
        await backend.delete_items(name, [], [f"{name}-product-3"])
    await backend.set_alias("shop", "graph")


async def _upsert(backend: Backend, name: str, numbers: range) -> None:
    dice = random.Random(numbers.start)
    items = [Item(f"{name}-{i}", f"{name}-product-{i % 7}", "lamps", float(i)) for i in numbers]
    vectors = [Vector([dice.random() for _ in range(4)], SPACE) for _ in numbers]
    await backend.upsert_items(name, Batch(items, vectors, [[] for _ in numbers]))


def _content(data_dir: Path, *, read_only: bool = False) -> Content:
    async def read(backend: Backend) -> Content:
        content: Content = {}
        for collection, _ in await backend.collections():
            page = await backend.list_items(
                collection.name, EVERYTHING, size=1000, after=0, view=View.VECTORS
            )
            content[collection.name] = [
                (full.item.id, np.asarray(full.vector).tolist()) for full in page.items
            ]
        assert await backend.aliases() == {"shop": "graph"}
        return content

    with native.opened(data_dir, read_only=read_only) as backend:
        return asyncio.run(read(backend))


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
    data_dir: Path, expected: Content, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for folder, _ in _crash("cache", data_dir, tmp_path):
        with caplog.at_level(logging.WARNING):
            assert _content(folder / "data") == expected, folder.name
        assert not caplog.records, f"{folder.name}: {caplog.text}"
        left = {path.name for path in (folder / "data").glob("cache*")}
        assert left == {"cache"}, f"{folder.name} was not cleaned up: {left}"


def test_crash_while_a_snapshot_is_taken_leaves_a_whole_one_or_none(
    data_dir: Path, expected: Content, tmp_path: Path
) -> None:
    for folder, acknowledged in _crash("snapshot", data_dir, tmp_path):
        snapshots = folder / "data" / "snapshots"
        found = {path for path in snapshots.glob("*") if path.name[0].isdigit()}
        assert acknowledged is None or snapshots / acknowledged in found, folder.name
        for path in found:
            snapshot.verify(path)
            assert _content(path, read_only=True) == expected, folder.name
        with native.opened(folder / "data") as backend:
            taken = asyncio.run(backend.create_snapshot())
        found.add(snapshots / taken.name)
        assert set(snapshots.iterdir()) == found, f"{folder.name} was not cleaned up"
        assert _content(folder / "data") == expected, folder.name


def test_crash_while_a_snapshot_is_restored_leaves_all_of_it_or_nothing(
    data_dir: Path, expected: Content, tmp_path: Path
) -> None:
    copy = tmp_path / "data"
    shutil.copytree(data_dir, copy)
    with native.opened(copy) as backend:
        asyncio.run(backend.create_snapshot())
    for folder, acknowledged in _crash("restore", copy, tmp_path / "crashes"):
        restored = folder / "restored"
        (source,) = (folder / "data" / "snapshots").iterdir()
        if not restored.exists():
            assert acknowledged is None, folder.name
            snapshot.restore(source, restored)
        assert _content(restored) == expected, folder.name
        left = {path.name for path in folder.iterdir()} - {"data", "restored"}
        assert not left or acknowledged is None, f"{folder.name} left {left}"
        with pytest.raises(StartupError, match="already"):
            snapshot.restore(source, restored)
