"""What a graph leads to in a large collection: when it is believed, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from index_service.native.memory.compaction import with_graph
from index_service.native.memory.segments import Segments
from index_service.native.store.database import Store
from index_service.records import Collection, Filter, Method, Metric, Query, Rerank, Search
from tests.indexes import SPACE, Index, photo, vector

LARGE = Collection(
    "large", SPACE, 2, Metric.SQUARED_L2, features_dimension=2, full_scan_threshold=10
)
ORIGIN = vector(0, 0)


@pytest.fixture
def large(tmp_path: Path) -> Iterator[Index]:
    """With a collection of 300 photos, and a graph."""
    with Store(tmp_path / "index.sqlite3") as store:
        index = Index(store)
        index.create(LARGE)
        photos = [photo(f"{i}", f"p{i % 7}", i, 0, features=[1, i]) for i in range(300)]
        index.upsert(*photos, name="large")
        snapshot = index.state.find("large")
        part = with_graph(snapshot.segments.parts[0], LARGE, 1)
        segments = Segments(LARGE, (part,))
        index.state = index.state.with_collection(replace(snapshot, segments=segments))
        yield index


@pytest.mark.parametrize(
    ("search", "count"),
    [
        (Search(9, max_distance=16, rerank=Rerank(20)), 5),
        (Search(9, distinct_products=True, max_distance=64, rerank=Rerank(20)), 7),
        (Search(9, rerank=Rerank(20, 1, max_distance=9.8)), 4),
    ],
)
def test_graph_is_believed_where_a_distance_cuts_what_it_gave(
    large: Index, search: Search, count: int
) -> None:
    (found,) = large.finder.find("large", [Query(ORIGIN, [1, 0])], search).results
    assert len(found.neighbors.items) == count
    assert (found.method, found.complete) == (Method.APPROXIMATE, False)
    assert "candidates ranked" in found.shortfall


@pytest.mark.parametrize(
    ("search", "count"),
    [
        (Search(50, max_distance=1e6, rerank=Rerank(20)), 50),
        (Search(8, distinct_products=True, max_distance=1e6, rerank=Rerank(20)), 7),
        (Search(500, rerank=Rerank(20, 1, max_distance=9.8)), 4),
    ],
)
def test_graph_is_not_believed_where_more_may_be_within_a_distance(
    large: Index, search: Search, count: int
) -> None:
    (found,) = large.finder.find("large", [Query(ORIGIN, [1, 0])], search).results
    assert len(found.neighbors.items) == count
    assert (found.method, found.candidates_scanned) == (Method.EXACT, 300)
    assert found.ranked > 20


def test_answer_in_two_stages_says_how_many_the_graph_gave(large: Index) -> None:
    asked = [Query(ORIGIN, [1, 0]), Query(ORIGIN)]
    search = Search(5, rerank=Rerank(100, 0.5))
    ranked, plain = large.finder.find("large", asked, search).results
    assert (ranked.method, ranked.ranked, ranked.candidates_scanned) == (
        Method.APPROXIMATE,
        100,
        100,
    )
    assert (plain.method, plain.ranked) == (Method.APPROXIMATE, 0)
    assert 5 <= plain.candidates_scanned < 20
    few = replace(search, filter=Filter(product_ids=("p3",)))
    ranked, _ = large.finder.find("large", asked, few).results
    assert ranked.ranked <= ranked.candidates_scanned <= 300


def test_graph_that_leads_to_too_few_gives_way_to_an_exact_answer(large: Index) -> None:
    def found(search: Search) -> tuple[Method, int, str]:
        (result,) = large.finder.find("large", [Query(ORIGIN)], search).results
        return result.method, len(result.neighbors.items), result.shortfall

    assert found(Search(5)) == (Method.APPROXIMATE, 5, "")
    assert found(Search(5, exact=True)) == (Method.EXACT, 5, "")
    assert found(Search(8, distinct_products=True)) == (
        Method.EXACT,
        7,
        "the collection has 7 products",
    )
    assert found(Search(500)) == (Method.EXACT, 300, "the collection has 300 items")
