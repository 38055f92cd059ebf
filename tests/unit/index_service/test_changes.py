"""What writes do to the store and to what readers see, in agreement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index_service.native import changes
from index_service.native.memory.columns import Rows
from index_service.native.memory.segments import Segments
from index_service.native.store.database import Store
from index_service.records import Collection, Deleted, Metric, Search, Upserted
from lookalike.errors import (
    AliasNotFoundError,
    CollectionExistsError,
    CollectionInUseError,
    CollectionNotFoundError,
    DimensionMismatchError,
    EmbeddingSpaceMismatchError,
    InvalidArgumentError,
    NonFiniteVectorError,
    RequestIdReusedError,
)
from tests.indexes import LISTINGS, SPACE, Index, Photo, batch, photo, vector

OTHERS = Collection("others", SPACE, 3, Metric.COSINE, features_dimension=2)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Store(tmp_path / "index.sqlite3") as store:
        index = Index(store)
        index.create()
        yield index


def same(first: Index, second: Index) -> bool:
    """Whether two indexes would answer everything alike."""
    described = [
        (
            index.state.seq,
            index.state.aliases,
            {
                name: (
                    snapshot.key,
                    snapshot.collection,
                    [key for part in snapshot.segments.parts for key in part.live().keys],
                    [
                        row.tolist()
                        for part in snapshot.segments.parts
                        for row in part.live().vectors
                    ],
                )
                for name, snapshot in index.state.collections.items()
            },
        )
        for index in (first, second)
    ]
    return described[0] == described[1]


def test_write_is_visible_to_the_next_read(index: Index) -> None:
    index.upsert(photo("a", "x", 0, 0))
    assert index.found(vector(1, 1), Search(1)) == ["a"]
    assert index.upsert(photo("a", "x", 9, 9), photo("b", "y", 2, 2)) == Upserted(3, 1, 1)
    assert index.found(vector(1, 1), Search(1)) == ["b"]
    assert index.delete(products=["y"]) == Deleted(4, 1)
    assert index.found(vector(1, 1), Search(1)) == ["a"]


ids = st.lists(st.sampled_from("abcdef"), unique=True, min_size=1, max_size=4)


@settings(max_examples=30, deadline=None)
@given(writes=st.lists(st.tuples(st.sampled_from(["upsert", "items", "product"]), ids), max_size=8))
def test_any_sequence_of_writes_leaves_what_a_restart_would_find(
    writes: list[tuple[str, list[str]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with Store(tmp_path_factory.mktemp("store") / "index.sqlite3") as store:
        index, expected = Index(store), dict[str, tuple[str, int]]()
        index.create()
        for step, (kind, names) in enumerate(writes):
            if kind == "upsert":
                index.upsert(*[photo(name, f"product-{name}", step, 0) for name in names])
                expected |= {name: (f"product-{name}", step) for name in names}
            elif kind == "items":
                assert index.delete(*names).deleted == len(expected.keys() & set(names))
                expected = {name: kept for name, kept in expected.items() if name not in names}
            else:
                index.delete(products=[f"product-{name}" for name in names])
                expected = {name: kept for name, kept in expected.items() if name not in names}
        assert len(index.segments()) == len(expected)
        for name, (product, step) in expected.items():
            found, _ = index.catalog.item("listings", name, 0)
            assert (found.item.product_id, found.vector.tolist()) == (product, [step, 0])
        assert same(index, Index(store))


def test_failed_write_changes_neither_store_nor_memory(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.upsert(photo("a", "x", 0, 0))

    def fail(self: Segments, new: Rows) -> Segments:
        raise MemoryError

    monkeypatch.setattr(Segments, "with_rows", fail)
    with pytest.raises(MemoryError):
        index.upsert(photo("b", "y", 1, 1), photo("a", "x", 1, 1))
    monkeypatch.undo()
    assert index.found(vector(1, 1), Search(5)) == ["a"]
    index.upsert(photo("c", "z", 1, 1))
    assert index.found(vector(1, 1), Search(5)) == ["c", "a"]
    assert same(index, Index(index.store))


def refused(index: Index, *photos: Photo, name: str = "listings") -> str:
    """The field that an upsert is refused for."""
    with pytest.raises(
        (EmbeddingSpaceMismatchError, DimensionMismatchError, NonFiniteVectorError)
    ) as caught:
        index.upsert(*photos, name=name)
    return caught.value.field


def test_vector_of_another_embedding_space_is_refused_naming_both(index: Index) -> None:
    foreign = photo("b", "y", 0, 0)._replace(vector=vector(0, 0, space="space-2"))
    with pytest.raises(EmbeddingSpaceMismatchError, match=r"'space-2'.*'space-1'") as caught:
        index.upsert(photo("a", "x", 0, 0), foreign)
    assert caught.value.metadata == {
        "collection_embedding_space": "space-1",
        "vector_embedding_space": "space-2",
    }
    assert caught.value.field == "items[1].vector.embedding_space"
    assert len(index.segments()) == 0


def test_vectors_and_features_that_do_not_fit_are_refused_naming_the_field(index: Index) -> None:
    good = photo("a", "x", 0, 0)
    assert refused(index, good, photo("b", "x", 1, 2, 3)) == "items[1].vector.values"
    assert refused(index, good, photo("b", "x", 1, float("nan"))) == "items[1].vector.values"
    assert refused(index, good, photo("b", "x", 1, 2, features=[1])) == "items[1].features"
    index.create(OTHERS)
    with pytest.raises(InvalidArgumentError, match=r"items\[0\].vector.values are all zero"):
        index.upsert(photo("a", "x", 0, 0, 0), name="others")
    with pytest.raises(InvalidArgumentError, match=r"items\[0\].features are all zero"):
        index.upsert(photo("a", "x", 1, 0, 0, features=[0, 0]), name="others")


def test_features_belong_to_their_item_where_others_have_none(index: Index) -> None:
    index.create(OTHERS)
    index.upsert(
        photo("a", "x", 1, 0, 0),
        photo("b", "x", 1, 0, 0, features=[1, 2]),
        photo("c", "x", 1, 0, 0),
        photo("d", "x", 1, 0, 0, features=[3, 4]),
        name="others",
    )
    kept = index.store.features([1, 2, 3, 4])
    assert {key: found.tolist() for key, found in kept.items()} == {2: [1, 2], 4: [3, 4]}


def test_batch_made_ready_for_one_collection_is_made_again_if_the_alias_has_moved(
    index: Index,
) -> None:
    index.create(replace(LISTINGS, name="new", metric=Metric.COSINE))
    index.apply(changes.set_alias("shop", "listings"))
    waiting = index.upserting(photo("a", "x", 3, 4), name="shop")
    zero = index.upserting(photo("b", "x", 0, 0), name="shop")
    index.apply(changes.set_alias("shop", "new"))
    assert index.apply(waiting).inserted == 1
    np.testing.assert_allclose(index.segments("new").vectors(np.array([0])), [[0.6, 0.8]])
    with pytest.raises(InvalidArgumentError, match="cosine"):
        index.apply(zero)
    assert len(index.segments("listings")) == 0


def test_names_of_collections_are_unique_and_free_again_after_deletion(index: Index) -> None:
    with pytest.raises(CollectionExistsError, match="a collection 'listings' already"):
        index.create()
    index.upsert(photo("a", "x", 0, 0))
    assert index.apply(changes.delete_collection("listings")) == 1
    with pytest.raises(CollectionNotFoundError, match="listings"):
        index.found(vector(0, 0), Search(1))
    index.create()
    assert len(index.segments()) == 0
    index.upsert(photo("a", "x", 0, 0))
    assert same(index, Index(index.store))


def test_alias_leads_where_it_was_set_last_and_guards_its_collection(index: Index) -> None:
    index.create(OTHERS)
    assert index.apply(changes.set_alias("shop", "listings")) == ("", 3)
    assert index.apply(changes.set_alias("window", "shop")) == ("", 4)  # an alias of an alias
    assert index.state.aliases == {"shop": "listings", "window": "listings"}
    with pytest.raises(CollectionInUseError, match="alias 'shop'"):
        index.apply(changes.delete_collection("listings"))
    assert index.apply(changes.set_alias("shop", "others")) == ("listings", 5)
    assert index.state.find("shop").collection == OTHERS
    index.upsert(photo("a", "x", 0, 0), name="window")
    assert len(index.segments("listings")) == 1
    assert same(index, Index(index.store))
    assert index.apply(changes.delete_alias("window")) == 7
    with pytest.raises(AliasNotFoundError):
        index.apply(changes.delete_alias("window"))
    with pytest.raises(CollectionNotFoundError, match="'shop' is an alias"):
        index.apply(changes.delete_collection("shop"))
    assert index.apply(changes.delete_collection("listings")) == 1


def test_names_of_aliases_and_collections_do_not_meet(index: Index) -> None:
    index.apply(changes.set_alias("shop", "listings"))
    with pytest.raises(CollectionExistsError, match="an alias 'shop' already"):
        index.create(replace(LISTINGS, name="shop"))
    with pytest.raises(CollectionExistsError, match="a collection 'listings' already"):
        index.apply(changes.set_alias("listings", "listings"))
    with pytest.raises(CollectionNotFoundError, match="no collection or alias 'nothing'"):
        index.apply(changes.set_alias("other", "nothing"))


def test_retry_is_answered_as_the_first_was_and_changes_nothing(index: Index) -> None:
    def request(digest: bytes = b"same") -> Upserted:
        operation = index.upserting(photo("a", "x", 0, 0))
        return index.apply(changes.once(operation, "request-1", digest, Upserted))

    first = request()
    segments = index.segments()
    assert request() == first == Upserted(2, 1, 0)
    assert index.segments() is segments
    with pytest.raises(RequestIdReusedError, match="'request-1' came before") as caught:
        request(b"other")
    assert caught.value.field == "request_id"
    index = Index(index.store)
    assert request() == first
    assert index.upsert(photo("a", "x", 0, 0)).seq > first.seq


def test_request_that_failed_is_done_when_it_is_retried(index: Index) -> None:
    def request() -> Deleted:
        operation = changes.delete_items("others", ["a"], [])
        return index.apply(changes.once(operation, "request-1", b"same", Deleted))

    with pytest.raises(CollectionNotFoundError):
        request()
    index.create(OTHERS)
    assert request().deleted == 0


def test_digest_tells_contents_apart() -> None:
    given = batch([photo("a", "x", 0, 0)])
    parts = [("upsert", "n", given.items), ("upsert", "m", given.items), ("upsert", "n", [])]
    assert len({changes.digest(*each) for each in parts}) == 3
    assert changes.digest(*parts[0]) == changes.digest("upsert", "n", given.items)
