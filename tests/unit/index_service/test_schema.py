"""The store's file from one release to the next."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from index_service.native import changes
from index_service.native.store import schema
from index_service.native.store.database import Store
from index_service.native.store.rows import item_checksum
from index_service.native.store.salvage import salvage
from index_service.records import Collection, Item, Metric, Query, Search
from lookalike.errors import StartupError, StoreCorruptedError, WordsUnavailableError
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


LAYOUT_2 = """
CREATE TABLE writes (seq INTEGER NOT NULL, next_key INTEGER NOT NULL) STRICT;
INSERT INTO writes VALUES (9, 5);
CREATE TABLE collections (
  key                INTEGER PRIMARY KEY AUTOINCREMENT,
  name               TEXT NOT NULL UNIQUE,
  embedding_space    TEXT NOT NULL,
  dimension          INTEGER NOT NULL,
  metric             TEXT NOT NULL,
  indexed_attributes TEXT NOT NULL,
  features_dimension INTEGER NOT NULL,
  exact_up_to        INTEGER NOT NULL,
  target_recall      REAL NOT NULL
) STRICT;
CREATE TABLE aliases (
  name       TEXT PRIMARY KEY,
  collection INTEGER NOT NULL REFERENCES collections (key)
) STRICT;
CREATE TABLE products (
  number     INTEGER PRIMARY KEY,
  collection INTEGER NOT NULL,
  product_id TEXT NOT NULL,
  UNIQUE (collection, product_id)
) STRICT;
CREATE TABLE items (
  key        INTEGER PRIMARY KEY,
  collection INTEGER NOT NULL,
  id         TEXT NOT NULL,
  product    INTEGER NOT NULL,
  category   TEXT NOT NULL,
  price      REAL,
  attributes TEXT NOT NULL,
  vector     BLOB NOT NULL,
  features   BLOB,
  checksum   INTEGER NOT NULL,
  UNIQUE (collection, id)
) STRICT;
CREATE INDEX items_by_product ON items (product);
CREATE TABLE deaths (key INTEGER PRIMARY KEY, seq INTEGER NOT NULL) STRICT;
CREATE INDEX deaths_by_seq ON deaths (seq);
CREATE TABLE requests (
  id     TEXT PRIMARY KEY,
  seq    INTEGER NOT NULL,
  digest BLOB NOT NULL,
  answer TEXT NOT NULL
) STRICT;
CREATE INDEX requests_by_seq ON requests (seq);
INSERT INTO collections VALUES (2, 'listings', 'space-1', 2, 'squared_l2', '["brand"]', 2, 7, 0.5);
INSERT INTO aliases VALUES ('shop', 2);
INSERT INTO products VALUES (1, 2, 'lamp'), (2, 2, 'sofa');
INSERT INTO deaths VALUES (1, 8), (2, 9);
PRAGMA user_version = 2;
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


@pytest.fixture
def path_2(tmp_path: Path) -> Path:
    """A store as the release before checksums of all rows wrote it."""
    path = tmp_path / "layout-2" / "index.sqlite3"
    path.parent.mkdir()
    db = sqlite3.connect(path)
    db.executescript(LAYOUT_2)
    for key, row in enumerate([("a", 1, "Home", 12.5), ("b", 2, "", None)], 3):
        content = (*row, '{"brand": "x"}', np.array([key, 0], "<f4").tobytes(), None)
        values = (key, 2, *content, item_checksum(*content))
        db.execute("INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
    db.commit()
    db.close()
    return path


def check_layout_2(store: Store) -> None:
    described = Collection("listings", "space-1", 2, Metric.SQUARED_L2, ("brand",), 2, 7, 0.5)
    assert store.collections() == {2: described}
    assert (store.seq(), store.next_key(), store.aliases()) == (9, 5, {"shop": 2})
    assert store.tombstones(8) == [2]
    assert store.items(range(9)) == {
        3: Item("a", "lamp", "Home", 12.5, {"brand": "x"}),
        4: Item("b", "sofa", "", None, {"brand": "x"}),
    }
    assert Index(store).found(vector(9, 0), Search(5)) == ["b", "a"]


def test_store_of_layout_2_is_upgraded_with_all_that_it_holds(path_2: Path) -> None:
    with Store(path_2) as store:
        check_layout_2(store)
        index = Index(store)
        assert index.upsert(photo("c", "lamp", 7, 0), photo("a", "bed", 1, 0)).seq == 10
        assert store.tombstones(9) == [3]
    with Store(path_2) as store:  # no checksum is wrong
        assert Index(store).found(vector(9, 0), Search(5)) == ["c", "b", "a"]
        assert (store.aliases(), store.tombstones(0)) == ({"shop": 2}, [1, 2, 3])


@pytest.mark.parametrize(
    ("change", "read"),
    [
        ("collections SET name = name || '#'", Store.collections),
        ("aliases SET name = name || '#'", Store.aliases),
        ("products SET product_id = product_id || '#'", lambda store: store.items(range(9))),
        ("tombstones SET key = key + 90", lambda store: store.tombstones(0)),
    ],
)
def test_every_row_is_verified_after_an_upgrade(
    path_2: Path, change: str, read: Callable[[Store], object]
) -> None:
    with Store(path_2) as store:
        read(store)
        store._writer.execute(f"UPDATE {change}")
        with pytest.raises(StoreCorruptedError, match="not as it was written"):
            read(store)


def test_store_of_layout_2_that_may_not_be_changed_is_read_as_it_is(path_2: Path) -> None:
    before = path_2.read_bytes()
    with Store(path_2, read_only=True) as store:
        check_layout_2(store)
    assert path_2.read_bytes() == before


def test_store_of_layout_2_is_salvaged(path_2: Path) -> None:
    db = sqlite3.connect(path_2)
    db.execute("UPDATE items SET category = 'changed' WHERE id = 'a'")
    db.commit()
    db.close()
    done = salvage(path_2)
    assert (done.kept["items"], done.dropped, done.kept["products"]) == (1, 1, 2)
    with Store(path_2) as store:
        assert store.aliases() == {"shop": 2}
        assert store.items(range(9)) == {4: Item("b", "sofa", "", None, {"brand": "x"})}


def test_upgrade_of_layout_2_that_fails_on_the_way_leaves_it(
    path_2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = dump(path_2)
    monkeypatch.setattr(schema, "_CHECKSUMS", "UPDATE products SET checksum = BROKEN;")
    with pytest.raises(Exception, match="BROKEN"), Store(path_2):
        pass
    assert dump(path_2) == before


@pytest.fixture
def path_3(tmp_path: Path) -> Path:
    """A store as the release before words wrote it."""
    path = tmp_path / "layout-3" / "index.sqlite3"
    path.parent.mkdir()
    with Store(path) as store:
        index = Index(store)
        described = Collection("listings", "space-1", 2, Metric.SQUARED_L2, ("brand",), 2, 7, 0.5)
        index.create(described)
        index.apply(changes.set_alias("shop", "listings"))
        index.upsert(photo("a", "lamp", 3, 0, attributes={"title": "Lamp"}), photo("b", "x", 4, 0))
        index.delete("b")
    db = sqlite3.connect(path)
    db.execute("ALTER TABLE collections DROP COLUMN text_attributes")
    db.execute("PRAGMA user_version = 3")
    db.commit()
    db.close()
    return path


def check_layout_3(store: Store) -> None:
    described = Collection("listings", "space-1", 2, Metric.SQUARED_L2, ("brand",), 2, 7, 0.5)
    assert store.collections() == {1: described}
    assert (store.seq(), store.next_key(), store.aliases()) == (4, 3, {"shop": 1})
    assert store.tombstones(0) == [2]
    index = Index(store)
    assert index.found(vector(9, 0), Search(5)) == ["a"]
    with pytest.raises(WordsUnavailableError):
        index.find(Query(None, (), "lamp"), Search(5))


def test_store_of_layout_3_is_upgraded_with_all_that_it_holds(path_3: Path) -> None:
    with Store(path_3) as store:
        check_layout_3(store)
        index = Index(store)
        index.create(
            Collection("texts", "space-1", 2, Metric.SQUARED_L2, text_attributes=("title",))
        )
        index.upsert(photo("c", "x", 1, 0, attributes={"title": "Lamps"}), name="texts")
    with Store(path_3) as store:
        assert [c.text_attributes for c in store.collections().values()] == [(), ("title",)]
        query = Query(None, (), "lamp")
        (result,) = Index(store).finder.find("texts", [query], Search(5)).results
        assert [item.id for item in result.neighbors.items] == ["c"]


def test_store_of_layout_3_that_may_not_be_changed_is_read_as_it_is(path_3: Path) -> None:
    before = path_3.read_bytes()
    with Store(path_3, read_only=True) as store:
        check_layout_3(store)
    assert path_3.read_bytes() == before


def test_store_of_layout_3_is_salvaged(path_3: Path) -> None:
    done = salvage(path_3)
    assert (done.kept["items"], done.kept["collections"], done.dropped) == (1, 1, 0)
    with Store(path_3) as store:
        assert Index(store).found(vector(9, 0), Search(5)) == ["a"]


@pytest.mark.parametrize("upgraded", [False, True])
def test_collection_of_layout_3_that_was_changed_is_found(path_3: Path, upgraded: bool) -> None:
    """The upgrade must not take what is there for what was written."""
    if upgraded:
        with Store(path_3):
            pass
    db = sqlite3.connect(path_3)
    db.execute("UPDATE collections SET dimension = 3")
    db.commit()
    db.close()
    with pytest.raises(StoreCorruptedError, match="not as it was written"), Store(path_3):
        pass


def test_upgrade_of_layout_3_that_fails_on_the_way_leaves_it(
    path_3: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = dump(path_3)
    monkeypatch.setattr(schema, "_FROM_3", f"{schema._FROM_3} UPDATE BROKEN SET x = 1;")
    with pytest.raises(Exception, match="BROKEN"), Store(path_3):
        pass
    assert dump(path_3) == before


def test_text_attributes_that_were_changed_are_found(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite3"
    texts = Collection("texts", "space-1", 2, Metric.SQUARED_L2, text_attributes=("title",))
    for wanted, changed in ((texts, "[]"), (replace(texts, text_attributes=()), '["title"]')):
        path.unlink(missing_ok=True)
        with Store(path) as store:
            Index(store).create(wanted)
            store._writer.execute("UPDATE collections SET text_attributes = ?", (changed,))
            with pytest.raises(StoreCorruptedError, match="not as it was written"):
                store.collections()


def test_layout_1_that_may_not_be_changed_is_refused(path: Path) -> None:
    with pytest.raises(StartupError, match="has layout 1"), Store(path, read_only=True):
        pass


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
