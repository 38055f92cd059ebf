"""What the store of record keeps, and what it does not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from index_service.records import Collection, Item, Metric
from index_service.store import Store
from lookalike.errors import StartupError, StorageFullError, StoreCorruptedError

COLLECTION = Collection("listings", "space-1", 2, Metric.COSINE)
LAMP = Item("photo-1", "lamp", "Home", 12.5, {"title": "Lamp \0 ☂"})
SOFA = Item("photo-2", "sofa", "", None, {})
VECTORS = np.array([[1, 2], [3, 4]], np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index.sqlite3"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with Store(path) as store:
        yield store


def create(store: Store, collection: Collection = COLLECTION) -> int:
    with store.transaction() as write:
        return write.create_collection(collection)


def fill(store: Store) -> int:
    key = create(store)
    with store.transaction() as write:
        write.upsert(key, [LAMP, SOFA], VECTORS)
    return key


def test_reopened_store_has_everything(path: Path) -> None:
    with Store(path) as store:
        key = fill(store)
    with Store(path) as store:
        assert store.collections() == {key: COLLECTION}
        assert store.seq() == 2
        contents = store.contents(key, 2)
        assert (contents.ids, contents.product_ids) == (["photo-1", "photo-2"], ["lamp", "sofa"])
        np.testing.assert_array_equal(contents.vectors, VECTORS)
        assert {
            i: stored.item for i, stored in store.items(key, ["photo-1", "photo-2"]).items()
        } == {
            "photo-1": LAMP,
            "photo-2": SOFA,
        }


def test_item_comes_back_as_it_went_in(store: Store) -> None:
    key = fill(store)
    found = store.item(key, "photo-1")
    assert found is not None
    assert found[0] == LAMP
    assert found[1].tolist() == [1, 2]
    assert store.item(key, "photo-9") is None


def test_failure_inside_a_transaction_undoes_all_of_it(store: Store) -> None:
    key = fill(store)
    with suppress(ZeroDivisionError), store.transaction() as write:
        write.upsert(key, [LAMP._replace(id="photo-3")], VECTORS[:1])
        write.delete(key, ["photo-1"], [])
        raise ZeroDivisionError
    assert store.contents(key, 2).ids == ["photo-1", "photo-2"]
    assert store.seq() == 2
    with store.transaction() as write:
        assert write.seq == 3


def test_seq_grows_by_one_with_every_write_and_survives_reopening(path: Path) -> None:
    with Store(path) as store:
        key = create(store)
        seqs = []
        for _ in range(3):
            with store.transaction() as write:
                seqs.append(write.seq)
    with Store(path) as store:
        with store.transaction() as write:
            write.delete(key, ["unknown"], [])
        assert [*seqs, write.seq] == [2, 3, 4, 5]


def test_rows_say_which_write_left_them(store: Store) -> None:
    key = fill(store)
    with store.transaction() as write:
        assert write.upsert(key, [SOFA, SOFA._replace(id="photo-3")], VECTORS) == 1
    stored = store.items(key, ["photo-1", "photo-2", "photo-3", "photo-4"])
    assert {i: row.seq for i, row in stored.items()} == {"photo-1": 2, "photo-2": 3, "photo-3": 3}


def test_deletion_by_item_and_by_product_names_each_item_once(store: Store) -> None:
    key = fill(store)
    with store.transaction() as write:
        gone = write.delete(key, ["photo-1", "unknown"], ["lamp", "sofa"])
    assert sorted(gone) == ["photo-1", "photo-2"]
    assert store.contents(key, 2).ids == []


def test_more_ids_than_one_statement_takes_are_all_handled(store: Store) -> None:
    key, number = create(store), 2500
    items = [LAMP._replace(id=f"photo-{i:04}") for i in range(number)]
    ids = [item.id for item in items]
    vectors = np.zeros((number, 2), np.float32)
    with store.transaction() as write:
        assert write.upsert(key, items, vectors) == number
    with store.transaction() as write:
        assert write.upsert(key, items, vectors) == 0
    assert len(store.items(key, ids)) == number
    with store.transaction() as write:
        assert len(write.delete(key, ids, [])) == number


def test_ids_that_differ_after_a_nul_are_different_items(store: Store) -> None:
    key = create(store)
    items = [LAMP._replace(id="a\0b"), LAMP._replace(id="a\0c")]
    with store.transaction() as write:
        assert write.upsert(key, items, VECTORS) == 2
    assert list(store.items(key, ["a\0b"])) == ["a\0b"]


def test_key_of_a_deleted_collection_is_not_used_again(store: Store) -> None:
    key = fill(store)
    with store.transaction() as write:
        assert write.delete_collection(key) == 2
    assert create(store) > key
    assert store.contents(key, 2).ids == []


def test_commits_are_synced_to_disk(store: Store) -> None:
    writer = store._writer
    assert writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert writer.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert writer.execute("PRAGMA foreign_keys").fetchone() == (1,)


def test_full_disk_keeps_nothing_of_the_write_and_the_store_goes_on(store: Store) -> None:
    key = fill(store)
    pages = store._writer.execute("PRAGMA page_count").fetchone()[0]
    store._writer.execute(f"PRAGMA max_page_count = {pages}")
    items = [LAMP._replace(id=f"new-{i}", attributes={"text": "x" * 1000}) for i in range(100)]
    with pytest.raises(StorageFullError, match="full"), store.transaction() as write:
        write.upsert(key, items, np.zeros((100, 2), np.float32))
    assert store.contents(key, 2).ids == ["photo-1", "photo-2"]
    store._writer.execute("PRAGMA max_page_count = 1000000")
    with store.transaction() as write:
        assert write.seq == 3
        assert write.upsert(key, items, np.zeros((100, 2), np.float32)) == 100


def test_file_that_is_no_database_is_reported_as_damaged(path: Path) -> None:
    path.write_bytes(b"not a database " * 1000)
    with pytest.raises(StoreCorruptedError, match=str(path)), Store(path):
        pass


def test_overwritten_page_is_found_when_the_store_opens(path: Path) -> None:
    with Store(path) as store:
        key = create(store)
        items = [LAMP._replace(id=f"photo-{i}") for i in range(1000)]
        with store.transaction() as write:
            write.upsert(key, items, np.zeros((1000, 2), np.float32))
    damaged = bytearray(path.read_bytes())
    middle = len(damaged) // 2 // 4096 * 4096
    damaged[middle : middle + 4096] = b"\xff" * 4096
    path.write_bytes(damaged)
    with pytest.raises(StoreCorruptedError, match="damaged"), Store(path):
        pass


def test_vector_of_a_wrong_length_is_reported_as_damage(store: Store) -> None:
    key = fill(store)
    with pytest.raises(StoreCorruptedError, match="wrong length"):
        store.contents(key, 3)


def test_file_of_a_newer_release_is_refused(path: Path) -> None:
    with Store(path) as store:
        store._writer.execute("PRAGMA user_version = 99")
    with pytest.raises(StartupError, match="layout 99, from a newer release"), Store(path):
        pass


def test_path_that_cannot_be_opened_is_a_startup_error(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="unable to open"):
        Store(tmp_path / "missing" / "index.sqlite3").open()
