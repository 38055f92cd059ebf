"""The layout of the store's database file, and the settings that make its commits durable.

`PRAGMA user_version` counts layouts. A later layout adds its step to `prepare`; a file from a
later release than this one is refused, as this one could only misread it.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from lookalike.errors import StartupError

VERSION = 1

_TABLES = f"""
BEGIN;

-- A single row: the number of the newest write.
CREATE TABLE writes (seq INTEGER NOT NULL) STRICT;
INSERT INTO writes VALUES (0);

-- AUTOINCREMENT: the key of a deleted collection must not come back for another one.
CREATE TABLE collections (
  key             INTEGER PRIMARY KEY AUTOINCREMENT,
  name            TEXT NOT NULL UNIQUE,
  embedding_space TEXT NOT NULL,
  dimension       INTEGER NOT NULL,
  metric          TEXT NOT NULL
) STRICT;

CREATE TABLE items (
  collection INTEGER NOT NULL REFERENCES collections (key),
  id         TEXT NOT NULL,
  product_id TEXT NOT NULL,
  category   TEXT NOT NULL,
  price      REAL,
  attributes TEXT NOT NULL,     -- a JSON object of strings
  vector     BLOB NOT NULL,     -- little-endian float32
  seq        INTEGER NOT NULL,  -- the write that left the row so
  PRIMARY KEY (collection, id)
) STRICT;
CREATE INDEX items_by_product ON items (collection, product_id);

PRAGMA user_version = {VERSION};
COMMIT;
"""


def prepare(db: sqlite3.Connection, path: Path) -> None:
    """Sets up the writer's connection, and the tables of a new file.

    Raises:
        StartupError: A newer release has written the file.
    """
    db.execute("PRAGMA journal_mode = WAL")
    # In WAL mode only FULL syncs at each commit; NORMAL may lose the newest after a power cut.
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA foreign_keys = ON")
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise StartupError(
            f"the store {path} has layout {version}, from a newer release; "
            f"this one knows layouts up to {VERSION}"
        )
    if version == 0:
        db.executescript(_TABLES)
