"""Keeps what can be read of a damaged store; run from the command line alone."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from index_service.native.disk.snapshot import CACHE
from index_service.native.store import schema, words
from index_service.native.store.database import Store
from index_service.native.store.rows import checksum, collection_checksum, item_checksum
from lookalike.errors import StartupError

# The tables with the key by which they are read, parents first.
_TABLES = {"collections": "key", "aliases": "rowid", "products": "number", "items": "key"}
_COLUMNS = {
    "collections": "key, name, embedding_space, dimension, metric, indexed_attributes,"
    " features_dimension, exact_up_to, target_recall, text_attributes, checksum",
    "aliases": "name, collection, checksum",
    "products": "number, collection, product_id, checksum",
    "items": "key, collection, id, product, category, price, attributes, vector, features,"
    " checksum",
}
_STEP = 256


class Salvaged(NamedTuple):
    """The number of rows kept of each table, of items dropped, and the damaged file."""

    kept: dict[str, int]
    dropped: int
    damaged: Path


def salvage(path: Path) -> Salvaged:
    """Replaces a damaged store with one of all that can be read, and keeps the damaged one aside.

    A row is dropped if its checksum does not fit its content, an item also if its product or its
    collection is lost.

    Raises:
        StartupError: Nothing can be read.
    """
    new = path.with_name(f"{path.name}.salvaged")
    for leftover in path.parent.glob(f"{new.name}*"):
        leftover.unlink()
    kept: dict[str, int] = {}
    dropped = 0
    try:
        damaged = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        version = schema.known_version(damaged, path)
        if version:
            schema.read_as_current(damaged, path)
    except sqlite3.DatabaseError as error:
        raise StartupError(f"nothing of the store {path} can be read: {error}") from None
    if not version:
        raise StartupError(f"nothing of the store {path} can be read: it is empty")
    with Store(new):
        pass
    with sqlite3.connect(new) as db:
        for table, order in _TABLES.items():
            kept[table] = 0
            for row in _readable(damaged, table, order):
                if (good := _verified(table, row)) is None:
                    dropped += table == "items"
                    continue
                marks = ", ".join("?" * len(good))
                try:
                    db.execute(f"INSERT INTO {table} ({_COLUMNS[table]}) VALUES ({marks})", good)
                    kept[table] += 1
                except sqlite3.IntegrityError:
                    dropped += table == "items"
        dropped += db.execute(
            "DELETE FROM items WHERE product NOT IN (SELECT number FROM products)"
            " OR collection NOT IN (SELECT key FROM collections)"
        ).rowcount
        db.execute("DELETE FROM aliases WHERE collection NOT IN (SELECT key FROM collections)")
        (kept["items"],) = db.execute("SELECT count(*) FROM items").fetchone()
        texts = db.execute("SELECT key, text_attributes FROM collections").fetchall()
        for key, names in texts:
            if json.loads(names):
                words.build(db, key, json.loads(names))
        seq, next_key = next(_readable(damaged, "writes", "rowid"), (0, 1))
        db.execute(
            "UPDATE writes SET seq = ?,"
            " next_key = max(?, (SELECT coalesce(max(key), 0) + 1 FROM items))",
            (seq, next_key),
        )
    db.close()
    damaged.close()
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%dT%H%M%S')}")
    for suffix in ("", "-wal", "-shm"):
        file = path.with_name(path.name + suffix)
        if file.exists():
            file.rename(aside.with_name(aside.name + suffix))
    # The cache contains the items that were dropped; it is built again from the store.
    shutil.rmtree(path.parent / CACHE, ignore_errors=True)
    new.rename(path)
    return Salvaged(kept, dropped, aside)


def _verified(table: str, row: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """Returns a row with its checksum; None if that does not fit its content."""
    *values, expected = row
    if table == "items":
        return row if item_checksum(*values[2:]) == expected else None
    found = (collection_checksum if table == "collections" else checksum)(*values)
    if expected is None:  # a layout without checksums of these rows
        return (*values, found)
    return row if found == expected else None


def _readable(db: sqlite3.Connection, table: str, order: str) -> Iterator[tuple[Any, ...]]:
    """Yields the rows that can be read, by ranges, so that one bad page does not cost the rest."""
    columns = _COLUMNS.get(table, "*")
    try:
        (last,) = db.execute(f"SELECT max({order}) FROM {table}").fetchone()
    except sqlite3.DatabaseError:
        last = None
    end = (1 << 40) if last is None else last
    start, misses = 0, 0
    while start <= end:
        stop = start + _STEP
        try:
            rows = db.execute(
                f"SELECT {columns} FROM {table} WHERE {order} >= ? AND {order} < ?", (start, stop)
            ).fetchall()
        except sqlite3.DatabaseError:
            sql = f"SELECT {columns} FROM {table} WHERE {order} = ?"
            rows = list(_one_by_one(db, sql, range(start, stop)))
        misses = 0 if rows else misses + 1
        yield from rows
        if last is None and misses > 1000:
            return
        start = stop


def _one_by_one(db: sqlite3.Connection, sql: str, keys: range) -> Iterator[tuple[Any, ...]]:
    for key in keys:
        try:
            yield from db.execute(sql, (key,)).fetchall()
        except sqlite3.DatabaseError:
            continue
