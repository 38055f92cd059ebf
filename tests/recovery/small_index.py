"""A small index on disk for tests that damage it, and all that can be read of one."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np

from index_service.backend import Backend
from index_service.records import (
    NO_FILTER,
    Batch,
    Collection,
    Item,
    Metric,
    Query,
    Search,
    Vector,
    View,
)
from tests.recovery import native

SPACE = "space-1"
DATABASE = "index.sqlite3"


class Content(NamedTuple):
    """What an index holds: items and vectors in order, counts, aliases, and what a search finds."""

    items: dict[str, list[tuple[Item, list[float]]]]
    counts: dict[str, tuple[int, int]]
    aliases: dict[str, str]
    found: dict[str, set[str]]


def write(data_dir: Path) -> None:
    """Makes an index with a graph, dead rows, and a cache that lacks the newest writes."""
    made = data_dir.with_name(f"{data_dir.name}.made")
    with native.opened(made) as backend:
        asyncio.run(_fill(backend))
        native.upkeep(backend)
    with native.opened(made) as backend:
        asyncio.run(_go_on(backend))
        shutil.copytree(made, data_dir)  # as a kill would leave it
    shutil.rmtree(made)
    (data_dir / "lock").unlink()
    with closing(sqlite3.connect(data_dir / DATABASE)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # so that all of it is in one file


async def _fill(backend: Backend) -> None:
    for name, limit in (("exact", 1000), ("graph", 10)):
        await backend.create_collection(
            Collection(
                name,
                SPACE,
                4,
                Metric.SQUARED_L2,
                ("colour",),
                full_scan_threshold=limit,
                text_attributes=("title",),
            )
        )
        await upsert(backend, name, range(60))
        await backend.delete_items(name, [], [f"{name}-product-3"])
    await backend.set_alias("shop", "graph")


async def _go_on(backend: Backend) -> None:
    await upsert(backend, "graph", range(60, 70))
    await backend.delete_items("graph", ["graph-1", "graph-61"], [])


async def upsert(backend: Backend, name: str, numbers: range) -> None:
    """Writes items that can be told apart in the file."""
    dice = random.Random(numbers.start)
    items = [
        Item(
            f"{name}-{i}",
            f"{name}-product-{i % 7}",
            "lamps",
            float(i),
            {"title": f"title of {name} {i:03}", "colour": "red"},
        )
        for i in numbers
    ]
    vectors = [Vector([dice.random() for _ in range(4)], SPACE) for _ in numbers]
    await backend.upsert_items(name, Batch(items, vectors, [[] for _ in numbers]))


def read(data_dir: Path, *, read_only: bool = False) -> Content:
    """Opens the index and reads it in several ways; in agreement, or AssertionError."""
    with native.opened(data_dir, read_only=read_only) as backend:
        return asyncio.run(_read(backend))


async def _read(backend: Backend) -> Content:
    content = Content({}, {}, dict(await backend.aliases()), {})
    for collection, size in await backend.collections():
        name = collection.name
        page = await backend.list_items(name, NO_FILTER, size=1000, after=0, view=View.VECTORS)
        listed = [(full.item, np.asarray(full.vector).tolist()) for full in page.items]
        count = await backend.count_items(name, NO_FILTER)
        query = Query(Vector([0.0] * collection.dimension, collection.embedding_space))
        answer = await backend.find_neighbors(name, [query], Search(1000, exact=True))
        found = {item.id for item in answer.results[0].neighbors.items}
        assert len(listed) == size == count.items
        assert found == {item.id for item, _ in listed}
        answer = await backend.find_neighbors(name, [Query(None, (), "titles")], Search(1000))
        assert {item.id for item in answer.results[0].neighbors.items} == found
        content.items[name] = listed
        content.counts[name] = (count.items, count.products)
        content.found[name] = found
    return content
