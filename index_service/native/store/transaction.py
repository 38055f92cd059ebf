"""Writes to the store: several operations in one commit, each of them all or none.

Statements write many rows at once: Python's sqlite3 releases the interpreter at every step of a
statement, and beside other busy threads each row would wait to get it back.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from typing import Any, NamedTuple

from index_service.native.store import words
from index_service.native.store.rows import (
    FLOAT,
    checksum,
    collection_checksum,
    item_checksum,
)
from index_service.native.store.words import WordsOfItems
from index_service.records import Collection, Item, Matrix

# SQLite takes 32,766 parameters in a statement. A JSON array would be a single one, but SQLite cuts
# strings in JSON at a NUL.
_CHUNK = 1000
_ROW_PARAMETERS = 10
_ROWS = 500
# How many writes back a retry is recognised.
_REMEMBERED = 100_000
# Product numbers that the writer caches: the photos of a listing are written soon after each other.
_NUMBERS_KEPT = 200_000


class Written(NamedTuple):
    """The result of an upsert.

    Attributes:
        first_key: Key of the first item; the others follow.
        products: Numbers of the items' products.
        dead: Keys of the items that were replaced, by id.
    """

    first_key: int
    products: list[int]
    dead: dict[str, int]


class Transaction:
    """An open transaction; `seq` is the number of its newest write.

    Args:
        db: The writer's connection, in a transaction.
        numbers: A cache of product numbers by collection and id, kept between transactions.
    """

    def __init__(self, db: sqlite3.Connection, numbers: dict[tuple[int, str], int]) -> None:
        self._db = db
        self._numbers = numbers
        self.seq, self._next_key = db.execute("SELECT seq, next_key FROM writes").fetchall()[0]

    @contextmanager
    def operation(self) -> Iterator[None]:
        """Makes the block a write of its own, which an exception undoes.

        If SQLite rolled back the whole transaction, `undone` is true afterwards.
        """
        before = self.seq, self._next_key
        self._db.execute("SAVEPOINT operation")
        try:
            self.seq += 1
            yield
        except BaseException:
            self.seq, self._next_key = before
            self._numbers.clear()  # some products may be undone
            with suppress(sqlite3.Error):  # on a full disk everything is undone already
                self._db.execute("ROLLBACK TO operation")
                self._db.execute("RELEASE operation")
            raise
        self._db.execute("RELEASE operation")

    def further_writes(self, count: int) -> None:
        """Numbers as many further writes that are part of the operation."""
        self.seq += count

    def nothing_written(self) -> None:
        """Gives the operation's number back."""
        self.seq -= 1

    @property
    def undone(self) -> bool:
        """Whether SQLite rolled back the whole transaction, as it may on a full disk."""
        return not self._db.in_transaction

    def finish(self) -> None:
        """Stores the last number and key; call last."""
        self._db.execute("DELETE FROM requests WHERE seq <= ?", (self.seq - _REMEMBERED,))
        self._db.execute("UPDATE writes SET seq = ?, next_key = ?", (self.seq, self._next_key))

    def answered(self, request_id: str) -> tuple[bytes, list[int]] | None:
        """Returns the digest and the answer of an earlier request, or None."""
        sql = "SELECT digest, answer FROM requests WHERE id = ?"
        row = self._db.execute(sql, (request_id,)).fetchone()
        return row and (row[0], json.loads(row[1]))

    def remember(self, request_id: str, digest: bytes, answer: Sequence[int]) -> None:
        """Stores the answer that a retry will get."""
        row = (request_id, self.seq, digest, json.dumps(list(answer)))
        self._db.execute("INSERT INTO requests VALUES (?, ?, ?, ?)", row)

    def create_collection(self, c: Collection) -> int:
        """Creates a collection and returns its key; keys are not used again."""
        columns = (
            "name, embedding_space, dimension, metric, indexed_attributes, features_dimension,"
            " exact_up_to, target_recall, text_attributes"
        )
        values = (
            c.name,
            c.embedding_space,
            c.dimension,
            c.metric.value,
            json.dumps(list(c.indexed_attributes)),
            c.features_dimension,
            c.full_scan_threshold,
            float(c.target_recall),
            json.dumps(list(c.text_attributes)),
        )
        sql = (
            f"INSERT INTO collections ({columns}, checksum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0)"
            " RETURNING key"
        )
        key = number(self._db, sql, *values)
        sql = "UPDATE collections SET checksum = ? WHERE key = ?"
        self._db.execute(sql, (collection_checksum(key, *values), key))
        if c.text_attributes:
            words.create(self._db, key, c.text_attributes)
        return key

    def delete_collection(self, key: int) -> int:
        """Deletes a collection and returns how many items it had."""
        deleted = self._db.execute("DELETE FROM items WHERE collection = ?", (key,)).rowcount
        self._db.execute("DELETE FROM products WHERE collection = ?", (key,))
        self._db.execute("DELETE FROM collections WHERE key = ?", (key,))
        words.drop(self._db, key)
        self._numbers.clear()
        return deleted

    def set_alias(self, name: str, key: int) -> None:
        """Points an alias at a collection."""
        row = (name, key, checksum(name, key))
        self._db.execute("INSERT OR REPLACE INTO aliases VALUES (?, ?, ?)", row)

    def delete_alias(self, name: str) -> None:
        """Deletes an alias."""
        self._db.execute("DELETE FROM aliases WHERE name = ?", (name,))

    def upsert(
        self,
        collection: int,
        items: Sequence[Item],
        vectors: Matrix,
        features: Sequence[bytes | None],
        text_attributes: Sequence[str] = (),
    ) -> Written:
        """Adds items, each id once, or replaces those of the same id; row i belongs to item i."""
        dead = self._keys(collection, [item.id for item in items])
        index = WordsOfItems(self._db, collection, text_attributes)
        self._delete(sorted(dead.values()), index)
        products = self._product_numbers(collection, [item.product_id for item in items])
        first, blobs = self._next_key, _blobs(vectors)
        self._next_key += len(items)
        values: list[Any] = []
        for i, (id_, _, category, price, attributes) in enumerate(items):
            text = _json(attributes)
            row = (id_, products[i], category, price, text, blobs[i], features[i])
            values += (first + i, collection, *row, item_checksum(*row))
        self._insert("items", _ROW_PARAMETERS, values)
        index.add(
            [
                words.texts_of(key, item.attributes, text_attributes)
                for key, item in enumerate(items, first)
            ]
        )
        return Written(first, products, dead)

    def delete(
        self,
        collection: int,
        item_ids: Sequence[str],
        product_ids: Sequence[str],
        text_attributes: Sequence[str] = (),
    ) -> list[int]:
        """Deletes items by id, and all items of the products; returns the keys of those deleted."""
        keys = set(self._keys(collection, item_ids).values())
        for chunk, marks in chunks(product_ids):
            sql = (
                "SELECT key FROM items WHERE product IN"
                f" (SELECT number FROM products WHERE collection = ? AND product_id IN ({marks}))"
            )
            keys.update(key for (key,) in self._db.execute(sql, (collection, *chunk)).fetchall())
        self._delete(sorted(keys), WordsOfItems(self._db, collection, text_attributes))
        return sorted(keys)

    def rebuild_words(self, collection: int, text_attributes: Sequence[str], finding: str) -> None:
        """Builds the index of a collection's words again; `finding` says what is wrong with it."""
        words.rebuild(self._db, collection, text_attributes, finding)

    def forget_tombstones(self, seq: int) -> None:
        """Forgets the keys deleted up to write `seq`, which a cache of that write lacks already."""
        self._db.execute("DELETE FROM tombstones WHERE seq <= ?", (seq,))

    def _keys(self, collection: int, ids: Sequence[str]) -> dict[str, int]:
        keys: dict[str, int] = {}
        for chunk, marks in chunks(ids):
            sql = f"SELECT id, key FROM items WHERE collection = ? AND id IN ({marks})"
            keys.update(self._db.execute(sql, (collection, *chunk)).fetchall())
        return keys

    def _delete(self, keys: Sequence[int], index: WordsOfItems) -> None:
        take_out = index.stored(keys)
        for chunk, marks in chunks(keys):
            self._db.execute(f"DELETE FROM items WHERE key IN ({marks})", chunk)
        rows = [(key, self.seq, checksum(key, self.seq)) for key in keys]
        self._insert("tombstones", 3, list(chain.from_iterable(rows)))
        take_out()

    def _product_numbers(self, collection: int, product_ids: Sequence[str]) -> list[int]:
        known = self._numbers
        if len(known) > _NUMBERS_KEPT:
            known.clear()
        missing = list(dict.fromkeys(p for p in product_ids if (collection, p) not in known))
        for chunk, marks in chunks(missing):
            sql = (
                "SELECT product_id, number FROM products"
                f" WHERE collection = ? AND product_id IN ({marks})"
            )
            for product_id, found in self._db.execute(sql, (collection, *chunk)).fetchall():
                known[collection, product_id] = found
        if new := [p for p in missing if (collection, p) not in known]:
            following = 1 + number(self._db, "SELECT coalesce(max(number), 0) FROM products")
            values: list[Any] = []
            for i, product_id in enumerate(new, following):
                known[collection, product_id] = i
                values += (i, collection, product_id, checksum(i, collection, product_id))
            self._insert("products", 4, values)
        return [known[collection, product_id] for product_id in product_ids]

    def _insert(self, table: str, width: int, values: list[Any]) -> None:
        row = f"({', '.join('?' * width)})"
        step = width * _ROWS
        for start in range(0, len(values), step):
            part = values[start : start + step]
            rows = ", ".join([row] * (len(part) // width))
            self._db.execute(f"INSERT INTO {table} VALUES {rows}", part)


def chunks(ids: Sequence[Any]) -> Iterator[tuple[Sequence[Any], str]]:
    """Yields the ids in chunks, each with its parameter marks."""
    for start in range(0, len(ids), _CHUNK):
        chunk = ids[start : start + _CHUNK]
        yield chunk, ", ".join("?" * len(chunk))


def number(db: sqlite3.Connection, sql: str, *parameters: object) -> int:
    """Returns the only value of the only row."""
    # Fetched to the end: an open statement would keep its transaction open.
    ((value,),) = db.execute(sql, parameters).fetchall()
    return int(value)


def _blobs(rows: Matrix) -> list[bytes]:
    data, width = rows.astype(FLOAT).tobytes(), rows.shape[1] * FLOAT.itemsize
    return [data[start : start + width] for start in range(0, len(data), width)]


def _json(attributes: Mapping[str, str]) -> str:
    return json.dumps(dict(attributes), ensure_ascii=False) if attributes else "{}"
