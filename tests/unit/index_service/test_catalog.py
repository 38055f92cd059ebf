"""The rules that hold between the store of record and the segments in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from index_service.catalog import Catalog
from index_service.records import Collection, Item, Metric, Search, Vector
from index_service.segments import Segment
from index_service.store import Store
from lookalike.errors import (
    CollectionExistsError,
    CollectionNotFoundError,
    DimensionMismatchError,
    EmbeddingSpaceMismatchError,
    InvalidArgumentError,
    ItemNotFoundError,
    NonFiniteVectorError,
)

LISTINGS = Collection("listings", "space-1", 2, Metric.SQUARED_L2)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "index.sqlite3") as store:
        yield store


@pytest.fixture
def catalog(store: Store) -> Catalog:
    catalog = Catalog(store)
    catalog.load()
    catalog.create(LISTINGS)
    return catalog


def vector(*values: float, space: str = "space-1") -> Vector:
    return Vector(values, space)


def upsert(catalog: Catalog, **photos: tuple[str, Vector]) -> None:
    items = [Item(photo, product, "", None, {}) for photo, (product, _) in photos.items()]
    catalog.upsert_items("listings", items, [vector for _, vector in photos.values()])


def found(catalog: Catalog, query: Vector | str, search: Search) -> list[str]:
    (result,) = catalog.find("listings", [query], search).results
    return [neighbor.item.id for neighbor in result.neighbors]


def shortfall(catalog: Catalog, query: Vector | str, search: Search) -> str:
    (result,) = catalog.find("listings", [query], search).results
    return result.shortfall


def test_second_catalog_on_the_same_store_answers_the_same(catalog: Catalog, store: Store) -> None:
    upsert(catalog, a=("x", vector(0, 0)), b=("y", vector(3, 0)), c=("z", vector(1, 0)))
    catalog.delete_items("listings", ["c"], [])
    reloaded = Catalog(store)
    reloaded.load()
    answer = reloaded.find("listings", [vector(0, 0)], Search(5))
    assert answer == catalog.find("listings", [vector(0, 0)], Search(5))
    assert answer.applied_seq == 3
    assert reloaded.collections() == [(LISTINGS, 2)]


def test_write_is_visible_to_the_next_read(catalog: Catalog) -> None:
    upsert(catalog, a=("x", vector(0, 0)))
    assert found(catalog, vector(1, 1), Search(1)) == ["a"]
    upsert(catalog, a=("x", vector(9, 9)), b=("y", vector(2, 2)))
    assert found(catalog, vector(1, 1), Search(1)) == ["b"]
    catalog.delete_items("listings", [], ["y"])
    assert found(catalog, vector(1, 1), Search(1)) == ["a"]


def test_vector_of_another_embedding_space_is_refused_naming_both(catalog: Catalog) -> None:
    with pytest.raises(EmbeddingSpaceMismatchError, match=r"'space-2'.*'space-1'") as caught:
        upsert(catalog, a=("x", vector(0, 0)), b=("y", vector(0, 0, space="space-2")))
    assert caught.value.metadata == {
        "collection_embedding_space": "space-1",
        "vector_embedding_space": "space-2",
    }
    assert caught.value.field == "items[1].vector.embedding_space"
    with pytest.raises(EmbeddingSpaceMismatchError):
        catalog.find("listings", [vector(0, 0, space="space-2")], Search(1))
    assert catalog.collection("listings") == (LISTINGS, 0)


def test_vectors_that_do_not_fit_are_refused_naming_the_field(catalog: Catalog) -> None:
    with pytest.raises(DimensionMismatchError, match=r"items\[0\].vector.values has 3 .* is 2"):
        upsert(catalog, a=("x", vector(1, 2, 3)))
    with pytest.raises(NonFiniteVectorError, match=r"queries\[1\].vector.values\[1\] is nan"):
        catalog.find("listings", [vector(0, 0), vector(0, float("nan"))], Search(1))
    catalog.create(Collection("angles", "space-1", 2, Metric.COSINE))
    with pytest.raises(InvalidArgumentError, match="no cosine"):
        catalog.find("angles", [vector(0, 0)], Search(1))


def test_query_by_item_leaves_out_the_item_and_on_request_its_product(catalog: Catalog) -> None:
    upsert(catalog, a=("x", vector(0, 0)), b=("x", vector(0, 0)), c=("y", vector(5, 5)))
    assert found(catalog, "a", Search(2)) == ["b", "c"]
    assert found(catalog, "a", Search(1, exclude_same_product=True)) == ["c"]
    with pytest.raises(ItemNotFoundError, match="'nothing'") as caught:
        found(catalog, "nothing", Search(1))
    assert caught.value.field == "queries[0].item_id"


def test_shortfall_says_what_there_is(catalog: Catalog) -> None:
    assert shortfall(catalog, vector(0, 0), Search(1)) == "the collection has no items"
    upsert(catalog, a=("x", vector(0, 0)), b=("x", vector(1, 0)), c=("y", vector(2, 0)))
    assert shortfall(catalog, vector(0, 0), Search(3)) == ""
    assert shortfall(catalog, vector(0, 0), Search(4)) == "the collection has 3 items"
    assert shortfall(catalog, "a", Search(4)) == "the collection has 2 other items"
    distinct = Search(3, distinct_products=True, exclude_same_product=True)
    expected = "the collection has 1 other product besides those left out"
    assert shortfall(catalog, "a", distinct) == expected


def test_failed_write_changes_neither_store_nor_memory(
    catalog: Catalog, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    upsert(catalog, a=("x", vector(0, 0)))

    def fail(*_: object) -> Segment:
        raise MemoryError

    monkeypatch.setattr(Segment, "with_items", fail)
    with pytest.raises(MemoryError):
        upsert(catalog, b=("y", vector(1, 1)))
    monkeypatch.undo()
    assert store.seq() == 2
    assert found(catalog, vector(1, 1), Search(5)) == ["a"]
    upsert(catalog, c=("z", vector(1, 1)))
    assert found(catalog, vector(1, 1), Search(5)) == ["c", "a"]


def test_names_of_collections_are_unique_and_free_again_after_deletion(catalog: Catalog) -> None:
    with pytest.raises(CollectionExistsError, match="listings"):
        catalog.create(LISTINGS)
    upsert(catalog, a=("x", vector(0, 0)))
    assert catalog.delete("listings") == 1
    with pytest.raises(CollectionNotFoundError, match="listings"):
        catalog.find("listings", [vector(0, 0)], Search(1))
    catalog.create(LISTINGS)
    assert catalog.collection("listings") == (LISTINGS, 0)


def test_search_overtaken_by_writes_still_answers_from_one_state(
    catalog: Catalog, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    upsert(catalog, a=("x", vector(0, 0)), b=("y", vector(1, 0)))
    read, overtakes = store.items, iter(["a", "b"])

    def overtaken(key: int, ids: list[str]) -> object:
        if item_id := next(overtakes, None):
            catalog.delete_items("listings", [item_id], [])
            upsert(catalog, **{f"{item_id}2": (item_id, vector(2, 0))})
        return read(key, ids)

    monkeypatch.setattr(store, "items", overtaken)
    assert found(catalog, vector(0, 0), Search(2)) == ["a2", "b2"]


def test_readers_beside_a_writer_only_see_whole_writes(catalog: Catalog) -> None:
    # Every write moves all ten photos to one new place and to one new product.
    done = threading.Event()

    def write() -> None:
        for step in range(50):
            upsert(catalog, **{f"p{i}": (f"product-{step}", vector(step, step)) for i in range(10)})
        done.set()

    def read() -> int:
        reads = 0
        while not done.is_set() or not reads:
            (result,) = catalog.find("listings", [vector(0, 0)], Search(10)).results
            assert len(result.neighbors) in {0, 10}
            assert len({(n.item.product_id, n.distance) for n in result.neighbors}) <= 1
            reads += 1
        return reads

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read) for _ in range(3)]
        pool.submit(write).result()
        assert all(reader.result() for reader in readers)


def test_item_comes_with_its_vector(catalog: Catalog) -> None:
    upsert(catalog, a=("x", vector(0.5, 1.5)))
    item, values, collection = catalog.item("listings", "a")
    assert (item.product_id, collection) == ("x", LISTINGS)
    np.testing.assert_array_equal(values, [0.5, 1.5])
    with pytest.raises(ItemNotFoundError):
        catalog.item("listings", "b")
