"""Background work: segments rewritten and merged, graphs, recall; beside writes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from index_service.native import changes
from index_service.native import maintenance as maintenance_module
from index_service.native.disk import cache
from index_service.native.maintenance import Maintenance, Recall
from index_service.native.memory import compaction
from index_service.native.memory import segments as segments_module
from index_service.native.memory.graph import MAX_EF_SEARCH, MIN_EF_SEARCH
from index_service.native.memory.segments import Segment
from index_service.native.search.candidates import GraphRows
from index_service.native.store.database import Store
from index_service.records import Collection, Filter, Matrix, Method, Metric, Query, Rerank, Search
from tests.indexes import LISTINGS, SPACE, Index, photo, rows, segments_of, vector

DESCRIBED = Collection("listings", SPACE, 2, Metric.SQUARED_L2, full_scan_threshold=100)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    monkeypatch.setattr(compaction, "_FEW", 10)
    with Store(tmp_path / "index.sqlite3") as store:
        index = Index(store)
        index.create(DESCRIBED)
        yield index


@pytest.fixture
def maintenance(index: Index, directory: Path) -> Maintenance:
    return Maintenance(
        index.store,
        index.finder,
        directory,
        current=lambda: index.state,
        publish=index.publish,
        writing=index.writing,
        threads=1,
    )


def fill(index: Index, count: int, start: int = 0) -> None:
    rng = np.random.default_rng(start)
    places = rng.normal(size=(count, 2)).tolist()
    index.upsert(*[photo(str(start + i), f"p{i}", *place) for i, place in enumerate(places)])


def everything(index: Index) -> list[tuple[str, float]]:
    items, distances, _ = index.find(vector(0, 0), Search(1000, exact=True)).neighbors
    return [(item.id, distance) for item, distance in zip(items, distances, strict=True)]


def meanwhile(monkeypatch: pytest.MonkeyPatch, name: str, action: Callable[[], None]) -> None:
    """Does something while the background work is at its longest part."""
    real = getattr(compaction, name)

    def slow(*arguments: object) -> Segment:
        made: Segment = real(*arguments)
        monkeypatch.setattr(compaction, name, real)
        action()
        return made

    monkeypatch.setattr(compaction, name, slow)


def stepped(maintenance: Maintenance) -> bool:
    """Does a step; after a write, it is the second look that finds a pause between writes."""
    return maintenance.step() or maintenance.step()


def test_segment_with_many_dead_rows_is_rewritten_without_them(
    index: Index, maintenance: Maintenance
) -> None:
    fill(index, 80)
    index.delete(*[str(i) for i in range(40)])
    before = everything(index)
    assert stepped(maintenance)
    assert [(part.size, part.dead_count) for part in index.segments().parts] == [(40, 0)]
    assert everything(index) == before
    assert not stepped(maintenance)


def test_rows_added_and_deleted_while_a_segment_is_rewritten_are_brought_up(
    index: Index, maintenance: Maintenance, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(index, 80)
    index.delete(*[str(i) for i in range(40)])

    def write() -> None:
        fill(index, 20, start=100)
        index.delete("50", "105", "unknown")
        index.upsert(photo("51", "x", 7, 7))

    meanwhile(monkeypatch, "rewritten", write)
    assert stepped(maintenance)
    assert everything(index) == everything(Index(index.store))
    assert len(index.segments()) == 40 + 20 - 2
    assert index.segments().row_count == 40 + 20 + 1


def test_graph_is_built_and_leads_to_what_was_there_when_it_was_begun(
    index: Index, maintenance: Maintenance, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(index, 300)
    before = everything(index)

    def write() -> None:
        fill(index, 10, start=1000)
        index.delete("7")

    meanwhile(monkeypatch, "with_graph", write)
    assert stepped(maintenance)
    (part,) = index.segments().parts
    assert (part.in_graph, part.size, part.dead_count) == (300, 310, 1)
    assert everything(index) == everything(Index(index.store))
    assert everything(index) != before
    assert index.find(vector(0, 0), Search(5)).method is Method.APPROXIMATE
    assert not stepped(maintenance)


def test_graph_waits_for_a_pause_between_writes_while_little_is_behind_it(
    index: Index, maintenance: Maintenance, monkeypatch: pytest.MonkeyPatch
) -> None:
    for start in (0, 300, 600):
        fill(index, 300, start)
        assert not maintenance.step()
    monkeypatch.setattr(maintenance_module, "_TAIL_WHILE_WRITTEN", 1200)
    fill(index, 300, 900)
    assert maintenance.step()
    fill(index, 300, 1200)
    assert not maintenance.step()
    assert maintenance.step()
    (part,) = index.segments().parts
    assert part.in_graph == 1500


def test_graph_grows_when_enough_rows_are_behind_it(index: Index, maintenance: Maintenance) -> None:
    fill(index, 300)
    assert stepped(maintenance)
    fill(index, 10, start=1000)
    assert not stepped(maintenance)
    held = index.segments()
    fill(index, 100, start=2000)
    assert stepped(maintenance)
    assert [part.in_graph for part in index.segments().parts] == [410]
    assert [part.in_graph for part in held.parts] == [300]  # whoever reads it goes on
    assert index.found(vector(0, 0), Search(10)) == [
        item_id for item_id, _ in everything(index)[:10]
    ]


def test_small_neighbours_are_merged(
    index: Index, maintenance: Maintenance, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (segments_module, compaction):
        monkeypatch.setattr(module, "MOST_ROWS", 40)
    fill(index, 90)
    index.delete(*[str(i) for i in range(85) if i % 5])
    before = everything(index)
    assert [part.live_count for part in index.segments().parts] == [8, 8, 6]
    while stepped(maintenance):
        pass
    assert [(part.size, part.dead_count) for part in index.segments().parts] == [
        (16, 0),
        (10, 4),
    ] or [part.size for part in index.segments().parts] == [22]
    assert everything(index) == before


def test_collection_that_is_deleted_meanwhile_is_not_brought_back(
    index: Index, maintenance: Maintenance, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(index, 300)

    def write() -> None:
        index.apply(changes.delete_collection("listings"))
        index.create(DESCRIBED)
        fill(index, 5)

    meanwhile(monkeypatch, "with_graph", write)
    stepped(maintenance)
    assert len(index.segments()) == 5
    assert everything(index) == everything(Index(index.store))


def test_cache_is_written_at_the_end_and_the_tombstones_in_it_forgotten(
    index: Index, maintenance: Maintenance, directory: Path
) -> None:
    with maintenance:
        fill(index, 50)
        index.delete("3")
    assert index.store.tombstones(0) == []
    loaded = cache.load(directory, index.store.collections(), 1 << 62)
    assert loaded is not None
    assert loaded.seq == index.state.seq


def test_cache_that_cannot_be_written_keeps_the_tombstones(
    index: Index, maintenance: Maintenance, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(index, 50)
    index.delete("3")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "write_file", full)
    maintenance.save()
    assert len(index.store.tombstones(0)) == 1


def observed(maintenance: Maintenance, monkeypatch: pytest.MonkeyPatch, *searches: Search) -> None:
    monkeypatch.setattr("index_service.native.maintenance.random.random", lambda: 0.0)
    rng = np.random.default_rng(3)
    for wanted in searches:
        for row in rng.normal(size=(10, 2)).astype(np.float32):
            maintenance.observe("listings", row, wanted)


def ef_search(index: Index) -> int:
    return index.state.find("listings").ef_search


def test_recall_that_is_short_makes_searches_go_further(
    index: Index, maintenance: Maintenance, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(index, 300)
    stepped(maintenance)
    real = GraphRows.nearest

    def misled(self: GraphRows, queries: Matrix, width: int) -> object:
        found = real(self, queries, width)
        found.rows[:, 0] = -1  # the nearest
        return found

    monkeypatch.setattr(GraphRows, "nearest", misled)
    observed(maintenance, monkeypatch, Search(10))
    for expected in (96, 192, 384, 768, 1024, MAX_EF_SEARCH):
        maintenance.check_recall("listings")
        assert ef_search(index) == expected
    assert maintenance.recall["listings"].share == pytest.approx(0.9, abs=0.05)


def test_recall_that_is_perfect_lets_searches_go_less_far(
    index: Index, maintenance: Maintenance, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(index, 300)
    stepped(maintenance)
    snapshot = index.state.find("listings")
    index.state = index.state.with_collection(replace(snapshot, ef_search=100))
    observed(maintenance, monkeypatch, Search(10))
    efforts = []
    for _ in range(8):
        maintenance.check_recall("listings")
        efforts.append(ef_search(index))
    assert maintenance.recall["listings"] == Recall(1.0, 10)
    assert efforts == sorted(efforts, reverse=True)
    assert efforts[0] < 100
    assert efforts[-1] == MIN_EF_SEARCH


def test_recall_is_measured_of_searches_of_all_kinds(
    index: Index, maintenance: Maintenance, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(index, 300)
    stepped(maintenance)
    observed(
        maintenance,
        monkeypatch,
        Search(5, distinct_products=True),
        Search(5, filter=Filter(exclude_product_ids=("p1",))),
        Search(5, max_distance=100),
        Search(5, rerank=Rerank(20)),
    )
    maintenance.check_recall("listings")
    assert maintenance.recall["listings"].samples == 40


def test_items_at_the_same_distance_count_as_found(
    index: Index, maintenance: Maintenance, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.upsert(*[photo(str(i), f"p{i}", 0, 0) for i in range(300)])
    stepped(maintenance)
    observed(maintenance, monkeypatch, Search(10))
    maintenance.check_recall("listings")
    assert maintenance.recall["listings"].share == 1


def test_collection_made_anew_is_not_asked_what_the_old_one_was(
    index: Index, maintenance: Maintenance, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(index, 300)
    stepped(maintenance)
    observed(maintenance, monkeypatch, Search(10))
    index.apply(changes.delete_collection("listings"))
    index.create(replace(DESCRIBED, dimension=3))
    maintenance.check_recall("listings")
    assert "listings" not in maintenance.recall
    maintenance.check_recall("unknown")


@pytest.mark.parametrize("what", ["few are left", "the collection is deleted"])
def test_recall_is_told_no_more_once_nothing_is_searched_by_a_graph(
    index: Index, maintenance: Maintenance, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    fill(index, 300)
    stepped(maintenance)
    observed(maintenance, monkeypatch, Search(10))
    maintenance.check_recall("listings")
    assert "listings" in maintenance.recall
    if what == "few are left":
        index.delete(*[str(i) for i in range(250)])
    else:
        index.apply(changes.delete_collection("listings"))
    maintenance.check_recall("listings")
    assert maintenance.recall == {}


def test_background_thread_does_its_work_and_survives_an_error(
    index: Index, maintenance: Maintenance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance_module, "_INTERVAL_S", 0.001)
    failed, done = threading.Event(), threading.Event()
    real = maintenance.step

    def step() -> bool:
        if not failed.is_set():
            failed.set()
            raise ZeroDivisionError
        worked = real()
        if worked:
            done.set()
        return worked

    monkeypatch.setattr(maintenance, "step", step)
    with index.writing:
        fill(index, 300)
    with maintenance:
        assert done.wait(30)
    assert [part.in_graph for part in index.segments().parts] == [300]


@pytest.mark.parametrize(("dead", "wanted"), [(1000, False), (1001, True), (2000, True)])
def test_segment_is_rewritten_for_a_share_and_a_number_of_dead_rows(
    dead: int, wanted: bool
) -> None:
    segments = segments_of(LISTINGS, np.zeros((5000, 2))).without(np.arange(1, dead + 1))
    assert compaction.wants_rewriting(segments.parts[0]) is wanted


def test_rewritten_segment_of_dead_rows_alone_is_empty_and_takes_rows() -> None:
    before = segments_of(LISTINGS, np.zeros((30, 2)))
    after = before.without(np.arange(1, 31))
    made = compaction.rewritten(after.parts, LISTINGS)
    assert (made.size, made.longest) == (0, 0)
    more = after.with_rows(rows(LISTINGS, np.ones((2, 2)), first_key=31))
    now = compaction.caught_up(made, after.parts, more.parts, LISTINGS)
    assert now.live().keys.tolist() == [31, 32]


def test_search_by_item_goes_on_through_an_exchange(index: Index, maintenance: Maintenance) -> None:
    fill(index, 80)
    index.delete(*[str(i) for i in range(40)])
    query = Query("60")
    before = index.found(query, Search(10))
    assert stepped(maintenance)
    assert index.found(query, Search(10)) == before
