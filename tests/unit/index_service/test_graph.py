"""Graphs: near rows without comparing all, and what is done where they miss some."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from index_service.native.memory import graph
from index_service.native.memory.columns import Codes
from index_service.native.memory.compaction import with_graph
from index_service.native.memory.segments import Segments
from index_service.native.memory.state import CollectionSnapshot
from index_service.native.search.candidates import GraphRows
from index_service.native.search.filters import Condition
from index_service.native.search.first_stage import (
    Hits,
    NumberedQueries,
    RankingParams,
    nearest_hits,
)
from index_service.native.search.planner import plan
from index_service.native.search.vector_stage import VectorHits, VectorStage
from index_service.records import Collection, Method, Metric, Search
from tests.indexes import SPACE, rows

ROWS, QUERIES, DIMENSION = 5000, 50, 13
K = 10


@dataclass(frozen=True)
class Built:
    """A collection whose first rows a graph leads to, and queries."""

    segments: Segments
    queries: NumberedQueries

    @property
    def snapshot(self) -> CollectionSnapshot:
        return CollectionSnapshot(1, self.segments, (Codes(),))


def built(metric: Metric, tail: int = 500) -> Built:
    rng = np.random.default_rng(5)
    values = rng.normal(size=(ROWS + QUERIES, DIMENSION)).astype(np.float32)
    described = Collection("listings", SPACE, DIMENSION, metric, full_scan_threshold=100)
    products = (np.arange(ROWS) // 2).tolist()
    columns = rows(described, values[:ROWS], products=products)
    first = Segments(described).with_rows(columns.part(slice(ROWS - tail)))
    graphed = with_graph(first.parts[0], described, 1)
    segments = Segments(described, (graphed,)).with_rows(columns.part(slice(ROWS - tail, None)))
    return Built(segments, NumberedQueries(values[ROWS:]))


@pytest.fixture(scope="module", params=list(Metric))
def any_metric(request: pytest.FixtureRequest) -> Built:
    return built(request.param)


@pytest.fixture(scope="module")
def squared() -> Built:
    return built(Metric.SQUARED_L2)


def recall(found: list[Hits], true: list[Hits]) -> float:
    pairs = zip(found, true, strict=True)
    return float(np.mean([len(set(a.rows) & set(b.rows)) / max(1, len(b.rows)) for a, b in pairs]))


def answers(built: Built, params: RankingParams, exact: bool, ef_search: int = 64) -> list[Hits]:
    chosen = plan(built.segments, params.condition, exact=exact, ef_search=ef_search)
    assert chosen.source.approximate is not exact
    return nearest_hits(built.segments, chosen, built.queries, params)


@pytest.mark.parametrize(
    "params",
    [
        RankingParams(K),
        RankingParams(K, distinct_products=True),
        RankingParams(K, Condition(none_of=(1, 2, 3))),
        RankingParams(K, Condition(among=(("products", tuple(range(0, 2500, 2))),))),
    ],
)
def test_graph_finds_nearly_all_that_comparing_finds(
    any_metric: Built, params: RankingParams
) -> None:
    true = answers(any_metric, params, exact=True)
    found = answers(any_metric, params, exact=False)
    assert recall(found, true) > 0.95
    assert all(hits.distances == sorted(hits.distances) for hits in found)


def test_more_effort_finds_more(any_metric: Built) -> None:
    params = RankingParams(K)
    true = answers(any_metric, params, exact=True)
    found = [recall(answers(any_metric, params, False, ef_search), true) for ef_search in (16, 500)]
    assert found[1] >= found[0]
    assert found[1] > 0.99


def test_rows_behind_the_graph_are_all_found(squared: Built) -> None:
    tail = np.arange(ROWS - 500, ROWS)
    own = Built(squared.segments, NumberedQueries(squared.segments.vectors(tail)))
    assert [hits.rows[0] for hits in answers(own, RankingParams(1), exact=False)] == tail.tolist()


def test_dead_rows_are_left_out_though_the_graph_leads_to_them(squared: Built) -> None:
    nearest = [hits.rows[0] for hits in answers(squared, RankingParams(1), exact=True)]
    keys = squared.segments.take("keys", np.array(nearest))
    fewer = Built(squared.segments.without(np.unique(keys).astype(np.int64)), squared.queries)
    found = answers(fewer, RankingParams(K), exact=False)
    assert not {row for hits in found for row in hits.rows} & set(nearest)
    assert recall(found, answers(fewer, RankingParams(K), exact=True)) > 0.95


def test_graph_that_finds_fewer_than_there_are_is_not_relied_on(
    squared: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blind(self: GraphRows, queries: np.ndarray, width: int) -> object:
        nearest = real(self, queries, width)
        return nearest._replace(rows=np.full_like(nearest.rows, -1))

    real = GraphRows.nearest
    monkeypatch.setattr(GraphRows, "nearest", blind)
    hits = by_vector(squared, Condition(), K, squared.queries)
    assert {own.method for own in hits} == {Method.EXACT}
    exactly = answers_exactly(squared, RankingParams(K))
    assert [(own.rows, own.distances) for own in hits] == exactly


def by_vector(
    built: Built, condition: Condition, k: int, queries: NumberedQueries
) -> list[VectorHits]:
    stage = VectorStage(built.snapshot, condition, Search(k), 32, lambda keys: {})
    return stage.hits(queries)


def answers_exactly(built: Built, params: RankingParams) -> list[Hits]:
    return answers(built, params, exact=True)


def test_fewer_than_k_are_returned_only_if_there_are_no_more(squared: Built) -> None:
    few = Condition(among=(("products", (5, 6)),))
    several = Condition(among=(("products", tuple(range(60))),))
    queries = squared.queries.part(range(5))  # each makes hundreds of rounds
    for condition, count in ((few, 4), (several, 120)):
        hits = by_vector(squared, condition, 1000, queries)
        assert [len(own.rows) for own in hits] == [count] * 5


def test_segments_with_and_without_a_graph_are_searched_together(squared: Built) -> None:
    described = squared.segments.collection
    bare = replace(squared.segments.parts[0], graph=None)
    parts = (*squared.segments.parts, bare)
    both = Built(Segments(described, parts), squared.queries)
    found = answers(both, RankingParams(K), exact=False)
    assert recall(found, answers(both, RankingParams(K), exact=True)) > 0.95
    assert any(row >= ROWS for hits in found for row in hits.rows)


def test_graph_of_fewer_rows_than_wanted_gives_all_of_them() -> None:
    vectors = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)
    small = graph.empty(3, Metric.SQUARED_L2).extended(vectors, 1)
    (found,) = small.nearest(vectors[:1], 8, 32)
    assert sorted(found.tolist()) == [-1, -1, -1, 0, 1, 2, 3, 4]


def test_saved_graph_finds_the_same(tmp_path: Path) -> None:
    vectors = np.random.default_rng(1).normal(size=(500, 4)).astype(np.float32)
    made = graph.empty(4, Metric.COSINE).extended(vectors, 1)
    made.save(tmp_path / "x.graph")
    loaded = graph.load(tmp_path / "x.graph")
    assert (len(loaded), loaded.nbytes) == (500, made.nbytes)
    for ef_search in (16, 100):
        found, again = (each.nearest(vectors[:20], 10, ef_search) for each in (made, loaded))
        np.testing.assert_array_equal(found, again)
