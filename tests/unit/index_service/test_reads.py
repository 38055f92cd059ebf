"""What all reads have in common: one state, the items of the store, and beginning again."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from index_service.native.item_cache import ItemCache
from index_service.native.memory.state import State
from index_service.native.reads import ATTEMPTS, StaleStateError
from index_service.native.store.database import Store
from index_service.records import Filter, Item, Query, Search, View
from lookalike.errors import IndexRecoveringError, StoreCorruptedError
from tests.indexes import Index, photo, vector


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Store(tmp_path / "index.sqlite3") as store:
        index = Index(store)
        index.create()
        index.upsert(photo("a", "x", 0, 0), photo("b", "y", 1, 0))
        yield index


def overtake(index: Index, monkeypatch: pytest.MonkeyPatch, *ids: str) -> None:
    """Replaces one of the items by another one each time before items are read."""
    read, overtakes = index.store.items, iter(ids)

    def overtaken(keys: Sequence[int]) -> dict[int, Item]:
        if item_id := next(overtakes, None):
            index.delete(item_id)
            index.upsert(photo(f"{item_id}2", item_id, 2, 0))
        return read(keys)

    monkeypatch.setattr(index.store, "items", overtaken)


def test_search_overtaken_by_writes_still_answers_from_one_state(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    overtake(index, monkeypatch, "a", "b")
    answer = index.finder.find("listings", [Query(vector(0, 0))], Search(2))
    assert [item.id for item in answer.results[0].neighbors.items] == ["a2", "b2"]
    assert answer.applied_seq == index.state.seq == 6


def test_list_overtaken_by_a_write_begins_again(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    overtake(index, monkeypatch, "a")
    page = index.catalog.list_items(
        "listings", Filter(), size=5, after=0, view=View.FULL, min_seq=0
    )
    assert [each.item.id for each in page.items] == ["b", "a2"]


def test_read_that_is_overtaken_again_and_again_ends_by_holding_writes_up(index: Index) -> None:
    held: list[bool] = []

    def read(state: State) -> int:
        held.append(index.writing.locked())
        if not index.writing.locked():
            raise StaleStateError
        return state.seq

    assert index.reads.read(read) == 2
    assert held == [*[False] * ATTEMPTS, True]
    assert not index.writing.locked()


def test_store_that_lacks_what_memory_has_is_damaged(index: Index) -> None:
    key = index.store.key(1, "a")
    index.store._writer.execute("DELETE FROM items WHERE key = ?", (key,))
    with pytest.raises(StoreCorruptedError, match="lacks items"):
        index.found(vector(0, 0), Search(5))


def test_item_that_is_newer_than_the_state_makes_the_read_begin_again(index: Index) -> None:
    before = index.state
    index.upsert(photo("c", "z", 5, 0))
    after, index.state = index.state, before
    with pytest.raises(StaleStateError):
        index.reads.row_of(before.find("listings"), "c")
    index.state = after
    assert index.reads.row_of(after.find("listings"), "c") == 2
    assert index.reads.row_of(after.find("listings"), "nothing") is None


def test_write_that_is_not_there_yet_is_named_in_the_error(index: Index) -> None:
    assert index.reads.state(min_seq=2) is index.state
    with pytest.raises(IndexRecoveringError, match="up to 2; min_seq is 3") as caught:
        index.reads.state(min_seq=3)
    assert caught.value.retry_after_ms is not None


def test_items_are_read_once_and_then_come_from_memory(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = index.reads.items([1, 2, 1])
    monkeypatch.setattr(index.store, "items", None)
    assert index.reads.items([2, 1]) == first
    assert {key: item.id for key, item in first.items()} == {1: "a", 2: "b"}


def test_readers_beside_a_writer_only_see_whole_writes(index: Index) -> None:
    # Every write moves all ten photos to one new place and to one new product.
    index.delete("a", "b")
    done = threading.Event()

    def write() -> None:
        try:
            for step in range(30):
                photos = [photo(f"p{i}", f"product-{step}", step, step) for i in range(10)]
                with index.writing:
                    index.upsert(*photos)
        finally:
            done.set()

    def read() -> int:
        reads = 0
        while not done.is_set() or not reads:
            found = index.find(vector(0, 0), Search(10)).neighbors
            assert len(found.items) in {0, 10}
            assert len({item.product_id for item in found.items}) <= 1
            assert len(set(found.distances)) <= 1
            reads += 1
        return reads

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read) for _ in range(3)]
        pool.submit(write).result()
        assert all(reader.result() for reader in readers)


def items(*keys: int) -> dict[int, Item]:
    return {key: Item(str(key), "x") for key in keys}


def test_cache_lets_the_older_half_go_when_it_is_full() -> None:
    cache = ItemCache(4)
    for key in range(1, 7):
        cache.keep(items(key))
    kept = [item and item.id for item in cache.known(range(1, 7))]
    assert kept == [None, None, None, "4", "5", "6"]


def test_cache_knows_what_it_was_given_last() -> None:
    cache = ItemCache(1000)
    cache.keep(items(1, 2))
    cache.keep(items(3))
    assert cache.known([3, 1, 9]) == [Item("3", "x"), Item("1", "x"), None]
