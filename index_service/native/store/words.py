"""The words of items: for each collection with text attributes a full-text index, by SQLite's FTS5.

It is written in the transaction that writes the items, so it is never out of step with them. It
keeps no text, which the items have: to take an item out, FTS5 is told again what it was given. The
items are the record. Where an index is missing or damaged it is built again from them.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from index_service.native.store import rows
from index_service.native.store.rows import DamagedRowError
from index_service.native.store.splitting import RULES, spelt, split

logger = logging.getLogger(__name__)

# Porter, 1980: "armchairs" finds "armchair". It changes what looks like English alone.
_TOKENIZER = f"porter {RULES}"
_PREFIX = "words_"
# The tables in which FTS5 keeps an index.
_PARTS = ("data", "idx", "docsize", "config")
# Items whose words are looked up at each start, and words of each: a few milliseconds.
_SAMPLE = 16
_SAMPLE_WORDS = 32
# Items written by one statement, of 6 parameters at most; SQLite takes 32,766. FTS5 writes what it
# has gathered at the end of a statement of several rows.
_ROWS = 1000
# Parts of an index that are merged at once: more make writes quicker, and queries a little slower.
_MERGED = 16
# Items read at a time where an index is built again.
_BLOCK = 10_000
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
# Where a part of an index is missing, SQLite has no error code of its own.
_MISSING = ("no such table", "SQL logic error", "invalid fts5 file format")


class ItemTexts(NamedTuple):
    """The texts of an item as they are indexed, one for each text attribute of its collection."""

    key: int
    texts: tuple[str, ...]


def table(collection: int) -> str:
    """Returns the name of a collection's index, by the key of the collection."""
    return f"{_PREFIX}{collection}"


def column(attribute: int) -> str:
    """Returns the name of the column that a text attribute has in each index, by its number."""
    # For how it is spelt: an index of texts that were spelt otherwise is built again.
    return f"spelt{attribute}"


def is_damage(error: sqlite3.Error) -> bool:
    """Returns whether an error of a statement about words says that their index is damaged."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in _DAMAGE or any(text in str(error) for text in _MISSING)


def texts_of(key: int, attributes: Mapping[str, str], names: Sequence[str]) -> ItemTexts:
    """Returns the texts of an item as they are indexed, empty for an attribute that it lacks."""
    return ItemTexts(key, tuple(spelt(attributes.get(name, "")) for name in names))


def create(db: sqlite3.Connection, collection: int, names: Sequence[str]) -> None:
    """Creates the index of a collection without items."""
    name = table(collection)
    db.execute(_declaration(name, len(names)))
    db.execute(f"INSERT INTO {name} ({name}, rank) VALUES ('automerge', {_MERGED})")


def _declaration(name: str, attributes: int) -> str:
    columns = ", ".join(_columns(attributes))
    return f"CREATE VIRTUAL TABLE {name} USING fts5({columns}, content='', tokenize='{_TOKENIZER}')"


def _columns(attributes: int) -> list[str]:
    return [column(i) for i in range(attributes)]


def drop(db: sqlite3.Connection, collection: int) -> None:
    """Drops the index of a collection, if it has one, in the caller's transaction."""
    name = table(collection)
    try:
        db.execute(f"DROP TABLE IF EXISTS {name}")
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        # FTS5 drops no index that it cannot open.
        db.execute("PRAGMA writable_schema = ON")
        db.execute("DELETE FROM sqlite_schema WHERE name = ?", (name,))
        db.execute("PRAGMA writable_schema = RESET")
    for part in _PARTS:
        db.execute(f"DROP TABLE IF EXISTS {name}_{part}")


class WordsOfItems:
    """Keeps the index of one collection in step with its items, within a transaction.

    Args:
        db: The writer's connection.
        collection: Key of the collection.
        names: Its text attributes; without any, nothing is done.
    """

    def __init__(self, db: sqlite3.Connection, collection: int, names: Sequence[str]) -> None:
        self._db = db
        self._collection = collection
        self._names = names

    def add(self, items: Sequence[ItemTexts]) -> None:
        """Adds items, once they are in the store."""
        if self._names:
            self._or_rebuild(lambda: self._write("", items))

    def stored(self, keys: Sequence[int]) -> Callable[[], None]:
        """Reads items that are about to be deleted; call the result once they are."""
        if not (self._names and keys):
            return lambda: None
        try:
            items = list(_stored(self._db, keys, self._names))
        except DamagedRowError as error:
            found = str(error)
            return lambda: self._rebuild(found)
        return lambda: self._or_rebuild(lambda: self._write("delete", items))

    def _write(self, command: str, items: Sequence[ItemTexts]) -> None:
        name = table(self._collection)
        columns = ["rowid", *_columns(len(self._names))]
        values = [[item.key, *item.texts] for item in items]
        if command:
            columns, values = [name, *columns], [[command, *row] for row in values]
        marks = f"({', '.join('?' * len(columns))})"
        head = f"INSERT INTO {name} ({', '.join(columns)}) VALUES "
        for start in range(0, len(values), _ROWS):
            part = values[start : start + _ROWS]
            flat = [value for row in part for value in row]
            self._db.execute(head + ", ".join([marks] * len(part)), flat)

    def _or_rebuild(self, write: Callable[[], None]) -> None:
        try:
            write()
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            self._rebuild(str(error))

    def _rebuild(self, finding: str) -> None:
        rebuild(self._db, self._collection, self._names, finding)


def rebuild(db: sqlite3.Connection, collection: int, names: Sequence[str], finding: str) -> None:
    """Builds the index of a collection again in the caller's transaction, and logs it.

    Args:
        db: The writer's connection, in a transaction.
        collection: Key of the collection.
        names: Its text attributes.
        finding: What was wrong with the index.

    Raises:
        DamagedRowError: An item is not as it was written.
    """
    started = time.perf_counter()
    drop(db, collection)
    count = build(db, collection, names)
    logger.warning(
        "the words of a collection were built again from its items",
        extra={
            "collection_key": collection,
            "finding": finding,
            "items": count,
            "duration_ms": round((time.perf_counter() - started) * 1e3, 3),
        },
    )


def build(db: sqlite3.Connection, collection: int, names: Sequence[str]) -> int:
    """Builds the index of a collection that has none from its items; returns how many they are.

    Raises:
        DamagedRowError: An item is not as it was written.
    """
    count = 0
    create(db, collection, names)
    words = WordsOfItems(db, collection, names)
    sql = (
        f"SELECT {rows.ITEM_COLUMNS} FROM items i WHERE collection = ? AND key > ?"
        f" ORDER BY key LIMIT {_BLOCK}"
    )
    last = -1
    while block := db.execute(sql, (collection, last)).fetchall():
        last = block[-1][0]
        words._write("", [_texts(row, names) for row in block])
        count += len(block)
    return count


def finding(db: sqlite3.Connection, collection: int, names: Sequence[str]) -> str:
    """Returns what is wrong with a collection's index; empty if it seems in step with the items.

    Compares which items it has, and looks some of them up by their words. To compare all words
    would take as long as to build it.
    """
    name = table(collection)
    try:
        declared = db.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (name,)).fetchall()
        if declared != [(_declaration(name, len(names)),)]:
            return "it is of other attributes or rules" if declared else "it is missing"
        sql = "SELECT count(*), coalesce(sum({0}), 0), coalesce(max({0}), 0) FROM {1}"
        held = db.execute(sql.format("id", f"{name}_docsize")).fetchall()
        items = f"items WHERE collection = {collection}"
        if held != db.execute(sql.format("key", items)).fetchall():
            return "it is of other items"
        # Opens every part of the index.
        db.execute(f"SELECT rowid FROM {name} WHERE {name} MATCH 'a'").fetchone()
        return _missing(db, name, names, int(held[0][2]))
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        return str(error)


def _missing(db: sqlite3.Connection, name: str, names: Sequence[str], last: int) -> str:
    """Looks for some items, spread evenly up to the last key, by their words."""
    sql = f"SELECT id FROM {name}_docsize WHERE id >= ? ORDER BY id LIMIT 1"
    starts = [last * i // (_SAMPLE - 1) for i in range(_SAMPLE)] if last else []
    keys = {key for start in starts for (key,) in db.execute(sql, (start,)).fetchall()}
    for key in sorted(keys):
        try:
            (item,) = _stored(db, [key], names)
        except DamagedRowError:  # which is not about words
            continue
        terms = split("\n".join(item.texts))[:_SAMPLE_WORDS]
        if not terms:
            continue
        sought = " AND ".join(f'"{term}"' for term in terms)
        sql_of_item = f"SELECT 1 FROM {name} WHERE {name} MATCH ? AND rowid = ?"
        if not db.execute(sql_of_item, (sought, key)).fetchall():
            return "it lacks words of an item"
    return ""


def cut_out(db: sqlite3.Connection) -> bool:
    """Takes all indexes of words out of a damaged database, if nothing but them is damaged.

    The file is written anew without them: their pages may belong to other tables as well, so none
    is given back by itself. Returns False, and changes nothing, if any other table is damaged.
    """
    try:
        names = [
            name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        ]
        record = [name for name in names if not name.startswith(_PREFIX)]
        if len(record) == len(names) or not all(_is_sound(db, name) for name in record):
            return False
        with suppress(sqlite3.Error):  # a build of SQLite in defensive mode allows no such change
            db.execute("PRAGMA writable_schema = ON")
            db.execute(f"DELETE FROM sqlite_schema WHERE tbl_name GLOB '{_PREFIX}*'")
            db.execute("PRAGMA writable_schema = RESET")
            db.execute("VACUUM")
            return True
    except sqlite3.Error:
        pass
    return False


def _is_sound(db: sqlite3.Connection, name: str) -> bool:
    return bool(db.execute(f"PRAGMA quick_check('{name}')").fetchall() == [("ok",)])


def _stored(
    db: sqlite3.Connection, keys: Sequence[int], names: Sequence[str]
) -> Iterator[ItemTexts]:
    for start in range(0, len(keys), _ROWS):
        part = keys[start : start + _ROWS]
        marks = ", ".join("?" * len(part))
        sql = f"SELECT {rows.ITEM_COLUMNS} FROM items i WHERE key IN ({marks})"
        for row in db.execute(sql, part).fetchall():
            yield _texts(row, names)


def _texts(row: Sequence[Any], names: Sequence[str]) -> ItemTexts:
    rows.verify_item(row)
    return texts_of(row[0], json.loads(row[5]), names)
