"""The store of record: what is committed here was promised, everything else derives from it.

One SQLite database, one writer, one transaction for each batch: all of it or none. Every write
gets the next sequence number, and every row says which write left it. Knows neither FAISS nor
what a vector means.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np

from index_service import schema
from index_service.records import Collection, Item, Matrix, Metric
from lookalike.errors import StartupError, StorageFullError, StoreCorruptedError

_FLOAT = np.dtype("<f4")  # little-endian on every machine, so that a file can move
_ITEM = "id, product_id, category, price, attributes"
# SQLite takes 32,766 parameters in a statement. A JSON array would be one, but SQLite cuts strings
# that come out of JSON at a NUL.
_CHUNK = 1000


class StoredItem(NamedTuple):
    """An item, and the write that left it so."""

    item: Item
    seq: int


class Contents(NamedTuple):
    """All vectors of a collection, shape (n, dimension), and what they belong to."""

    ids: list[str]
    product_ids: list[str]
    vectors: Matrix


class Store:
    """The database; use as a context manager.

    Reads may come from any thread, each of which gets a connection of its own: SQLite then shows
    it whole transactions only, and never makes it wait for the writer. Writes come one at a time;
    the caller sees to that.

    Args:
        path: The database file; made if missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connections: list[sqlite3.Connection] = []
        self._writer: sqlite3.Connection
        self._reader = threading.local()

    def open(self) -> None:
        """Opens and checks the file.

        Raises:
            StoreCorruptedError: It is damaged, or no database at all.
            StartupError: A newer release has written it, or it cannot be written to.
        """
        with self._translated():
            try:
                self._writer = self._connect()
                schema.prepare(self._writer, self._path)
            except sqlite3.OperationalError as error:  # no such file, read-only, no space
                raise StartupError(f"cannot write to the store {self._path}: {error}") from None
            (verdict,) = self._writer.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise self._corrupted(verdict)

    def close(self) -> None:
        """Closes all connections; the last one folds the log into the database file."""
        for connection in self._connections:
            connection.close()

    def seq(self) -> int:
        """Returns the number of the newest write, 0 if there was none."""
        with self._reading() as db:
            return _number(db, "SELECT seq FROM writes")

    def collections(self) -> dict[int, Collection]:
        """Returns all collections by key."""
        with self._reading() as db:
            rows = db.execute(
                "SELECT key, name, embedding_space, dimension, metric FROM collections"
            )
            return {
                key: Collection(name, space, dimension, Metric(metric))
                for key, name, space, dimension, metric in rows
            }

    def contents(self, key: int, dimension: int) -> Contents:
        """Returns what a collection's segment is built from, by id."""
        sql = "SELECT id, product_id, vector FROM items WHERE collection = ? ORDER BY id"
        with self._reading() as db:
            rows = db.execute(sql, (key,)).fetchall()
        ids, products, blobs = ([row[column] for row in rows] for column in range(3))
        values = np.frombuffer(b"".join(blobs), _FLOAT)
        if len(values) != len(rows) * dimension:
            raise self._corrupted(f"collection {key} has vectors of a wrong length")
        return Contents(ids, products, values.reshape(-1, dimension).astype(np.float32))

    def items(self, key: int, ids: Sequence[str]) -> dict[str, StoredItem]:
        """Returns those of the items that exist, by id."""
        found: dict[str, StoredItem] = {}
        with self._reading() as db:
            for chunk, marks in _chunks(ids):
                sql = f"SELECT {_ITEM}, seq FROM items WHERE collection = ? AND id IN ({marks})"
                for *columns, seq in db.execute(sql, (key, *chunk)):
                    item = _item(*columns)
                    found[item.id] = StoredItem(item, seq)
        return found

    def item(self, key: int, item_id: str) -> tuple[Item, Matrix] | None:
        """Returns one item and its vector, or None."""
        sql = f"SELECT {_ITEM}, vector FROM items WHERE collection = ? AND id = ?"
        with self._reading() as db:
            row = db.execute(sql, (key, item_id)).fetchone()
        if row is None:
            return None
        *columns, vector = row
        return _item(*columns), np.frombuffer(vector, _FLOAT).astype(np.float32)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Commits, durably, what is done in the block; an exception in it undoes everything.

        Raises:
            StorageFullError: The disk is full; nothing was kept.
        """
        with self._translated():
            db = self._writer
            db.execute("BEGIN IMMEDIATE")
            try:
                seq = _number(db, "UPDATE writes SET seq = seq + 1 RETURNING seq")
                yield Transaction(db, seq)
                db.execute("COMMIT")
            except BaseException:
                # On a full disk SQLite may have rolled back already.
                with suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
                raise

    def _connect(self) -> sqlite3.Connection:
        # Python's own check of threads would keep `close` from closing the readers' connections.
        db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        self._connections.append(db)
        return db

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._translated():
            if not hasattr(self._reader, "db"):
                self._reader.db = self._connect()
                self._reader.db.execute("PRAGMA query_only = ON")
            yield self._reader.db

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            # The low byte is the kind of error; the rest says where SQLite met it.
            kind = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if kind == sqlite3.SQLITE_FULL:
                raise StorageFullError(
                    "the disk of the index service is full; nothing of this write was kept"
                ) from error
            if kind in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
                raise self._corrupted(str(error)) from error
            raise

    def _corrupted(self, finding: str) -> StoreCorruptedError:
        return StoreCorruptedError(
            f"the store {self._path} is damaged ({finding}); restore it from a backup, or move it "
            "away to start empty"
        )

    def __enter__(self) -> Self:
        try:
            self.open()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Transaction:
    """One write in the making; `seq` is its number."""

    def __init__(self, db: sqlite3.Connection, seq: int) -> None:
        self._db = db
        self.seq = seq

    def create_collection(self, collection: Collection) -> int:
        """Returns the key of the new collection; keys are not used again."""
        sql = (
            "INSERT INTO collections (name, embedding_space, dimension, metric)"
            " VALUES (?, ?, ?, ?) RETURNING key"
        )
        c = collection
        return _number(self._db, sql, c.name, c.embedding_space, c.dimension, c.metric.value)

    def delete_collection(self, key: int) -> int:
        """Returns how many items went with it."""
        deleted = self._db.execute("DELETE FROM items WHERE collection = ?", (key,)).rowcount
        self._db.execute("DELETE FROM collections WHERE key = ?", (key,))
        return deleted

    def upsert(self, key: int, items: Sequence[Item], vectors: Matrix) -> int:
        """Returns how many of the items were new. Row i of `vectors` belongs to `items[i]`."""
        replaced = 0
        for chunk, marks in _chunks([item.id for item in items]):
            sql = f"SELECT count(*) FROM items WHERE collection = ? AND id IN ({marks})"
            replaced += _number(self._db, sql, key, *chunk)
        self._db.executemany(
            "INSERT OR REPLACE INTO items"
            f" (collection, {_ITEM}, vector, seq) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (key, id_, product, category, price, _json(attributes), vector.tobytes(), self.seq)
                for (id_, product, category, price, attributes), vector in zip(
                    items, vectors.astype(_FLOAT), strict=True
                )
            ),
        )
        return len(items) - replaced

    def delete(self, key: int, item_ids: Sequence[str], product_ids: Sequence[str]) -> list[str]:
        """Returns the ids of the items that were there and are now gone."""
        gone: list[str] = []
        for column, ids in (("id", item_ids), ("product_id", product_ids)):
            for chunk, marks in _chunks(ids):
                sql = (
                    f"DELETE FROM items WHERE collection = ? AND {column} IN ({marks}) RETURNING id"
                )
                gone += [row[0] for row in self._db.execute(sql, (key, *chunk))]
        return gone


def _chunks(ids: Sequence[str]) -> Iterator[tuple[Sequence[str], str]]:
    """Yields runs of ids, each with as many parameter marks."""
    for start in range(0, len(ids), _CHUNK):
        chunk = ids[start : start + _CHUNK]
        yield chunk, ", ".join("?" * len(chunk))


def _number(db: sqlite3.Connection, sql: str, *parameters: object) -> int:
    # Fetched to the end: a statement left open would keep its transaction open.
    ((number,),) = db.execute(sql, parameters).fetchall()
    return int(number)


def _item(id_: str, product_id: str, category: str, price: float | None, attributes: str) -> Item:
    return Item(id_, product_id, category, price, json.loads(attributes))


def _json(attributes: Mapping[str, str]) -> str:
    return json.dumps(dict(attributes), ensure_ascii=False)
