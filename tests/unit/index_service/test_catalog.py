"""Single items, pages of them, and their number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from index_service.native.memory import segments as segments_module
from index_service.native.store.database import Store
from index_service.records import NO_FILTER, Count, Filter, View
from lookalike.errors import IndexRecoveringError, ItemNotFoundError, UnknownFilterFieldError
from tests.indexes import LISTINGS, Index, photo

INDEXED = replace(LISTINGS, indexed_attributes=("brand",), features_dimension=1)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    monkeypatch.setattr(segments_module, "MOST_ROWS", 4)
    with Store(tmp_path / "index.sqlite3") as store:
        index = Index(store)
        index.create(INDEXED)
        index.upsert(
            *[
                photo(
                    f"photo-{i}",
                    f"product-{i // 2}",
                    i,
                    0,
                    price=i or None,
                    attributes={"brand": ["acme", "umbrella", "acme"][i % 3]},
                    features=[i + 1] if i % 2 else [],
                )
                for i in range(10)
            ]
        )
        yield index


def page(
    index: Index,
    only: Filter = NO_FILTER,
    *,
    size: int = 4,
    after: int = 0,
    view: View = View.FULL,
) -> tuple[list[str], int]:
    found = index.catalog.list_items("listings", only, size=size, after=after, view=view, min_seq=0)
    return [each.item.id for each in found.items], found.following


def every_page(index: Index, only: Filter = NO_FILTER, *, size: int) -> list[list[str]]:
    pages, after = [], 0
    while True:
        ids, after = page(index, only, size=size, after=after)
        pages.append(ids)
        if not after:
            return pages


def names(*numbers: int) -> list[str]:
    return [f"photo-{number}" for number in numbers]


def test_item_comes_with_its_vector_and_features(index: Index) -> None:
    found, collection = index.catalog.item("listings", "photo-3", 0)
    assert (found.item.product_id, found.item.price, collection) == ("product-1", 3.0, INDEXED)
    assert found.vector.tolist() == [3, 0]
    assert found.features is not None
    assert found.features.tolist() == [4]
    assert index.catalog.item("listings", "photo-2", 0)[0].features is None
    with pytest.raises(ItemNotFoundError, match="'nothing'") as caught:
        index.catalog.item("listings", "nothing", 0)
    assert (caught.value.field, caught.value.resource) == ("item_id", ("item", "nothing"))
    with pytest.raises(IndexRecoveringError):
        index.catalog.item("listings", "photo-3", 99)


@pytest.mark.parametrize("size", [1, 3, 4, 5, 9, 10, 11])
def test_pages_together_are_all_items_once_in_the_order_of_writing(index: Index, size: int) -> None:
    pages = every_page(index, size=size)
    assert [item_id for ids in pages for item_id in ids] == names(*range(10))
    assert all(len(ids) == size for ids in pages[:-1])
    assert pages[-1]


def test_pages_hold_their_filter(index: Index) -> None:
    acme = Filter(attributes=(("brand", ("acme",)),), min_price=2)
    assert every_page(index, acme, size=2) == [names(2, 3), names(5, 6), names(8, 9)]
    assert every_page(index, Filter(product_ids=("unknown",)), size=2) == [[]]
    with pytest.raises(UnknownFilterFieldError):
        page(index, Filter(attributes=(("colour", ("red",)),)))


def test_item_written_between_two_pages_comes_on_a_later_one(index: Index) -> None:
    first, after = page(index)
    assert first == names(0, 1, 2, 3)
    index.delete("photo-4")
    index.upsert(photo("photo-5", "product-2", 0, 0), photo("new", "x", 0, 0))
    second, after = page(index, after=after)
    assert second == names(6, 7, 8, 9)
    assert page(index, after=after) == (["photo-5", "new"], 0)


def test_page_that_begins_behind_the_last_item_is_empty(index: Index) -> None:
    assert page(index, after=10) == ([], 0)
    assert page(index, after=1 << 61) == ([], 0)


def test_page_has_vectors_only_where_they_are_asked_for(index: Index) -> None:
    def listed(view: View) -> list[int]:
        found = index.catalog.list_items(
            "listings", NO_FILTER, size=2, after=0, view=view, min_seq=0
        )
        return [len(each.vector) for each in found.items]

    assert [listed(view) for view in View] == [[0, 0], [0, 0], [2, 2]]


def test_items_and_their_products_are_counted(index: Index) -> None:
    assert index.catalog.count("listings", NO_FILTER, 0) == Count(10, 5, 2)
    index.delete("photo-9", "photo-0", "photo-1")
    index.upsert(photo("photo-2", "product-4", 0, 0))
    assert index.catalog.count("listings", NO_FILTER, 0) == Count(7, 4, 4)
    assert index.catalog.count("listings", Filter(max_price=4), 0) == Count(2, 2, 4)
    assert index.catalog.count("listings", Filter(categories=("none",)), 0) == Count(0, 0, 4)
    with pytest.raises(IndexRecoveringError):
        index.catalog.count("listings", NO_FILTER, 5)


def test_collection_without_items_has_a_page_and_a_count(index: Index) -> None:
    index.create(replace(INDEXED, name="empty"))
    found = index.catalog.list_items("empty", NO_FILTER, size=1, after=0, view=View.IDS, min_seq=0)
    assert (found.items, found.following) == ([], 0)
    only = Filter(categories=("home",))
    assert index.catalog.count("empty", only, 0) == Count(0, 0, 3)
