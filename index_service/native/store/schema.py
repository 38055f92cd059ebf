"""The layout of the store's database file, and the settings that make its commits durable.

`PRAGMA user_version` counts layouts. A later layout adds its step to `prepare`; a file from a
later release than this one is refused, as this one could only misread it.
"""

from __future__ import annotations

import sqlite3
import zlib
from pathlib import Path

from lookalike.errors import StartupError

VERSION = 2
# Kibibytes of pages that the writer keeps: its index of ids is met at random places.
_WRITER_CACHE_KIB = 64 * 1024
# Pages in the log before they are folded into the file: each folding waits for the disk twice.
_CHECKPOINT_PAGES = 8192

_TABLES = f"""
BEGIN;

-- A single row: the number of the newest write, and the first key that no item ever had.
CREATE TABLE writes (seq INTEGER NOT NULL, next_key INTEGER NOT NULL) STRICT;
INSERT INTO writes VALUES (0, 1);

-- AUTOINCREMENT: the key of a deleted collection must not come back for another one.
CREATE TABLE collections (
  key                INTEGER PRIMARY KEY AUTOINCREMENT,
  name               TEXT NOT NULL UNIQUE,
  embedding_space    TEXT NOT NULL,
  dimension          INTEGER NOT NULL,
  metric             TEXT NOT NULL,
  indexed_attributes TEXT NOT NULL,  -- a JSON array of strings
  features_dimension INTEGER NOT NULL,
  exact_up_to        INTEGER NOT NULL,
  target_recall      REAL NOT NULL
) STRICT;

CREATE TABLE aliases (
  name       TEXT PRIMARY KEY,
  collection INTEGER NOT NULL REFERENCES collections (key)
) STRICT;

-- Products have numbers, which take less memory than their ids and never change.
CREATE TABLE products (
  number     INTEGER PRIMARY KEY,
  collection INTEGER NOT NULL,
  product_id TEXT NOT NULL,
  UNIQUE (collection, product_id)
) STRICT;

-- An item that is replaced gets a new key: what a key stands for never changes, and keys are in
-- the order of writing.
CREATE TABLE items (
  key        INTEGER PRIMARY KEY,
  collection INTEGER NOT NULL,
  id         TEXT NOT NULL,
  product    INTEGER NOT NULL,  -- products.number
  category   TEXT NOT NULL,
  price      REAL,
  attributes TEXT NOT NULL,     -- a JSON object of strings
  vector     BLOB NOT NULL,     -- little-endian float32
  features   BLOB,              -- likewise
  checksum   INTEGER NOT NULL,  -- see `checksum`
  UNIQUE (collection, id)
) STRICT;
CREATE INDEX items_by_product ON items (product);

-- Keys that are gone, and the write they went with: what a cache of an earlier write must forget.
CREATE TABLE deaths (key INTEGER PRIMARY KEY, seq INTEGER NOT NULL) STRICT;
CREATE INDEX deaths_by_seq ON deaths (seq);

-- What retries are answered with.
CREATE TABLE requests (
  id     TEXT PRIMARY KEY,
  seq    INTEGER NOT NULL,
  digest BLOB NOT NULL,         -- of the request's content
  answer TEXT NOT NULL          -- a JSON array
) STRICT;
CREATE INDEX requests_by_seq ON requests (seq);

PRAGMA user_version = {VERSION};
COMMIT;
"""

# Layout 1 had items by (collection, id), with the product's id.
_FROM_1 = """
BEGIN;
ALTER TABLE writes RENAME TO writes_1;
ALTER TABLE collections RENAME TO collections_1;
ALTER TABLE items RENAME TO items_1;
DROP INDEX items_by_product;
COMMIT;
"""
_MOVE_1 = """
BEGIN;
INSERT INTO collections SELECT key, name, embedding_space, dimension, metric, '[]', 0, 200000, 0.99
  FROM collections_1;
INSERT INTO products (collection, product_id)
  SELECT DISTINCT collection, product_id FROM items_1 ORDER BY collection, product_id;
INSERT INTO items
  SELECT row_number() OVER (ORDER BY i.seq, i.rowid), i.collection, i.id, p.number, i.category,
         i.price, i.attributes, i.vector, NULL,
         checksum(i.id, p.number, i.category, i.price, i.attributes, i.vector, NULL)
  FROM items_1 i JOIN products p USING (collection, product_id);
UPDATE writes SET seq = (SELECT seq FROM writes_1),
                  next_key = (SELECT coalesce(max(key), 0) + 1 FROM items);
DROP TABLE items_1;
DROP TABLE collections_1;
DROP TABLE writes_1;
COMMIT;
"""


def checksum(  # noqa: PLR0917 - SQLite calls it too
    id_: str,
    product: int,
    category: str,
    price: float | None,
    attributes: str,
    vector: bytes,
    features: bytes | None,
) -> int:
    """Returns the CRC-32 of an item's row: SQLite checks structure, not content."""
    amount = None if price is None else price + 0.0  # SQLite keeps no negative zero
    text = f"{id_}\0{product}\0{category}\0{amount!r}\0{attributes}\0"
    value = zlib.crc32(vector, zlib.crc32(text.encode("utf-8", "surrogatepass")))
    return zlib.crc32(features, value) if features else value


def prepare(db: sqlite3.Connection, path: Path) -> None:
    """Sets up the writer's connection, and the tables of a new file.

    Raises:
        StartupError: A newer release has written the file.
    """
    db.execute("PRAGMA journal_mode = WAL")
    # In WAL mode only FULL syncs at each commit; NORMAL may lose the newest after a power cut.
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA foreign_keys = ON")
    db.execute(f"PRAGMA cache_size = -{_WRITER_CACHE_KIB}")
    db.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    version = known_version(db, path)
    if version == 0:
        db.executescript(_TABLES)
    elif version == 1:
        _upgrade_from_1(db)


def known_version(db: sqlite3.Connection, path: Path) -> int:
    """Returns the file's layout, 0 for an empty file; raises StartupError if it is a later one."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise StartupError(
            f"the store {path} has layout {version}, from a newer release; "
            f"this one knows layouts up to {VERSION}"
        )
    return int(version)


def _upgrade_from_1(db: sqlite3.Connection) -> None:
    db.create_function("checksum", 7, checksum, deterministic=True)
    db.execute("PRAGMA foreign_keys = OFF")
    # One transaction, so that a process that ends on the way leaves layout 1.
    steps = f"{_FROM_1}{_TABLES}{_MOVE_1}".replace("BEGIN;", "").replace("COMMIT;", "")
    db.executescript(f"BEGIN;{steps}COMMIT;")
    db.execute("PRAGMA foreign_keys = ON")
