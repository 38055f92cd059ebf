"""The store of record: what is committed here was promised, everything else derives from it.

One SQLite database with one writer; see `transaction.py` for what it writes. Knows neither FAISS
nor what a vector means.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np

from index_service.native.store import schema
from index_service.native.store.transaction import FLOAT, Transaction, chunks, number
from index_service.records import Collection, FullItem, Item, Matrix, Metric
from lookalike.errors import StartupError, StorageFullError, StoreCorruptedError

# Rows that are read at a time where all are.
_ROWS = 10_000


class Columns(NamedTuple):
    """Some items of one collection as columns: the i-th of each belongs to the i-th item."""

    keys: list[int]
    products: list[int]
    categories: list[str]
    prices: list[float | None]
    attributes: list[str]  # JSON
    vectors: Matrix  # (n, dimension)
    features: Matrix  # (n, features_dimension); zeros for an item without


class Store:
    """The database; use as a context manager.

    Reads may come from any thread, each of which gets a connection of its own: SQLite then shows
    it whole transactions only, and never makes it wait for the writer. Writes come one at a time;
    the caller sees to that.

    Args:
        path: The database file; made if missing.
        read_only: Whether it is a snapshot's, which nothing changes, now or later.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        self._read_only = read_only
        self._connections: list[sqlite3.Connection] = []
        self._writer: sqlite3.Connection
        self._reader = threading.local()
        self._numbers: dict[tuple[int, str], int] = {}  # the writer's, of products

    def open(self) -> None:
        """Opens and checks the file.

        Raises:
            StoreCorruptedError: It is damaged, or no database at all.
            StartupError: A newer release has written it, or it cannot be written to.
        """
        with self._translated():
            try:
                self._writer = self._connect()
                if self._read_only:
                    schema.known_version(self._writer, self._path)
                else:
                    schema.prepare(self._writer, self._path)
            except sqlite3.OperationalError as error:  # no such file, read-only, no space
                verb = "read" if self._read_only else "write to"
                raise StartupError(f"cannot {verb} the store {self._path}: {error}") from None
            # On a connection of its own: the pages that it reads would stay in the writer's cache.
            with closing(self._connect()) as checker:
                (verdict,) = checker.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise self.corrupted(" ".join(verdict.split()))

    def close(self) -> None:
        """Closes all connections; the last one folds the log into the database file."""
        for connection in self._connections:
            connection.close()

    def seq(self) -> int:
        """Returns the number of the newest write, 0 if there was none."""
        with self._reading() as db:
            return number(db, "SELECT seq FROM writes")

    def next_key(self) -> int:
        """Returns the first key that no item ever had."""
        with self._reading() as db:
            return number(db, "SELECT next_key FROM writes")

    def collections(self) -> dict[int, Collection]:
        """Returns all collections by key."""
        sql = (
            "SELECT key, name, embedding_space, dimension, metric, indexed_attributes,"
            " features_dimension, exact_up_to, target_recall FROM collections"
        )
        with self._reading() as db:
            return {
                key: Collection(
                    name, space, dimension, Metric(metric), tuple(json.loads(attributes)), *rest
                )
                for key, name, space, dimension, metric, attributes, *rest in db.execute(sql)
            }

    def aliases(self) -> dict[str, int]:
        """Returns the key of the collection that each alias leads to."""
        with self._reading() as db:
            return dict(db.execute("SELECT name, collection FROM aliases"))

    def columns(
        self, collections: Mapping[int, Collection], since: int
    ) -> Iterator[tuple[int, Columns]]:
        """Yields items with keys from `since` on, some at a time, with their collection's key.

        Args:
            collections: All of them, by key.
            since: The first key.

        Raises:
            StoreCorruptedError: An item is not as it was written.
        """
        names = "id, product, category, price, attributes, vector, features, checksum"
        sql = (
            f"SELECT collection, key, {names} FROM items WHERE key >= ? ORDER BY key LIMIT {_ROWS}"
        )
        with self._reading() as db:
            while rows := db.execute(sql, (since,)).fetchall():
                since = rows[-1][1] + 1
                for row in rows:
                    if schema.checksum(*row[2:9]) != row[9]:
                        raise self.corrupted(f"item '{row[2]}' is not as it was written")
                for collection in sorted({row[0] for row in rows}):
                    own = [row for row in rows if row[0] == collection]
                    if (known := collections.get(collection)) is None:
                        raise self.corrupted(f"items are of collection {collection}, which is none")
                    _, keys, _, products, categories, prices, attributes, vectors, features, _ = (
                        list(column) for column in zip(*own, strict=True)
                    )
                    none = bytes(known.features_dimension * FLOAT.itemsize)
                    features = [none if blob is None else blob for blob in features]
                    yield (
                        collection,
                        Columns(
                            keys,
                            products,
                            categories,
                            prices,
                            attributes,
                            self._matrix(vectors, known.dimension, collection),
                            self._matrix(features, known.features_dimension, collection),
                        ),
                    )

    def _matrix(self, blobs: Sequence[bytes], dimension: int, collection: int) -> Matrix:
        values = np.frombuffer(b"".join(blobs), FLOAT)
        if len(values) != len(blobs) * dimension:
            raise self.corrupted(f"collection {collection} has vectors of wrong length")
        found: Matrix = values.reshape(len(blobs), dimension).astype(np.float32)
        return found

    def deaths(self, since: int) -> list[int]:
        """Returns the keys that went with a write after `since`."""
        with self._reading() as db:
            rows = db.execute("SELECT key FROM deaths WHERE seq > ? ORDER BY key", (since,))
            return [key for (key,) in rows.fetchall()]

    def items(self, keys: Sequence[int]) -> dict[int, Item]:
        """Returns those of the items that exist, by key."""
        columns = "key, id, product_id, category, price, attributes"
        found: dict[int, Item] = {}
        with self._reading() as db:
            for chunk, marks in chunks(keys):
                sql = (
                    f"SELECT {columns} FROM items JOIN products ON product = number"
                    f" WHERE key IN ({marks})"
                )
                for key, *item in db.execute(sql, chunk).fetchall():
                    found[key] = _item(*item)
        return found

    def features(self, keys: Sequence[int]) -> dict[int, Matrix]:
        """Returns the features of those items that have some, by key."""
        found: dict[int, Matrix] = {}
        with self._reading() as db:
            for chunk, marks in chunks(keys):
                sql = f"SELECT key, features FROM items WHERE key IN ({marks})"
                for key, blob in db.execute(sql, chunk).fetchall():
                    if blob is not None:
                        found[key] = np.frombuffer(blob, FLOAT)
        return found

    def full_items(self, keys: Sequence[int]) -> dict[int, FullItem]:
        """Returns those of the items that exist, with their vectors, by key."""
        columns = "key, vector, features, id, product_id, category, price, attributes"
        found: dict[int, FullItem] = {}
        with self._reading() as db:
            for chunk, marks in chunks(keys):
                sql = (
                    f"SELECT {columns} FROM items JOIN products ON product = number"
                    f" WHERE key IN ({marks})"
                )
                for key, vector, features, *item in db.execute(sql, chunk).fetchall():
                    found[key] = FullItem(
                        _item(*item),
                        np.frombuffer(vector, FLOAT).astype(np.float32),
                        None
                        if features is None
                        else np.frombuffer(features, FLOAT).astype(np.float32),
                    )
        return found

    def key(self, collection: int, item_id: str) -> int | None:
        """Returns an item's key, or None."""
        sql = "SELECT key FROM items WHERE collection = ? AND id = ?"
        with self._reading() as db:
            row = db.execute(sql, (collection, item_id)).fetchone()
        return None if row is None else int(row[0])

    def product_numbers(self, collection: int, product_ids: Sequence[str]) -> list[int]:
        """Returns the numbers of those of the products that ever had an item."""
        numbers: list[int] = []
        with self._reading() as db:
            for chunk, marks in chunks(product_ids):
                sql = (
                    f"SELECT number FROM products WHERE collection = ? AND product_id IN ({marks})"
                )
                numbers += [n for (n,) in db.execute(sql, (collection, *chunk)).fetchall()]
        return numbers

    def copy_to(self, path: Path) -> None:
        """Copies the database as it is at one moment; neither waits for the writer nor stops it."""
        with self._reading() as db, sqlite3.connect(path) as copy:
            db.backup(copy)
        copy.close()

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
                transaction = Transaction(db, self._numbers)
                yield transaction
                transaction.finish()
                db.execute("COMMIT")
            except BaseException:
                # On a full disk SQLite may have rolled back already.
                with suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
                self._numbers.clear()
                raise

    def corrupted(self, finding: str) -> StoreCorruptedError:
        """Returns the error that says what is wrong with the file."""
        return StoreCorruptedError(
            f"the store {self._path} is damaged ({finding}); restore a snapshot, or run "
            "`python -m index_service salvage` to keep what can be read"
        )

    def _connect(self) -> sqlite3.Connection:
        # Python's own check of threads would keep `close` from closing the readers' connections.
        uri = self._path.absolute().as_uri()
        db = sqlite3.connect(
            f"{uri}?mode=ro&immutable=1" if self._read_only else uri,
            uri=True,
            isolation_level=None,
            check_same_thread=False,
        )
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
            # Text that is not UTF-8 has no code of its own.
            undecodable = "decode to UTF-8" in str(error)
            if undecodable or kind in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
                raise self.corrupted(str(error)) from error
            raise

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


def _item(id_: str, product_id: str, category: str, price: float | None, attributes: str) -> Item:
    return Item(id_, product_id, category, price, json.loads(attributes))
