"""Search against plain comparison of everything with everything, in float64."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from unittest import mock

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index_service.distances import comparable
from index_service.native.memory import segments as segments_module
from index_service.native.memory.segments import Segments
from index_service.native.search.candidates import AllRows, SomeRows
from index_service.native.search.filters import EVERY_ROW, Condition
from index_service.native.search.first_stage import (
    Hits,
    NumberedQueries,
    RankingParams,
    hits_within,
    nearest_hits,
)
from index_service.native.search.planner import Plan, plan
from index_service.records import Collection, Matrix, Metric
from tests.examples import examples
from tests.indexes import SPACE, distances_by_hand, rows, segments_of

PRODUCTS = 12


def collection(metric: Metric, dimension: int) -> Collection:
    return Collection("listings", SPACE, dimension, metric)


@dataclass(frozen=True)
class Case:
    """What is searched, and for what."""

    segments: Segments
    queries: NumberedQueries
    params: RankingParams

    def allowed(self, row: int, number: int) -> bool:
        """Whether a probe may find a row, by plain comparison of its columns."""
        own = np.array([row])
        product = int(self.segments.take("products", own)[0])
        price = float(self.segments.take("prices", own)[0])
        category = int(self.segments.take("codes0", own)[0])
        condition = self.params.condition
        return (
            not self.segments.dead(own)[0]
            and row not in self.queries.own_items.get(number, ())
            and product not in self.queries.own_products.get(number, ())
            and product not in condition.none_of
            and all(category in numbers for _, numbers in condition.among)
            and (condition.min_price is None or price >= condition.min_price)
            and (condition.max_price is None or price <= condition.max_price)
        )

    def by_hand(self, number: int) -> Hits:
        metric = self.segments.collection.metric
        vectors = self.segments.vectors(np.arange(self.segments.row_count))
        query = comparable(self.queries.vectors[number], metric)
        ranked = sorted((d, row) for row, d in enumerate(distances_by_hand(vectors, query, metric)))
        hits, seen = Hits([], []), set[int]()
        for distance, row in ranked:
            product = int(self.segments.take("products", np.array([row]))[0])
            if distance > self.params.max_distance or not self.allowed(row, number):
                continue
            if self.params.distinct_products and product in seen:
                continue
            seen.add(product)
            hits.rows.append(row)
            hits.distances.append(distance)
        return hits

    def expected(self) -> list[Hits]:
        every = [self.by_hand(number) for number in range(len(self.queries.vectors))]
        return [Hits(own.rows[: self.params.k], own.distances[: self.params.k]) for own in every]


conditions = st.builds(
    Condition,
    among=st.sampled_from([(), (("codes0", (0, 2)),), (("codes0", (1,)),), (("codes0", ()),)]),
    none_of=st.lists(st.integers(0, PRODUCTS), max_size=3).map(tuple),
    min_price=st.sampled_from([None, 0.0, 2.0]),
    max_price=st.sampled_from([None, 3.0]),
)


def drawn_segments(draw: st.DrawFn, vectors: Matrix, metric: Metric) -> Segments:
    """Rows in segments of any length, some of them dead, written in several batches."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    products = rng.integers(PRODUCTS, size=len(vectors))
    prices = rng.choice([np.nan, 0.0, 1.0, 2.0, 3.0], size=len(vectors))
    codes = rng.integers(3, size=len(vectors))
    described = collection(metric, vectors.shape[1])
    most, batch = draw(st.sampled_from([1 << 20, 64, 100])), draw(st.integers(1, 300))
    built = Segments(described)
    with mock.patch.object(segments_module, "MOST_ROWS", most):
        for start in range(0, len(vectors), batch):
            own = slice(start, start + batch)
            new = rows(
                described,
                vectors[own],
                first_key=1 + start,
                products=products[own].tolist(),
                prices=prices[own].tolist(),
                codes=[codes[own].tolist()],
            )
            built = built.with_rows(new)
    if draw(st.booleans()):
        built = built.without(1 + rng.choice(len(vectors) + 1, len(vectors) // 3, replace=False))
    return built


def drawn_case(draw: st.DrawFn, values: Matrix, queries: int, metric: Metric, far: float) -> Case:
    built = drawn_segments(draw, values[queries:], metric)
    owners = range(queries)[::2] if built.row_count else []
    own_items = {i: draw(st.lists(st.integers(0, built.row_count - 1), max_size=2)) for i in owners}
    own_products = {i: draw(st.lists(st.integers(0, PRODUCTS), max_size=1)) for i in owners}
    params = RankingParams(
        k=draw(st.integers(1, 12)),
        condition=draw(st.just(EVERY_ROW) | conditions),
        distinct_products=draw(st.booleans()),
        max_distance=draw(st.sampled_from([math.inf, far])),
    )
    return Case(built, NumberedQueries(values[:queries], (), own_items, own_products), params)


@st.composite
def exact_cases(draw: st.DrawFn) -> Case:
    """Draws what float32 finds hard, of which float64 holds every distance exactly.

    Small whole numbers make many ties; the offset makes float32 lose what tells them apart, and
    the scale makes it under- or overflow.
    """
    metric = draw(st.sampled_from([Metric.SQUARED_L2, Metric.INNER_PRODUCT]))
    number, queries = draw(st.integers(0, 250)), draw(st.integers(1, 25))
    offset = draw(st.sampled_from([0, 1 << 14]))
    scale = draw(st.sampled_from([1.0, 2.0**-100, 2.0**60, 2.0**110]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = rng.integers(-2, 3, (number + queries, draw(st.integers(1, 5)))) + offset
    far = draw(st.integers(-4, 8)) * scale * scale
    return drawn_case(draw, (values * scale).astype(np.float32), queries, metric, far)


@st.composite
def cosine_cases(draw: st.DrawFn) -> Case:
    number, queries = draw(st.integers(0, 200)), draw(st.integers(1, 25))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = rng.normal(size=(number + queries, 13)).astype(np.float32)
    return drawn_case(draw, values, queries, Metric.COSINE, draw(st.floats(0, 2)))


def searched(case: Case) -> list[Hits]:
    chosen = plan(case.segments, case.params.condition, exact=True, ef_search=0)
    return nearest_hits(case.segments, chosen, case.queries, case.params)


@pytest.mark.parametrize("metric", list(Metric))
def test_some_of_the_rows_are_compared_as_all_of_them_are(metric: Metric) -> None:
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(60, 4)).astype(np.float32)
    query = comparable(rng.normal(size=4).astype(np.float32), metric)
    built = segments_of(collection(metric, 4), vectors)
    every, chosen = AllRows(built), np.arange(1, 60, 3)
    some = SomeRows(built, chosen)
    order = np.argsort(distances_by_hand(vectors, query, metric), kind="stable")
    nearest = [row for row in order.tolist() if row in chosen]

    assert some.rows().tolist() == chosen.tolist()
    assert sorted(some.candidates(query, 5).rows.tolist()) == sorted(nearest[:5])
    assert sorted(every.candidates(query, 5).rows.tolist()) == sorted(order[:5].tolist())
    limit = float(np.median(distances_by_hand(vectors, query, metric)))
    assert some.within(query, limit).tolist() == [
        row for row in every.within(query, limit).tolist() if row in chosen
    ]


@settings(max_examples=examples(50), deadline=None)
@given(exact_cases())
def test_search_equals_comparing_everything_by_hand(case: Case) -> None:
    assert searched(case) == case.expected()


@settings(max_examples=examples(20), deadline=None)
@given(cosine_cases())
def test_cosine_search_equals_comparing_everything_by_hand(case: Case) -> None:
    for hits, expected in zip(searched(case), case.expected(), strict=True):
        assert hits.rows == expected.rows
        assert hits.distances == pytest.approx(expected.distances, abs=1e-12)


@settings(max_examples=examples(35), deadline=None)
@given(exact_cases())
def test_range_search_equals_comparing_everything_by_hand(case: Case) -> None:
    if case.params.max_distance == math.inf:
        case = replace(case, params=replace(case.params, max_distance=4.0))
    case = replace(case, queries=case.queries.part([0]))
    every = case.by_hand(0)
    expected = Hits(every.rows[: case.params.k], every.distances[: case.params.k])
    assert hits_within(case.segments, case.queries, case.params) == (expected, len(every.rows))


@settings(max_examples=examples(17), deadline=None)
@given(exact_cases(), st.floats(0.01, 1.0))
def test_all_sources_agree_whatever_share_is_expected_of_them(case: Case, share: float) -> None:
    allowed: Sequence[np.ndarray] = [
        np.flatnonzero(case.params.condition.of_segment(part)) + start
        for part, start in zip(case.segments.parts, case.segments.starts, strict=False)
    ]
    if not allowed:
        return
    for source in (AllRows(case.segments), SomeRows(case.segments, np.concatenate(allowed))):
        assert nearest_hits(case.segments, Plan(source, share), case.queries, case.params) == (
            case.expected()
        )


@pytest.mark.parametrize("metric", [Metric.SQUARED_L2, Metric.INNER_PRODUCT])
@pytest.mark.parametrize("blas_threshold", [0, 1 << 30])
def test_float32_losing_the_differences_does_not_change_the_answer(
    metric: Metric, blas_threshold: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Far from the origin, |x|² + |y|² − 2xy, as FAISS computes large batches, is mostly noise.
    monkeypatch.setattr(faiss.cvar, "distance_compute_blas_threshold", blas_threshold)
    rng = np.random.default_rng(7)
    vectors = (rng.integers(-64, 65, (1040, 13)) / 64 + 1000).astype(np.float32)
    if metric is Metric.INNER_PRODUCT:
        vectors[:, 0] = -vectors[:, 1:].sum(axis=1)
    built = segments_of(collection(metric, 13), vectors[:1000])
    case = Case(built, NumberedQueries(vectors[1000:]), RankingParams(20))
    assert searched(case) == case.expected()


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("metric", [Metric.SQUARED_L2, Metric.INNER_PRODUCT])
def test_distances_that_overflow_float32_are_ranked_all_the_same(sign: int, metric: Metric) -> None:
    far = np.float32(2.0**100)
    vectors = np.arange(1, 101, dtype=np.float32)[:, None] * far
    built = segments_of(collection(metric, 1), vectors)
    for count in (1, 30):  # FAISS computes large batches in another way
        queries = NumberedQueries(np.full((count, 1), -sign * far, np.float32))
        case = Case(built, queries, RankingParams(3))
        assert searched(case) == case.expected()


def test_cosine_distance_ignores_length_and_stays_within_0_and_2() -> None:
    vectors = np.array([[3e30, 4e30], [3e-30, 4e-30], [-6, -8], [4, -3]], np.float32)
    built = segments_of(collection(Metric.COSINE, 2), vectors)
    case = Case(built, NumberedQueries(np.array([[0.3, 0.4]], np.float32)), RankingParams(4))
    ((*near, right_angle, opposite),) = [hits.distances for hits in searched(case)]
    assert near == pytest.approx([0, 0], abs=1e-7)
    assert all(distance >= 0 for distance in near)
    assert right_angle == pytest.approx(1)
    assert opposite == pytest.approx(2)
    assert opposite <= 2


def test_items_at_the_same_distance_come_in_the_order_of_writing() -> None:
    built = segments_of(collection(Metric.SQUARED_L2, 13), np.ones((500, 13)))
    case = Case(built, NumberedQueries(np.zeros((1, 13), np.float32)), RankingParams(3))
    assert searched(case) == [Hits([0, 1, 2], [13.0, 13.0, 13.0])]


def test_k_distinct_products_are_found_behind_a_product_with_most_items() -> None:
    vectors = np.array([[0, 0]] * 1000 + [[5, 0], [6, 0], [7, 0]])
    described = collection(Metric.SQUARED_L2, 2)
    built = segments_of(described, vectors, products=[0] * 1000 + [1, 2, 3])
    params = RankingParams(4, distinct_products=True)
    case = Case(built, NumberedQueries(np.zeros((1, 2), np.float32)), params)
    assert searched(case) == [Hits([0, 1000, 1001, 1002], [0.0, 25.0, 36.0, 49.0])]


@pytest.mark.parametrize("condition", [EVERY_ROW, Condition(min_price=1.0)])
def test_collection_without_items_has_no_neighbours(condition: Condition) -> None:
    empty = Segments(collection(Metric.COSINE, 3))
    case = Case(empty, NumberedQueries(np.ones((2, 3), np.float32)), RankingParams(5, condition))
    assert searched(case) == [Hits([], []), Hits([], [])]
    assert hits_within(empty, NumberedQueries(np.ones((1, 3), np.float32)), case.params) == (
        Hits([], []),
        0,
    )


def test_collection_of_dead_rows_alone_has_no_neighbours() -> None:
    built = segments_of(collection(Metric.SQUARED_L2, 2), np.ones((50, 2)))
    case = Case(
        built.without(np.arange(1, 51)),
        NumberedQueries(np.ones((1, 2), np.float32)),
        RankingParams(5),
    )
    assert searched(case) == [Hits([], [])]
