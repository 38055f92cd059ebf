"""The store of record: a write is durable once it is committed here; all else derives from it.

One SQLite database with one writer, which `transaction.py` implements.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np

from index_service.native.store import rows, schema, words
from index_service.native.store.rows import FLOAT
from index_service.native.store.transaction import Transaction, chunks, number
from index_service.native.store.word_reader import WordReader
from index_service.records import Collection, FullItem, Item, Matrix, Metric
from lookalike.errors import StartupError, StorageFullError, StoreCorruptedError

logger = logging.getLogger(__name__)

# Rows read at a time if all are read.
_ROWS = 10_000


class Columns(NamedTuple):
    """Some items of one collection as columns."""

    keys: list[int]
    products: list[int]
    categories: list[str]
    prices: list[float | None]
    attributes: list[str]  # JSON
    vectors: Matrix  # (n, dimension)
    features: Matrix  # (n, features_dimension); zeros for an item without


class Store:
    """The database; use as a context manager.

    Any thread may read. Each gets a connection of its own, so SQLite shows it whole transactions
    only, and never makes it wait for the writer. The caller must write from one thread at a time.

    Args:
        path: The database file; created if missing.
        read_only: Whether it is a snapshot's, which never changes.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        self._read_only = read_only
        self._connections: list[sqlite3.Connection] = []
        self._writer: sqlite3.Connection
        self._reader = threading.local()
        self._numbers: dict[tuple[int, str], int] = {}  # the writer's, of products

    def open(self) -> None:
        """Opens and checks the file, and upgrades it if an earlier release has written it.

        Raises:
            StoreCorruptedError: It is damaged, or no database at all.
            StartupError: A newer release has written it, or it cannot be written to.
        """
        with self._translated():
            try:
                self._writer = self._connect()
                if not self._read_only:
                    schema.prepare(self._writer, self._path)
            except sqlite3.OperationalError as error:  # no such file, read-only, no space
                verb = "read" if self._read_only else "write to"
                raise StartupError(f"cannot {verb} the store {self._path}: {error}") from None
            if (verdict := self._verdict()) != "ok":
                if self._read_only or not words.cut_out(self._writer):
                    raise self.corrupted(verdict)
                logger.warning("damaged words were taken out", extra={"finding": verdict})
                if (verdict := self._verdict()) != "ok":
                    raise self.corrupted(verdict)
            if not self._read_only:
                self._mend_words()

    def _verdict(self) -> str:
        # On its own connection: the pages that it reads would stay in the writer's cache.
        with closing(self._connect()) as checker:
            try:
                (verdict,) = checker.execute("PRAGMA quick_check(1)").fetchone()
            except sqlite3.DatabaseError as error:
                if not words.is_damage(error):
                    raise
                verdict = str(error)
        return " ".join(verdict.split())

    def _mend_words(self) -> None:
        for key, collection in self.collections().items():
            names = collection.text_attributes
            if names and (finding := words.finding(self._writer, key, names)):
                with self.transaction() as write:
                    write.rebuild_words(key, names, finding)

    def close(self) -> None:
        """Closes all connections; the last one writes the log into the database file."""
        for connection in self._connections:
            connection.close()

    def seq(self) -> int:
        """Returns the number of the newest write, 0 if there was none."""
        with self._reading() as db:
            return number(db, "SELECT seq FROM writes")

    def next_key(self) -> int:
        """Returns the first key that no item has had yet."""
        with self._reading() as db:
            return number(db, "SELECT next_key FROM writes")

    def collections(self) -> dict[int, Collection]:
        """Returns all collections by key; raises StoreCorruptedError if one was changed."""
        sql = (
            "SELECT checksum, key, name, embedding_space, dimension, metric, indexed_attributes,"
            " features_dimension, exact_up_to, target_recall, text_attributes FROM collections"
        )
        found: dict[int, Collection] = {}
        with self._reading() as db:
            for expected, *values in db.execute(sql):
                key, name, space, dimension, metric, *_ = values
                indexed, features, exact_up_to, recall, texts = values[5:]
                rows.verify("collection", name, tuple(values), expected)
                found[key] = Collection(
                    name,
                    space,
                    dimension,
                    Metric(metric),
                    tuple(json.loads(indexed)),
                    features,
                    exact_up_to,
                    recall,
                    tuple(json.loads(texts)),
                )
        return found

    def aliases(self) -> dict[str, int]:
        """Returns the key of each alias's collection; raises StoreCorruptedError likewise."""
        found: dict[str, int] = {}
        with self._reading() as db:
            for name, key, expected in db.execute("SELECT name, collection, checksum FROM aliases"):
                rows.verify("alias", name, (name, key), expected)
                found[name] = key
        return found

    def columns(
        self, collections: Mapping[int, Collection], since: int
    ) -> Iterator[tuple[int, Columns]]:
        """Yields items with keys from `since` on, in blocks of one collection, with its key.

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
            while block := db.execute(sql, (since,)).fetchall():
                since = block[-1][1] + 1
                for row in block:
                    if rows.item_checksum(*row[2:9]) != row[9]:
                        raise self.corrupted(f"item '{row[2]}' is not as it was written")
                for collection in sorted({row[0] for row in block}):
                    own = [row for row in block if row[0] == collection]
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

    def tombstones(self, since: int) -> list[int]:
        """Returns the keys deleted after write `since`; raises StoreCorruptedError likewise."""
        with self._reading() as db:
            sql = "SELECT key, seq, checksum FROM tombstones WHERE seq > ? ORDER BY key"
            found = db.execute(sql, (since,)).fetchall()
            for key, seq, expected in found:
                rows.verify("tombstone", str(key), (key, seq), expected)
        return [key for key, _, _ in found]

    def items(self, keys: Sequence[int]) -> dict[int, Item]:
        """Returns the items that exist of some keys, by key.

        Raises:
            StoreCorruptedError: An item, or its product, is not as it was written.
        """
        return {row[0]: rows.item_of(row) for row in self._item_rows(keys)}

    def full_items(self, keys: Sequence[int]) -> dict[int, FullItem]:
        """Returns the items that exist with their vectors, by key; raises what `items` raises."""
        return {
            row[0]: FullItem(
                rows.item_of(row),
                rows.floats(row[6]),
                None if row[7] is None else rows.floats(row[7]),
            )
            for row in self._item_rows(keys)
        }

    def features(self, keys: Sequence[int]) -> dict[int, Matrix]:
        """Returns the features of the items that have some; raises StoreCorruptedError."""
        found = self._item_rows(keys, with_products=False)
        return {row[0]: rows.floats(row[7]) for row in found if row[7] is not None}

    def _item_rows(
        self, keys: Sequence[int], *, with_products: bool = True
    ) -> Iterator[tuple[Any, ...]]:
        """Yields verified rows of `rows.ITEM_COLUMNS`, and of their products' columns."""
        columns, tables = rows.ITEM_COLUMNS, "items i"
        if with_products:
            columns += f", {rows.PRODUCT_COLUMNS}"
            tables += " JOIN products p ON product = number"
        with self._reading() as db:
            for chunk, marks in chunks(keys):
                sql = f"SELECT {columns} FROM {tables} WHERE key IN ({marks})"
                for row in db.execute(sql, chunk).fetchall():
                    rows.verify_item(row)
                    yield row

    def key(self, collection: int, item_id: str) -> int | None:
        """Returns an item's key, or None."""
        sql = "SELECT key FROM items WHERE collection = ? AND id = ?"
        with self._reading() as db:
            row = db.execute(sql, (collection, item_id)).fetchone()
        return None if row is None else int(row[0])

    def product_numbers(self, collection: int, product_ids: Sequence[str]) -> list[int]:
        """Returns the numbers of the products that have ever had an item."""
        numbers: list[int] = []
        with self._reading() as db:
            for chunk, marks in chunks(product_ids):
                sql = (
                    f"SELECT number FROM products WHERE collection = ? AND product_id IN ({marks})"
                )
                numbers += [n for (n,) in db.execute(sql, (collection, *chunk)).fetchall()]
        return numbers

    def words(self, collection: int, attributes: int) -> WordReader:
        """Returns what reads the words of a collection with so many text attributes."""
        return WordReader(self._reading, collection, attributes)

    @contextmanager
    def at_one_write(self) -> Iterator[int]:
        """Lets all that the block reads in this thread be as it is now; yields the newest write."""
        with self._reading() as db:
            db.execute("BEGIN")
            try:
                yield number(db, "SELECT seq FROM writes")
            finally:
                db.execute("ROLLBACK")

    def copy_to(self, path: Path) -> None:
        """Copies the database as it is at one moment, without waiting for the writer."""
        with self._reading() as db, sqlite3.connect(path) as copy:
            db.backup(copy)
        copy.close()

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Commits durably what the block writes; an exception in it undoes everything.

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
        """Returns the error for a finding about the file."""
        return StoreCorruptedError(
            f"the store {self._path} is damaged ({finding}); restore a snapshot, or run "
            "`python -m index_service salvage` to keep what can be read"
        )

    def _connect(self) -> sqlite3.Connection:
        # With Python's check of threads, `close` could not close the readers' connections.
        uri = self._path.absolute().as_uri()
        db = sqlite3.connect(
            f"{uri}?mode=ro&immutable=1" if self._read_only else uri,
            uri=True,
            isolation_level=None,
            check_same_thread=False,
        )
        self._connections.append(db)
        if self._read_only:
            schema.read_as_current(db, self._path)
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
        except rows.DamagedRowError as error:
            raise self.corrupted(str(error)) from None
        except sqlite3.DatabaseError as error:
            # The low byte is the kind of error; the rest says where SQLite met it.
            kind = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if kind == sqlite3.SQLITE_FULL:
                raise StorageFullError(
                    "the disk of the index service is full; nothing of this write was kept"
                ) from error
            # Text that is not UTF-8 has no error code of its own.
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
