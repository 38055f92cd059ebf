"""What is kept of a damaged store."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from index_service.native import changes
from index_service.native.disk import cache
from index_service.native.store.database import Store
from index_service.native.store.salvage import salvage
from index_service.records import NO_FILTER, Search
from lookalike.errors import StartupError, StoreCorruptedError
from tests.indexes import Index, photo, vector

PAGE = 4096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index.sqlite3"


def fill(path: Path, count: int = 2000) -> None:
    with Store(path) as store:
        index = Index(store)
        index.create()
        index.upsert(*[photo(f"photo-{i}", f"product-{i // 3}", i, 0) for i in range(count)])
        index.apply(changes.set_alias("shop", "listings"))
        index.delete("photo-0")


def overwrite(path: Path, page: int) -> None:
    content = bytearray(path.read_bytes())
    content[page * PAGE : (page + 1) * PAGE] = b"\xff" * PAGE
    path.write_bytes(content)


def test_good_store_is_kept_whole(path: Path) -> None:
    fill(path)
    before = path.read_bytes()
    done = salvage(path)
    assert (done.kept["collections"], done.kept["items"], done.dropped) == (1, 1999, 0)
    assert done.damaged.read_bytes() == before
    with Store(path) as store:
        index = Index(store)
        assert (store.seq(), store.next_key(), store.aliases()) == (4, 2001, {"shop": 1})
        assert index.catalog.count("listings", NO_FILTER, 0).items == 1999
        assert index.upsert(photo("new", "x", 0, 0)).seq == 5
        assert store.key(1, "new") == 2001


def test_item_whose_content_was_changed_is_dropped(path: Path) -> None:
    fill(path, 100)
    db = sqlite3.connect(path)
    db.execute("UPDATE items SET vector = zeroblob(8) WHERE id = 'photo-7'")
    db.commit()
    db.close()
    done = salvage(path)
    assert (done.kept["items"], done.dropped) == (98, 1)
    with Store(path) as store:
        assert "photo-7" not in Index(store).found(vector(0, 0), Search(200))


def test_all_but_the_damaged_pages_is_kept(path: Path) -> None:
    fill(path)
    pages = path.stat().st_size // PAGE
    overwrite(path, pages // 2)
    with pytest.raises(StoreCorruptedError), Store(path):
        pass
    done = salvage(path)
    assert 0 < done.kept["items"] < 2000
    with Store(path) as store:
        index = Index(store)
        assert index.catalog.count("listings", NO_FILTER, 0).items == done.kept["items"]
        items, distances, _ = index.find(vector(0, 0), Search(1000)).neighbors
        for item, distance in zip(items, distances, strict=True):
            number = int(item.id.removeprefix("photo-"))
            assert (item.product_id, distance) == (f"product-{number // 3}", number**2)
        index.upsert(*[photo(f"photo-{i}", "again", i, 0) for i in range(2000)])
        assert index.catalog.count("listings", NO_FILTER, 0).items == 2000


@pytest.mark.parametrize("page", [1, 2, 3, 5, 6, 8, 12, 28])
def test_whichever_page_is_damaged_what_is_kept_can_be_served(path: Path, page: int) -> None:
    fill(path, 600)
    if page >= path.stat().st_size // PAGE:
        return
    overwrite(path, page)
    done = salvage(path)
    with Store(path) as store:
        index = Index(store)
        if done.kept["collections"]:
            assert index.catalog.count("listings", NO_FILTER, 0).items == done.kept["items"]
            index.found(vector(0, 0), Search(600))
            index.upsert(photo("new", "x", 0, 0))
        else:
            assert done.kept["items"] == 0


def test_cache_of_before_does_not_bring_dropped_items_back(path: Path) -> None:
    fill(path, 100)
    directory = path.parent / "cache"
    with Store(path) as store:
        cache.save(directory, Index(store).state)
        store._writer.execute("UPDATE items SET vector = zeroblob(8) WHERE id = 'photo-7'")
    assert salvage(path).dropped == 1
    with Store(path) as store:
        index = Index(store, directory)
        assert len(index.segments()) == 98
        assert len(index.found(vector(0, 0), Search(200))) == 98


def test_file_that_is_no_database_is_left_as_it_is(path: Path) -> None:
    path.write_bytes(b"not a database " * 1000)
    with pytest.raises(StartupError, match="nothing of the store"):
        salvage(path)
    assert path.read_bytes() == b"not a database " * 1000


def test_missing_file_and_other_layouts_are_refused(path: Path) -> None:
    with pytest.raises(StartupError, match="nothing of the store"):
        salvage(path)
    assert not path.exists()
    fill(path, 1)
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 1")
    db.close()
    with pytest.raises(StartupError, match="has layout 1; start this release on it first"):
        salvage(path)
