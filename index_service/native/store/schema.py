"""The layout of the store's database file, and the settings that make its commits durable.

`PRAGMA user_version` counts layouts. The writer upgrades a file of an earlier layout in place, in
one transaction. A file that may not be changed (a snapshot that is served, a damaged file that is
salvaged) is read through views instead: see `read_as_current`. A file of a later layout is refused,
as this release could only misread it.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from index_service.native.store.rows import checksum, item_checksum
from lookalike.errors import StartupError

VERSION = 4
# Kibibytes of pages that the writer caches: it looks ids up at random places of their index.
_WRITER_CACHE_KIB = 64 * 1024
# Pages in the log before a checkpoint: each checkpoint waits for the disk twice.
_CHECKPOINT_PAGES = 8192

_TABLES = f"""
BEGIN;

-- A single row: the number of the newest write, and the first key that no item has had yet.
CREATE TABLE writes (seq INTEGER NOT NULL, next_key INTEGER NOT NULL) STRICT;
INSERT INTO writes VALUES (0, 1);

-- For every `checksum` see `rows.py`.

-- AUTOINCREMENT: the key of a deleted collection must not be used again.
CREATE TABLE collections (
  key                INTEGER PRIMARY KEY AUTOINCREMENT,
  name               TEXT NOT NULL UNIQUE,
  embedding_space    TEXT NOT NULL,
  dimension          INTEGER NOT NULL,
  metric             TEXT NOT NULL,
  indexed_attributes TEXT NOT NULL,  -- a JSON array of strings
  features_dimension INTEGER NOT NULL,
  exact_up_to        INTEGER NOT NULL,
  target_recall      REAL NOT NULL,
  checksum           INTEGER NOT NULL,
  text_attributes    TEXT NOT NULL DEFAULT '[]'  -- likewise; for their words see `words.py`
) STRICT;

CREATE TABLE aliases (
  name       TEXT PRIMARY KEY,
  collection INTEGER NOT NULL REFERENCES collections (key),
  checksum   INTEGER NOT NULL
) STRICT;

-- Products have numbers, which take less memory than their ids and never change.
CREATE TABLE products (
  number     INTEGER PRIMARY KEY,
  collection INTEGER NOT NULL,
  product_id TEXT NOT NULL,
  checksum   INTEGER NOT NULL,
  UNIQUE (collection, product_id)
) STRICT;

-- An item that is replaced gets a new key: the content of a key never changes, and keys are in the
-- order of writing.
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
  checksum   INTEGER NOT NULL,
  UNIQUE (collection, id)
) STRICT;
CREATE INDEX items_by_product ON items (product);

-- Deleted keys, and the write that deleted them: what a cache of an earlier write must drop.
CREATE TABLE tombstones (
  key      INTEGER PRIMARY KEY,
  seq      INTEGER NOT NULL,
  checksum INTEGER NOT NULL
) STRICT;
CREATE INDEX tombstones_by_seq ON tombstones (seq);

-- The answers that retries get.
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
INSERT INTO collections SELECT key, name, embedding_space, dimension, metric, '[]', 0, 200000,
  0.99, 0, '[]' FROM collections_1;
INSERT INTO products (collection, product_id, checksum)
  SELECT DISTINCT collection, product_id, 0 FROM items_1 ORDER BY collection, product_id;
INSERT INTO items
  SELECT row_number() OVER (ORDER BY i.seq, i.rowid), i.collection, i.id, p.number, i.category,
         i.price, i.attributes, i.vector, NULL,
         item_checksum(i.id, p.number, i.category, i.price, i.attributes, i.vector, NULL)
  FROM items_1 i JOIN products p USING (collection, product_id);
UPDATE writes SET seq = (SELECT seq FROM writes_1),
                  next_key = (SELECT coalesce(max(key), 0) + 1 FROM items);
DROP TABLE items_1;
DROP TABLE collections_1;
DROP TABLE writes_1;
COMMIT;
"""

# Layout 2 had no checksums but those of items, and called tombstones deaths.
_FROM_2 = """
ALTER TABLE collections ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE aliases ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE products ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deaths RENAME TO tombstones;
ALTER TABLE tombstones ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
DROP INDEX deaths_by_seq;
CREATE INDEX tombstones_by_seq ON tombstones (seq);
"""
_CHECKSUMS = """
UPDATE collections SET checksum = checksum(key, name, embedding_space, dimension, metric,
  indexed_attributes, features_dimension, exact_up_to, target_recall);
UPDATE aliases SET checksum = checksum(name, collection);
UPDATE products SET checksum = checksum(number, collection, product_id);
UPDATE tombstones SET checksum = checksum(key, seq);
"""
# Layout 3 had no words. Its checksums stand: see `rows.collection_checksum`.
_FROM_3 = """
ALTER TABLE collections ADD COLUMN text_attributes TEXT NOT NULL DEFAULT '[]';
"""
_DONE = f"PRAGMA user_version = {VERSION};"
# Earlier layouts as if they were the current one; a row without a checksum is not verified.
_VIEWS_OF_2 = """
CREATE TEMP VIEW collections AS
  SELECT *, NULL AS checksum, '[]' AS text_attributes FROM main.collections;
CREATE TEMP VIEW aliases AS SELECT rowid, name, collection, NULL AS checksum FROM main.aliases;
CREATE TEMP VIEW products AS SELECT *, NULL AS checksum FROM main.products;
CREATE TEMP VIEW tombstones AS SELECT *, NULL AS checksum FROM main.deaths;
"""
_VIEWS_OF_3 = """
CREATE TEMP VIEW collections AS SELECT *, '[]' AS text_attributes FROM main.collections;
"""


def prepare(db: sqlite3.Connection, path: Path) -> None:
    """Sets up the writer's connection, and creates or upgrades the tables.

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
        _upgrade(db, f"{_FROM_1}{_TABLES}{_MOVE_1}{_CHECKSUMS}")
    elif version == 2:
        _upgrade(db, f"{_FROM_2}{_FROM_3}{_CHECKSUMS}")
    elif version == 3:
        _upgrade(db, _FROM_3)


def known_version(db: sqlite3.Connection, path: Path) -> int:
    """Returns the file's layout, 0 for an empty file; raises StartupError if it is a later one."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise StartupError(
            f"the store {path} has layout {version}, from a newer release; "
            f"this one knows layouts up to {VERSION}"
        )
    return int(version)


def read_as_current(db: sqlite3.Connection, path: Path) -> None:
    """Makes a connection to a file that may not be changed show it in the current layout.

    Raises:
        StartupError: It cannot, as the file's layout is too old or too new.
    """
    version = known_version(db, path)
    if version == 1:
        raise StartupError(f"the store {path} has layout 1; start this release on it first")
    if version == 2:
        db.executescript(_VIEWS_OF_2)
    if version == 3:
        db.executescript(_VIEWS_OF_3)


def _upgrade(db: sqlite3.Connection, steps: str) -> None:
    db.create_function("item_checksum", 7, item_checksum, deterministic=True)
    db.create_function("checksum", -1, checksum, deterministic=True)
    db.execute("PRAGMA foreign_keys = OFF")
    # One transaction, so that a process that ends on the way leaves the earlier layout.
    steps = f"{steps}{_DONE}".replace("BEGIN;", "").replace("COMMIT;", "")
    db.executescript(f"BEGIN;{steps}COMMIT;")
    db.execute("PRAGMA foreign_keys = ON")
