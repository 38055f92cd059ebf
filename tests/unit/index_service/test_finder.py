"""From queries to neighbours: what is left out, ranking again, and why there are too few."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index_service.distances import Distances
from index_service.distances import distances as exact_distances
from index_service.native.search import second_stage
from index_service.native.store.database import Store
from index_service.records import (
    Collection,
    Filter,
    Item,
    Matrix,
    Method,
    Metric,
    Query,
    QueryAnswer,
    RangeAnswer,
    Rerank,
    Search,
)
from lookalike.errors import (
    CollectionNotFoundError,
    EmbeddingSpaceMismatchError,
    IndexRecoveringError,
    InvalidArgumentError,
    ItemNotFoundError,
    UnknownFilterFieldError,
)
from tests.examples import examples
from tests.indexes import SPACE, Index, photo, vector

DESCRIBED = Collection(
    "listings", SPACE, 2, Metric.SQUARED_L2, indexed_attributes=("brand",), features_dimension=2
)
ORIGIN = vector(0, 0)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Store(tmp_path / "index.sqlite3") as store:
        index = Index(store)
        index.create(DESCRIBED)
        yield index


@pytest.fixture
def filled(index: Index) -> Index:
    index.upsert(
        photo("a", "x", 0, 0, category="home", price=5, features=[1, 0]),
        photo("b", "x", 1, 0, category="home", attributes={"brand": "acme"}, features=[0, 1]),
        photo("c", "y", 2, 0, category="garden", price=1, features=[-1, 0.1]),
        photo("d", "z", 3, 0, attributes={"brand": "umbrella"}),
    )
    return index


def shortfall(index: Index, query: Query | str, search: Search) -> str:
    return index.find(query, search).shortfall


def test_neighbours_come_with_their_items_and_distances(filled: Index) -> None:
    answer = filled.finder.find("listings", [Query(ORIGIN)], Search(2))
    (result,) = answer.results
    first, second = result.neighbors.items
    assert first == Item("a", "x", "home", 5.0, {})
    assert second == Item("b", "x", "home", None, {"brand": "acme"})
    assert result.neighbors[1:] == ([0.0, 1.0], None)
    assert (result.method, result.candidates_scanned, result.shortfall) == (Method.EXACT, 4, "")
    assert (answer.applied_seq, answer.collection) == (2, DESCRIBED)


def test_query_by_item_leaves_out_the_item_and_on_request_its_product(filled: Index) -> None:
    assert filled.found("a", Search(2)) == ["b", "c"]
    assert filled.found("a", Search(2, exclude_same_product=True)) == ["c", "d"]
    with pytest.raises(ItemNotFoundError, match="'nothing'") as caught:
        filled.found("nothing", Search(1))
    assert caught.value.field == "queries[0].item_id"


def test_filter_and_products_that_are_left_out_hold_together(filled: Index) -> None:
    def found(**only: object) -> list[str]:
        return filled.found(ORIGIN, Search(5, filter=Filter(**only)))  # type: ignore[arg-type]

    assert found(categories=("home", "garden")) == ["a", "b", "c"]
    assert found(categories=("home", "garden"), exclude_product_ids=("y",)) == ["a", "b"]
    assert found(attributes=(("brand", ("acme", "umbrella")),)) == ["b", "d"]
    assert found(min_price=1, max_price=5) == ["a", "c"]
    assert found(product_ids=("z", "unknown")) == ["d"]
    assert found(product_ids=("unknown",)) == []
    with pytest.raises(UnknownFilterFieldError):
        found(attributes=(("colour", ("red",)),))


def test_nothing_is_farther_than_the_distance_asked_for(filled: Index) -> None:
    assert filled.found(ORIGIN, Search(5, max_distance=4)) == ["a", "b", "c"]
    assert filled.found(ORIGIN, Search(2, max_distance=4)) == ["a", "b"]
    assert filled.found(ORIGIN, Search(5, max_distance=-1)) == []


def test_shortfall_says_what_there_is(index: Index) -> None:
    assert shortfall(index, Query(ORIGIN), Search(1)) == "the collection has no items"
    index.upsert(photo("a", "x", 0, 0), photo("b", "x", 1, 0), photo("c", "y", 2, 0, price=1))
    expected: list[tuple[Query | str, Search, str]] = [
        (Query(ORIGIN), Search(3), ""),
        (Query(ORIGIN), Search(4), "the collection has 3 items"),
        ("a", Search(4), "the collection has 2 other items"),
        (
            "a",
            Search(3, distinct_products=True, exclude_same_product=True),
            "the collection has 1 other product besides those left out",
        ),
        (
            Query(ORIGIN),
            Search(2, filter=Filter(min_price=1, exclude_product_ids=("x",))),
            "the collection has 1 item that the filter lets through besides those left out",
        ),
        (
            Query(ORIGIN),
            Search(3, filter=Filter(exclude_product_ids=("x",))),
            "the collection has 1 item besides those left out",
        ),
        (
            Query(ORIGIN),
            Search(3, max_distance=1),
            "the collection has 2 items within max_distance",
        ),
        (
            Query(ORIGIN, [1, 0]),
            Search(1, rerank=Rerank(7, 0.5, max_distance=0.2)),
            "the collection has no items within rerank.max_distance",
        ),
        (
            Query(ORIGIN, [1, 0]),
            Search(3, max_distance=2, rerank=Rerank(7)),
            "the collection has 2 items within max_distance",
        ),
    ]
    for query, search, sentence in expected:
        assert shortfall(index, query, search) == sentence


def ranked(result: QueryAnswer) -> list[tuple[str, float, float | None]]:
    items, distances, first = result.neighbors
    assert first is not None
    names = [item.id for item in items]
    return list(zip(names, [round(each, 2) for each in distances], first, strict=True))


def test_candidates_are_ranked_again_by_the_cosine_of_their_features(filled: Index) -> None:
    query = Query(ORIGIN, [0, 5])
    assert ranked(filled.find(query, Search(2, rerank=Rerank(10)))) == [("b", 0, 1), ("c", 0.9, 4)]
    assert ranked(filled.find(query, Search(2, rerank=Rerank(2)))) == [("b", 0, 1), ("a", 1, 0)]
    # Also where the nearest by vector is of the same product; what has no features is at 1.
    distinct = Search(3, rerank=Rerank(10), distinct_products=True)
    assert ranked(filled.find(query, distinct)) == [("b", 0, 1), ("c", 0.9, 4), ("d", 1, 9)]
    limited = Search(3, rerank=Rerank(10, max_distance=0.95))
    assert ranked(filled.find(query, limited)) == [("b", 0, 1), ("c", 0.9, 4)]
    near = Search(3, rerank=Rerank(10), max_distance=1)
    assert ranked(filled.find(query, near)) == [("b", 0, 1), ("a", 1, 0)]
    assert ranked(filled.find(Query("a"), Search(1, rerank=Rerank(10)))) == [("b", 1, 1)]


def test_distance_by_vector_counts_as_much_as_its_weight(filled: Index) -> None:
    query = Query(ORIGIN, [0, 5])
    half = filled.find(query, Search(4, rerank=Rerank(10, 0.5)))
    assert ranked(half) == [("b", 0.5, 1), ("a", 1, 0), ("c", 2.9, 4), ("d", 5.5, 9)]
    heavy = filled.find(query, Search(2, rerank=Rerank(10, 100)))
    assert ranked(heavy) == [("a", 1, 0), ("b", 100, 1)]


def test_answer_says_whether_something_nearer_may_be_missing(filled: Index) -> None:
    query = Query(ORIGIN, [0, 5])

    def told(search: Search) -> tuple[int, bool]:
        found = filled.find(query, search)
        return found.ranked, found.complete

    assert told(Search(1, rerank=Rerank(4))) == (4, True)  # there are no more
    assert told(Search(1, rerank=Rerank(1))) == (1, False)
    assert told(Search(1, rerank=Rerank(1), exact=True)) == (4, True)
    # "b" is at 0 + 0.7: what is not ranked is at 4 by vector, and at no less than 2.8 in all.
    assert told(Search(1, rerank=Rerank(2, 0.7))) == (2, True)
    assert told(Search(2, rerank=Rerank(2, 0.2))) == (2, False)
    assert told(Search(1)) == (0, True)


def test_more_are_ranked_where_candidates_are_of_too_few_products(index: Index) -> None:
    index.upsert(*[photo(f"{i}", f"p{i // 40}", i, 0, features=[1, i]) for i in range(120)])
    query, one_each = Query(ORIGIN, [1, 0]), Search(3, distinct_products=True, rerank=Rerank(3))
    found = index.find(query, one_each)
    assert [item.id for item in found.neighbors.items] == ["0", "40", "80"]
    assert 80 < found.ranked <= 120
    # It is the limit of the sum, and not the candidates, that leaves too few.
    cut = replace(one_each, rerank=Rerank(100, max_distance=0.5))
    assert index.find(query, cut).ranked == 100


@pytest.mark.parametrize("only", [Filter(), Filter(min_price=1)])
def test_of_rows_that_are_too_far_nothing_exact_is_computed(
    index: Index, only: Filter, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.upsert(
        *[photo(f"{i}", f"p{i}", i, 0, price=i % 5, features=[1, i + 1]) for i in range(400)]
    )
    compared: list[int] = []

    def distances(vectors: Matrix, query: Matrix, metric: Metric) -> Distances:
        compared.append(len(vectors))
        return exact_distances(vectors, query, metric)

    monkeypatch.setattr(second_stage, "distances", distances)
    search = Search(9, filter=only, max_distance=36, rerank=Rerank(2), exact=True)
    found = index.find(Query(ORIGIN, [0, 1]), search)
    expected = [i for i in range(6, -1, -1) if only.min_price is None or i % 5]
    assert [int(item.id) for item in found.neighbors.items] == expected
    assert (found.ranked, found.complete) == (len(expected), True)
    assert sum(compared) <= 7


def test_query_without_features_is_answered_by_vector(filled: Index) -> None:
    found = filled.find(Query(ORIGIN), Search(3, rerank=Rerank(10, 0.5)))
    assert [item.id for item in found.neighbors.items] == ["a", "b", "c"]
    assert (found.neighbors.first_distances, found.ranked, found.complete) == (None, 0, True)
    with pytest.raises(InvalidArgumentError, match="to rank by features alone"):
        filled.find(Query(ORIGIN), Search(3, rerank=Rerank(10)))


def test_features_that_memory_does_not_hold_come_from_the_store(index: Index) -> None:
    generator = np.random.default_rng(3)
    features = generator.normal(size=(300, 2)).tolist()
    index.upsert(*[photo(f"{i}", f"p{i}", i, 0, features=each) for i, each in enumerate(features)])
    query, search = Query(ORIGIN, [1, 2]), Search(5, rerank=Rerank(150, 0.001))
    found = index.find(query, search)
    snapshot = index.state.find("listings")
    parts = tuple(replace(p, rows=p.rows.without_features()) for p in snapshot.segments.parts)
    index.state = index.state.with_collection(
        replace(snapshot, segments=replace(snapshot.segments, parts=parts))
    )
    assert index.find(query, search) == found
    # Reading them takes long: at most so many are.
    assert index.find(query, Search(5, rerank=Rerank(250, 0.001))).ranked == 200
    assert index.find(query, replace(search, exact=True)).ranked == 300
    assert index.find(Query("7"), search).ranked == 150


def test_items_at_the_same_distance_by_features_come_by_the_first_distance(index: Index) -> None:
    index.upsert(*[photo(f"{i}", "x", 9 - i, 0, features=[0, 1 + i]) for i in range(4)])
    found = index.find(Query(ORIGIN, [0, 1]), Search(4, rerank=Rerank(4)))
    assert [item.id for item in found.neighbors.items] == ["3", "2", "1", "0"]


def ranged(index: Index, query: Query, search: Search) -> RangeAnswer:
    return index.finder.search_range("listings", query, search, 0)


def ids(answer: RangeAnswer) -> list[str]:
    return [item.id for item in answer.neighbors.items]


def test_range_search_counts_beyond_its_limit(filled: Index) -> None:
    answer = ranged(filled, Query(ORIGIN), Search(2, max_distance=9))
    assert ids(answer) == ["a", "b"]
    assert answer.neighbors.distances == [0, 1]
    assert (answer.total, answer.applied_seq, answer.collection) == (4, 2, DESCRIBED)
    distinct = Search(9, max_distance=9, distinct_products=True)
    answer = ranged(filled, Query(ORIGIN), distinct)
    assert ids(answer) == ["a", "c", "d"]
    assert answer.total == 3
    answer = ranged(filled, Query("a"), Search(9, max_distance=1))
    assert (ids(answer), answer.total) == (["b"], 1)
    nothing = ranged(filled, Query(ORIGIN), Search(9, max_distance=-1))
    assert (ids(nothing), nothing.total) == ([], 0)


def test_range_search_holds_its_filter(filled: Index) -> None:
    only = Search(9, max_distance=4, filter=Filter(categories=("home",), min_price=0))
    answer = ranged(filled, Query(ORIGIN), only)
    assert (ids(answer), answer.total) == (["a"], 1)


def test_what_memory_lacks_is_not_found_in_memory(filled: Index) -> None:
    assert filled.finder.find_in_memory("listings", [Query(ORIGIN)], Search(2)) is None
    filled.found(ORIGIN, Search(2))
    assert filled.finder.find_in_memory("listings", [Query(ORIGIN)], Search(2)) is not None
    assert filled.finder.find_in_memory("listings", [Query(ORIGIN)], Search(3)) is None


@settings(
    max_examples=examples(17),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    queries=st.lists(st.tuples(st.integers(-2, 5), st.integers(-2, 2)), min_size=1, max_size=5),
    search=st.builds(
        Search,
        k=st.integers(1, 6),
        distinct_products=st.booleans(),
        max_distance=st.sampled_from([None, 0.0, 4.0]),
    ),
)
def test_answer_from_memory_is_that_of_the_store(
    filled: Index, queries: list[tuple[int, int]], search: Search
) -> None:
    filled.reads.items([1, 2, 3, 4])
    asked = [Query(vector(*each)) for each in queries]
    assert filled.finder.is_quick("listings", asked, search)
    quick = filled.finder.find_in_memory("listings", asked, search)
    assert quick == filled.finder.find("listings", asked, search)


@pytest.mark.parametrize(
    ("queries", "search", "quick"),
    [
        ([Query(ORIGIN)] * 50, Search(1), True),
        ([Query(ORIGIN)] * 51, Search(1), False),
        ([Query("a")], Search(1), False),
        ([Query(ORIGIN)], Search(1, rerank=Rerank(5)), False),
        ([Query(ORIGIN)], Search(1, filter=Filter(product_ids=("x",))), False),
    ],
)
def test_only_little_that_needs_no_store_is_quick(
    filled: Index, queries: list[Query], search: Search, quick: bool
) -> None:
    assert filled.finder.is_quick("listings", queries, search) is quick


def test_answer_from_memory_is_refused_for_the_same_reasons(filled: Index) -> None:
    find = filled.finder.find_in_memory
    with pytest.raises(IndexRecoveringError):
        find("listings", [Query(ORIGIN)], Search(1), 3)
    with pytest.raises(CollectionNotFoundError):
        find("nothing", [Query(ORIGIN)], Search(1))
    with pytest.raises(EmbeddingSpaceMismatchError):
        find("listings", [Query(ORIGIN._replace(embedding_space="x"))], Search(1))
