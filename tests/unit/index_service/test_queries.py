"""What queries look for: vectors, items, examples; and their features."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from index_service.native.search.first_stage import NumberedQueries
from index_service.native.store.database import Store
from index_service.records import (
    Collection,
    Examples,
    Metric,
    PackedVectors,
    Queries,
    Query,
    Rerank,
    Search,
)
from lookalike.errors import (
    DimensionMismatchError,
    EmbeddingSpaceMismatchError,
    InvalidArgumentError,
    ItemNotFoundError,
    LookalikeError,
    NonFiniteVectorError,
)
from tests.indexes import SPACE, Index, photo, vector

FEATURED = Collection("listings", SPACE, 2, Metric.SQUARED_L2, features_dimension=2)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Store(tmp_path / "index.sqlite3") as store:
        index = Index(store)
        index.create(FEATURED)
        index.upsert(
            photo("a", "x", 1, 0, features=[2, 0]),
            photo("b", "x", 3, 0, features=[0, 9]),
            photo("c", "y", 0, 4),
        )
        index.create(replace(FEATURED, name="angles", metric=Metric.COSINE))
        index.upsert(photo("a", "x", 5, 0), photo("b", "y", 0, 7), name="angles")
        yield index


def sought(
    index: Index, *queries: Query, name: str = "listings", **wanted: object
) -> NumberedQueries:
    return resolved(index, queries, Search(3, **wanted), name)  # type: ignore[arg-type]


def resolved(
    index: Index, queries: Queries, search: Search, name: str = "listings"
) -> NumberedQueries:
    return index.finder._resolve(index.state.find(name), queries, search)


def field(index: Index, error: type[LookalikeError], *queries: Query, **wanted: object) -> str:
    with pytest.raises(error) as caught:
        sought(index, *queries, **wanted)  # type: ignore[arg-type]
    return caught.value.field


def test_queries_of_all_kinds_become_one_matrix(index: Index) -> None:
    examples = Examples((vector(0, 2), "b"), ("c",))
    found = sought(index, Query(vector(7, 8)), Query("a"), Query(examples))
    assert found.vectors.tolist() == [[7, 8], [1, 0], [3, -2]]
    assert found.own_items == {1: [0], 2: [1, 2]}
    assert found.own_products == {}


def test_products_of_the_items_asked_for_are_left_out_on_request(index: Index) -> None:
    found = sought(
        index,
        Query("a"),
        Query(vector(0, 0)),
        Query(Examples(("a", "c"))),
        exclude_same_product=True,
    )
    assert found.own_products == {0: [1], 2: [1, 2]}


def test_positive_examples_alone_are_their_mean(index: Index) -> None:
    (mean,) = sought(index, Query(Examples(("a", "b", "c")))).vectors
    np.testing.assert_allclose(mean, [4 / 3, 4 / 3], rtol=1e-6)


def test_examples_have_length_1_before_they_are_averaged_for_the_cosine(index: Index) -> None:
    examples = Examples(("a", vector(0, 100)), (vector(0, 3),))
    (moved,) = sought(index, Query(examples), name="angles").vectors
    np.testing.assert_allclose(moved, [1, 0], atol=1e-6)


@pytest.mark.parametrize(
    "examples",
    [
        Examples((vector(1, 0), vector(0, 1), vector(-1, 0), vector(0, -1))),
        Examples((vector(1, 0), vector(-1, 0))),
        Examples(("a", vector(-3, 0))),
        Examples((vector(1, 0), vector(1, 0), vector(1, 0), vector(-1, 0)), (vector(2, 0),)),
    ],
)
def test_examples_that_cancel_out_have_no_cosine_and_are_refused(
    index: Index, examples: Examples
) -> None:
    with pytest.raises(InvalidArgumentError, match="cancel out") as caught:
        sought(index, Query(vector(1, 1)), Query(examples), name="angles")
    assert caught.value.field == "queries[1].examples"


def test_what_does_not_fit_is_refused_naming_its_place(index: Index) -> None:
    good = Query(vector(0, 0))
    bad = vector(0, float("nan"))
    assert field(index, NonFiniteVectorError, good, Query(bad)) == "queries[1].vector.values"
    three = Query(vector(1, 2, 3))
    assert field(index, DimensionMismatchError, good, three) == "queries[1].vector.values"
    foreign = vector(0, 0, space="space-2")
    path = "queries[1].examples.negatives[1].vector.embedding_space"
    asked = Query(Examples(("a",), ("b", foreign)))
    assert field(index, EmbeddingSpaceMismatchError, good, asked) == path
    unknown = Query(Examples((vector(0, 0), "nothing")))
    path = "queries[0].examples.positives[1].item_id"
    assert field(index, ItemNotFoundError, unknown) == path
    assert field(index, ItemNotFoundError, good, Query("nothing")) == "queries[1].item_id"


def packed(*values: float, space: str = SPACE) -> PackedVectors:
    return PackedVectors(np.array(values, np.float32), space)


def test_packed_vectors_are_taken_as_they_are(index: Index) -> None:
    found = resolved(index, packed(1, 2, 3, 4), Search(3))
    assert found.vectors.tolist() == [[1, 2], [3, 4]]
    assert found.own_items == {}


@pytest.mark.parametrize(
    ("queries", "wanted", "error", "message"),
    [
        (packed(1, 2, 3), Search(1), DimensionMismatchError, "has 3 values"),
        (packed(1, 2, space="x"), Search(1), EmbeddingSpaceMismatchError, "'x'"),
        (packed(1, 2, 3, np.inf), Search(1), NonFiniteVectorError, r"packed_vectors\[1\]\[1\]"),
        (packed(*[0] * 2002), Search(1), InvalidArgumentError, "1001 entries"),
        (packed(*[0] * 400), Search(1000), InvalidArgumentError, "200 queries of k = 1000"),
        (packed(1, 2), Search(1, rerank=Rerank(5)), InvalidArgumentError, "rerank needs features"),
    ],
)
def test_packed_vectors_that_do_not_fit_are_refused(
    index: Index, queries: PackedVectors, wanted: Search, error: type[LookalikeError], message: str
) -> None:
    with pytest.raises(error, match=message):
        resolved(index, queries, wanted)


def test_features_come_with_the_query_or_from_its_items(index: Index) -> None:
    queries = [
        Query(vector(0, 0), [5, 6]),
        Query("a"),
        Query("a", [7, 8]),
        Query(Examples(("a", "b"))),
        Query(Examples(("a",), ("c",)), [1, 1]),
    ]
    found = sought(index, *queries, rerank=Rerank(10))
    expected: list[list[float]] = [[5, 6], [1, 0], [7, 8], [0.5, 0.5], [1, 1]]
    for features, hand in zip(found.features, expected, strict=True):
        assert features is not None
        found_length, length = np.linalg.norm(features), float(np.linalg.norm(hand))
        np.testing.assert_allclose(features / found_length, np.array(hand) / length, atol=0.005)


@pytest.mark.parametrize(
    "query",
    [
        Query(vector(0, 0)),
        Query("c"),
        Query(Examples(("a", "c"))),
        Query(Examples(("a", vector(0, 0)))),
        Query(Examples(("a",), ("c",))),
        Query(Examples(("a",), (vector(0, 0),))),
    ],
)
def test_query_without_features_cannot_be_ranked_again(index: Index, query: Query) -> None:
    assert field(index, InvalidArgumentError, query, rerank=Rerank(10)) == "queries[0].features"


def test_same_example_twice_counts_twice(index: Index) -> None:
    found = sought(index, Query(Examples(("a", "a", "b"))), rerank=Rerank(10))
    assert found.features[0] is not None
    np.testing.assert_allclose(found.features[0][1] / found.features[0][0], 0.5, 0.01)


def test_features_that_do_not_fit_or_cancel_out_are_refused(index: Index) -> None:
    asked = Query("a", [1, 2, 3])
    assert field(index, DimensionMismatchError, asked, rerank=Rerank(9)) == "queries[0].features"
    asked = Query("a", [0, 0])
    assert field(index, InvalidArgumentError, asked, rerank=Rerank(9)) == "queries[0].features"
    index.upsert(photo("d", "z", 0, 4, features=[-8, 0]))
    asked = Query(Examples(("a", "d")))
    assert field(index, InvalidArgumentError, asked, rerank=Rerank(9)) == "queries[0].features"


def test_collection_without_features_cannot_rank_again(index: Index) -> None:
    index.create(replace(FEATURED, name="plain", features_dimension=0))
    with pytest.raises(InvalidArgumentError, match="'plain' has no features") as caught:
        sought(index, Query(vector(0, 0)), name="plain", rerank=Rerank(10))
    assert caught.value.field == "rerank"


def test_mean_of_vectors_near_the_end_of_float32_does_not_overflow(index: Index) -> None:
    far = vector(3e38, 0)
    (mean,) = sought(index, Query(Examples((far, far)))).vectors
    np.testing.assert_allclose(mean, [3e38, 0])
    opposite = Query(Examples((far,), (vector(-3e38, 0),)))
    assert field(index, NonFiniteVectorError, opposite) == "queries[0].examples"
