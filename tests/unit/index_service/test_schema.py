"""The store's file from one release to the next."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from index_service.native.store import schema
from index_service.native.store.database import Store
from index_service.native.store.rows import item_checksum
from index_service.records import Collection, Item, Metric, Search
from tests.indexes import Index, photo, vector

LAYOUT_1 = """
CREATE TABLE writes (seq INTEGER NOT NULL) STRICT;
INSERT INTO writes VALUES (9);
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
  attributes TEXT NOT NULL,
  vector     BLOB NOT NULL,
  seq        INTEGER NOT NULL,
  PRIMARY KEY (collection, id)
) STRICT;
CREATE INDEX items_by_product ON items (collection, product_id);
INSERT INTO collections VALUES (2, 'listings', 'space-1', 2, 'squared_l2');
INSERT INTO collections VALUES (4, 'empty', 'space-1', 3, 'cosine');
INSERT INTO collections VALUES (7, 'others', 'space-1', 1, 'inner_product');
PRAGMA user_version = 1;
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "index.sqlite3"
    db = sqlite3.connect(path)
    db.executescript(LAYOUT_1)
    title = json.dumps({"title": "Lamp \0 ☂"}, ensure_ascii=False)
    items = [
        (2, "b", "lamp", "Home", 12.5, title, np.array([1, 0], "<f4").tobytes(), 8),
        (2, "a", "lamp", "", None, "{}", np.array([2, 0], "<f4").tobytes(), 3),
        (2, "c", "sofa", "", 0.0, "{}", np.array([3, 0], "<f4").tobytes(), 8),
        (7, "a", "lamp", "", None, "{}", np.array([4], "<f4").tobytes(), 5),
    ]
    db.executemany("INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?, ?)", items)
    db.commit()
    db.close()
    return path


def test_store_of_layout_1_is_brought_up_with_all_that_it_holds(path: Path) -> None:
    with Store(path) as store:
        assert store.collections() == {
            2: Collection("listings", "space-1", 2, Metric.SQUARED_L2),
            4: Collection("empty", "space-1", 3, Metric.COSINE),
            7: Collection("others", "space-1", 1, Metric.INNER_PRODUCT),
        }
        assert (store.seq(), store.next_key(), store.aliases()) == (9, 5, {})
        lamp = Item("b", "lamp", "Home", 12.5, {"title": "Lamp \0 ☂"})
        assert store.items(range(9)) == {
            1: Item("a", "lamp"),  # in the order of writing
            2: Item("a", "lamp"),
            3: lamp,
            4: Item("c", "sofa", "", 0.0),
        }
        assert (store.key(2, "a"), store.key(7, "a")) == (1, 2)


def test_store_of_layout_1_is_served_and_written_to_like_any_other(path: Path) -> None:
    with Store(path) as store:
        index = Index(store)
        assert index.found(vector(0, 0), Search(5)) == ["b", "a", "c"]
        assert index.upsert(photo("c", "sofa", 0, 0)).seq == 10
        assert index.delete(products=["lamp"]).deleted == 2
    with Store(path) as store:
        assert Index(store).found(vector(0, 0), Search(5)) == ["c"]


def test_upgrade_that_fails_on_the_way_leaves_layout_1(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = dump(path)
    monkeypatch.setattr(schema, "_MOVE_1", schema._MOVE_1.replace("DROP TABLE writes_1", "BROKEN"))
    with pytest.raises(Exception, match="BROKEN"), Store(path):
        pass
    assert dump(path) == before
    monkeypatch.undo()
    with Store(path) as store:
        assert store.seq() == 9


def dump(path: Path) -> list[str]:
    db = sqlite3.connect(path)
    try:
        return [*db.iterdump(), str(db.execute("PRAGMA user_version").fetchone())]
    finally:
        db.close()


def test_new_store_has_the_newest_layout_and_is_not_set_up_again(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite3"
    for _ in range(2):
        with Store(path) as store:
            (version,) = store._writer.execute("PRAGMA user_version").fetchone()
            assert (version, store.seq(), store.next_key()) == (schema.VERSION, 0, 1)


def test_checksum_depends_on_every_field_of_an_item() -> None:
    row = ("id", 1, "category", 2.5, "{}", b"vector", b"features")
    others = ("x", 2, "x", None, "x", b"x", None)
    sums = {item_checksum(*row)} | {
        item_checksum(*(*row[:i], other, *row[i + 1 :]))  # type: ignore[arg-type]
        for i, other in enumerate(others)
    }
    assert len(sums) == 8
