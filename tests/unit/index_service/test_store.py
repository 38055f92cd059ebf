"""What the store of record keeps, and what it does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from index_service.native.store.database import Columns, Store
from index_service.native.store.transaction import Transaction, Written
from index_service.records import Collection, Item, Matrix, Metric
from lookalike.errors import StartupError, StorageFullError, StoreCorruptedError
from tests.indexes import LISTINGS

COLLECTION = Collection(
    "listings",
    "space-1",
    2,
    Metric.COSINE,
    ("brand", "size"),
    3,
    full_scan_threshold=7,
    target_recall=0.5,
)
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
    with store.transaction() as write, write.operation():
        return write.create_collection(collection)


def put(write: Transaction, key: int, items: Sequence[Item], vectors: Matrix) -> Written:
    return write.upsert(key, items, vectors, [None] * len(items))


def upsert(store: Store, key: int, items: Sequence[Item], vectors: Matrix) -> Written:
    with store.transaction() as write, write.operation():
        return put(write, key, items, vectors)


def delete(store: Store, key: int, ids: Sequence[str], products: Sequence[str] = ()) -> list[int]:
    with store.transaction() as write, write.operation():
        return write.delete(key, ids, products)


def fill(store: Store) -> int:
    key = create(store)
    upsert(store, key, [LAMP, SOFA], VECTORS)
    return key


def columns(store: Store, key: int, dimension: int = 2, since: int = 0) -> Columns:
    ((found, read),) = store.columns({key: replace(LISTINGS, dimension=dimension)}, since)
    assert found == key
    return read


def ids(store: Store) -> list[str]:
    return [item.id for item in store.items(range(1, 20_000)).values()]


def test_reopened_store_has_everything(path: Path) -> None:
    with Store(path) as store:
        key = fill(store)
        with store.transaction() as write, write.operation():
            write.set_alias("shop", key)
    with Store(path) as store:
        assert store.collections() == {key: COLLECTION}
        assert store.aliases() == {"shop": key}
        assert (store.seq(), store.next_key()) == (3, 3)
        read = columns(store, key)
        assert (read.keys, read.categories, read.prices) == ([1, 2], ["Home", ""], [12.5, None])
        np.testing.assert_array_equal(read.vectors, VECTORS)
        assert store.items([1, 2, 3]) == {1: LAMP, 2: SOFA}


def test_item_comes_back_as_it_went_in(store: Store) -> None:
    key = create(store)
    features = np.array([7, 8, 9], "<f4").tobytes()
    with store.transaction() as write, write.operation():
        write.upsert(key, [LAMP, SOFA], VECTORS, [features, None])
    assert [store.key(key, name) for name in ("photo-1", "photo-9")] == [1, None]
    found = store.full_items([1, 2, 9])
    assert [found[1].item, found[2].item] == [LAMP, SOFA]
    assert found[1].vector.tolist() == [1, 2]
    assert found[1].features is not None
    assert found[1].features.tolist() == [7, 8, 9]
    assert (found[2].features, len(found)) == (None, 2)
    assert list(store.features([1, 2])) == [1]


@pytest.mark.parametrize("price", [-0.0, 0.0, 5e-324, 1e308, 2.0**53, 3.0, 0.1])
def test_any_price_that_is_accepted_can_be_read_after_a_restart(path: Path, price: float) -> None:
    with Store(path) as store:
        key = create(store)
        upsert(store, key, [LAMP._replace(price=price)], VECTORS[:1])
    with Store(path) as store:
        assert columns(store, key).prices == [price]


def test_replaced_item_gets_a_new_key_and_its_old_one_is_among_the_dead(store: Store) -> None:
    key = fill(store)
    written = upsert(store, key, [SOFA, LAMP._replace(id="photo-3")], VECTORS)
    assert (written.first_key, written.dead) == (3, {SOFA.id: 2})
    assert [store.key(key, f"photo-{i}") for i in (1, 2, 3)] == [1, 3, 4]
    assert written.products == [2, 1]  # what a product is numbered never changes
    delete(store, key, ["photo-1"])
    assert [store.tombstones(seq) for seq in (0, 2, 3, 4)] == [[1, 2], [1, 2], [1], []]
    with store.transaction() as write:
        write.forget_tombstones(3)
    assert store.tombstones(0) == [1]


def test_keys_are_not_used_again_after_their_items_are_gone(path: Path) -> None:
    with Store(path) as store:
        key = fill(store)
        delete(store, key, ["photo-1", "photo-2"])
    with Store(path) as store:
        assert upsert(store, key, [LAMP], VECTORS[:1]).first_key == 3


def test_failure_inside_a_transaction_undoes_all_of_it(store: Store) -> None:
    key = fill(store)
    with suppress(ZeroDivisionError), store.transaction() as write, write.operation():
        put(write, key, [LAMP._replace(id="photo-3", product_id="new")], VECTORS[:1])
        write.delete(key, ["photo-1"], [])
        raise ZeroDivisionError
    assert ids(store) == ["photo-1", "photo-2"]
    assert (store.seq(), store.next_key(), store.product_numbers(key, ["new"])) == (2, 3, [])
    with store.transaction() as write, write.operation():
        assert write.seq == 3


def test_failure_of_one_operation_undoes_it_alone(store: Store) -> None:
    key = fill(store)
    with store.transaction() as write:
        with write.operation():
            put(write, key, [LAMP._replace(id="before", product_id="a")], VECTORS[:1])
        with suppress(ZeroDivisionError), write.operation():
            put(write, key, [LAMP._replace(id="undone", product_id="b")], VECTORS[:1])
            write.delete(key, ["photo-1"], [])
            raise ZeroDivisionError
        with write.operation():
            written = put(write, key, [LAMP._replace(id="after", product_id="b")], VECTORS[:1])
        assert write.seq == 4
    assert written.first_key == 4
    assert ids(store) == ["photo-1", "photo-2", "before", "after"]
    assert store.items([4])[4].product_id == "b"
    assert (store.seq(), store.next_key(), store.tombstones(0)) == (4, 5, [])


def test_seq_grows_by_one_with_every_operation_and_survives_reopening(path: Path) -> None:
    seqs = []
    with Store(path) as store:
        key = create(store)
        with store.transaction() as write:
            for _ in range(3):
                with write.operation():
                    seqs.append(write.seq)
    with Store(path) as store, store.transaction() as write, write.operation():
        write.delete(key, ["unknown"], [])
        assert [*seqs, write.seq] == [2, 3, 4, 5]


def test_requests_are_remembered_with_their_answers_until_many_writes_later(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("index_service.native.store.transaction._REMEMBERED", 2)
    with store.transaction() as write, write.operation():
        assert write.answered("r1") is None
        write.remember("r1", b"digest", [1, 2])
    for remembered in (True, True, False):
        with store.transaction() as write, write.operation():
            assert write.answered("r1") == ((b"digest", [1, 2]) if remembered else None)


def test_deletion_by_item_and_by_product_names_each_item_once(store: Store) -> None:
    key = fill(store)
    other = create(store, Collection("others", "space-1", 2, Metric.COSINE))
    upsert(store, other, [LAMP], VECTORS[:1])
    assert delete(store, key, ["photo-1", "unknown"], ["lamp", "sofa"]) == [1, 2]
    assert ids(store) == ["photo-1"]  # of the other collection


def test_more_ids_than_one_statement_takes_are_all_handled(store: Store) -> None:
    key, number = create(store), 2500
    items = [LAMP._replace(id=f"photo-{i:04}", product_id=f"lamp-{i}") for i in range(number)]
    vectors = np.zeros((number, 2), np.float32)
    assert upsert(store, key, items, vectors).dead == {}
    assert len(upsert(store, key, items, vectors).dead) == number
    assert len(store.items(range(number + 1, 2 * number + 1))) == number
    assert len(store.product_numbers(key, [item.product_id for item in items])) == number
    assert len(delete(store, key, [item.id for item in items])) == number


def test_columns_come_some_rows_at_a_time_and_from_a_key_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("index_service.native.store.database._ROWS", 3)
    key, other = create(store), create(store, Collection("others", "space-1", 1, Metric.COSINE))
    for i in range(5):
        upsert(store, key, [LAMP._replace(id=str(i))], np.full((1, 2), i, np.float32))
        upsert(store, other, [LAMP._replace(id=str(i))], np.full((1, 1), i, np.float32))
    keys: dict[int, list[int]] = {key: [], other: []}
    for found, read in store.columns(store.collections(), 3):
        keys[found] += read.keys
        assert read.vectors[:, 0].tolist() == [(k - 1) // 2 for k in read.keys]
    assert keys == {key: [3, 5, 7, 9], other: [4, 6, 8, 10]}


def test_ids_that_differ_after_a_nul_are_different_items(store: Store) -> None:
    key = create(store)
    items = [LAMP._replace(id="a\0b"), LAMP._replace(id="a\0c", product_id="lamp\0")]
    assert upsert(store, key, items, VECTORS).products == [1, 2]
    assert [store.key(key, name) for name in ("a\0b", "a\0c", "a")] == [1, 2, None]
    assert columns(store, key).keys == [1, 2]  # and their checksums hold


def test_key_of_a_deleted_collection_is_not_used_again(store: Store) -> None:
    key = fill(store)
    with store.transaction() as write, write.operation():
        assert write.delete_collection(key) == 2
    assert create(store) > key
    assert (ids(store), store.product_numbers(key, ["lamp"])) == ([], [])


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
    with pytest.raises(StorageFullError, match="full"):
        upsert(store, key, items, np.zeros((100, 2), np.float32))
    assert ids(store) == ["photo-1", "photo-2"]
    store._writer.execute("PRAGMA max_page_count = 1000000")
    assert upsert(store, key, items, np.zeros((100, 2), np.float32)).first_key == 3
    assert store.seq() == 3


def test_file_that_is_no_database_is_reported_as_damaged(path: Path) -> None:
    path.write_bytes(b"not a database " * 1000)
    with pytest.raises(StoreCorruptedError, match=str(path)), Store(path):
        pass


def test_overwritten_page_is_found_when_the_store_opens(path: Path) -> None:
    with Store(path) as store:
        key = create(store)
        items = [LAMP._replace(id=f"photo-{i}") for i in range(1000)]
        upsert(store, key, items, np.zeros((1000, 2), np.float32))
    damaged = bytearray(path.read_bytes())
    middle = len(damaged) // 2 // 4096 * 4096
    damaged[middle : middle + 4096] = b"\xff" * 4096
    path.write_bytes(damaged)
    with pytest.raises(StoreCorruptedError, match="damaged"), Store(path):
        pass


@pytest.mark.parametrize(
    "change",
    ["vector = x'0000803F00008040'", "id = 'photo-x'", "price = 12.6", "features = x'00000000'"],
)
def test_item_that_is_not_as_it_was_written_is_reported(path: Path, change: str) -> None:
    with Store(path) as store:
        key = fill(store)
        store._writer.execute(f"UPDATE items SET {change} WHERE key = 1")
        with pytest.raises(StoreCorruptedError, match=r"item 'photo-.' is not as it was written"):
            columns(store, key)


def test_vector_of_a_wrong_length_is_reported_as_damage(store: Store) -> None:
    key = fill(store)
    with pytest.raises(StoreCorruptedError, match="wrong length"):
        columns(store, key, dimension=3)


def test_file_of_a_newer_release_is_refused(path: Path) -> None:
    with Store(path) as store:
        store._writer.execute("PRAGMA user_version = 99")
    for read_only in (False, True):
        store = Store(path, read_only=read_only)
        with pytest.raises(StartupError, match="layout 99, from a newer release"), store:
            pass


@pytest.mark.parametrize(("read_only", "verb"), [(False, "write to"), (True, "read")])
def test_path_that_cannot_be_opened_is_a_startup_error(
    tmp_path: Path, read_only: bool, verb: str
) -> None:
    store = Store(tmp_path / "missing" / "index.sqlite3", read_only=read_only)
    with pytest.raises(StartupError, match=f"cannot {verb} the store .* unable to open"), store:
        pass


def test_copy_is_a_whole_store_of_one_moment(store: Store, tmp_path: Path) -> None:
    key = fill(store)
    store.copy_to(tmp_path / "copy.sqlite3")
    upsert(store, key, [LAMP._replace(id="later")], VECTORS[:1])
    with Store(tmp_path / "copy.sqlite3", read_only=True) as copy:
        assert (copy.seq(), ids(copy)) == (2, ["photo-1", "photo-2"])
        assert columns(copy, key).keys == [1, 2]
