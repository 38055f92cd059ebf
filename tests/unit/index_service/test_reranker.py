"""The order and the completeness of candidates that are ranked again."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index_service.ranking.order import Places, first_of_each_product
from index_service.ranking.rerank import Reranker
from index_service.records import Metric, Rerank, Search


def reranker(k: int = 3, weight: float = 0.5, limit: float | None = None, **how: bool) -> Reranker:
    metric = Metric.INNER_PRODUCT if how.pop("signed", False) else Metric.SQUARED_L2
    return Reranker.of(Search(k, rerank=Rerank(9, weight, limit), **how), metric)  # type: ignore[arg-type]


def best(
    ranker: Reranker,
    ranked_by: Sequence[float],
    by_vector: Sequence[float],
    rows: Sequence[int] | None = None,
    products: Sequence[int] | None = None,
) -> list[int]:
    count = len(ranked_by)
    names = list(range(count)) if products is None else list(products)

    def products_of(places: Places) -> list[int]:
        return [names[i] for i in places]

    found: list[int] = ranker.best(
        np.array(ranked_by, float),
        np.array(by_vector, float),
        np.array(range(count) if rows is None else rows, np.int64),
        products_of,
    ).tolist()
    return found


def test_ties_are_broken_by_vector_and_then_by_the_order_of_writing() -> None:
    assert best(reranker(4), [2, 1, 1, 1], [0, 7, 5, 5], [0, 1, 3, 2]) == [3, 2, 1, 0]


def test_limit_is_inclusive_and_applies_to_what_ranks() -> None:
    assert best(reranker(limit=1.5), [1.5, 1.6, 1.0], [9, 0, 9]) == [2, 0]


drawn = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 9)), max_size=300)


@pytest.mark.parametrize("distinct", [False, True])
@given(drawn=drawn, k=st.integers(1, 5))
def test_best_are_those_of_sorting_everything(
    distinct: bool, drawn: list[tuple[int, int, int]], k: int
) -> None:
    ranked_by, by_vector, products = [list(each) for each in zip(*drawn, strict=True)] or [[]] * 3
    order = sorted(range(len(drawn)), key=lambda i: (ranked_by[i], by_vector[i], i))
    if distinct:
        order = [order[i] for i in first_of_each_product(products[j] for j in order)]
    ranker = reranker(k, distinct_products=distinct)
    assert best(ranker, ranked_by, by_vector, products=products) == order[:k]


@pytest.mark.parametrize(
    ("ranker", "found", "lower_bound", "complete"),
    [
        (reranker(2), [1, 2], math.inf, True),  # nothing was left out
        (reranker(2), [1, 2], 4.1, True),
        (reranker(2), [1, 2], 4, False),  # a tie may come before the last
        (reranker(2), [1, 2, 9], 4.1, True),  # of more than `k` the others do not count
        (reranker(2), [1], 100, False),
        (reranker(2, limit=3), [1], 6.1, True),
        (reranker(2, limit=3), [1], 6, False),
        (reranker(2, weight=0), [1, 2], 100, False),
        (reranker(2), [1, 2], -math.inf, False),
        (reranker(2, weight=0), [1, 2], -math.inf, False),
        (reranker(2, signed=True), [1, 2], 100, False),
        (reranker(2, signed=True), [1, 2], math.inf, True),
    ],
)
def test_answer_is_complete_if_nothing_left_out_can_come_before_the_last(
    ranker: Reranker, found: list[float], lower_bound: float, complete: bool
) -> None:
    assert ranker.is_complete(found, lower_bound) is complete


def test_first_of_each_product_stops_at_the_count() -> None:
    assert first_of_each_product("aabca") == [0, 2, 3]
    assert first_of_each_product("aabca", 2) == [0, 2]
    assert first_of_each_product([], 2) == []
