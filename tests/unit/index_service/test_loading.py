"""Start-up from the cache: the same answers as from the store, whatever is wrong with it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from index_service.native import changes
from index_service.native.disk import cache
from index_service.native.memory import loading
from index_service.native.memory import segments as segments_module
from index_service.native.memory.columns import Rows
from index_service.native.memory.compaction import mergeable, rewritten, with_graph
from index_service.native.memory.rows import rows_of_columns
from index_service.native.memory.segments import Segments
from index_service.native.memory.state import CollectionSnapshot
from index_service.native.store.database import Columns, Store
from index_service.records import (
    Collection,
    Filter,
    Method,
    Metric,
    Query,
    QueryAnswer,
    Rerank,
    Search,
)
from lookalike.errors import StoreCorruptedError
from tests.indexes import SPACE, Index, Photo, photo, vector

DESCRIBED = Collection(
    "listings", SPACE, 2, Metric.COSINE, indexed_attributes=("brand",), full_scan_threshold=100
)
COUNT = 300


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """With several segments, dead rows and a second, empty collection."""
    with pytest.MonkeyPatch.context() as patch, Store(tmp_path / "index.sqlite3") as store:
        patch.setattr(segments_module, "MOST_ROWS", 128)
        index = Index(store)
        index.create(DESCRIBED)
        index.create(replace(DESCRIBED, name="empty", dimension=5))
        index.upsert(*[numbered(i) for i in range(COUNT)])
        index.delete(*[str(i) for i in range(0, COUNT, 7)])
        yield index


def numbered(number: int) -> Photo:
    angle = number / COUNT * 6
    values = float(np.cos(angle)), float(np.sin(angle))
    brand = {"brand": f"brand-{number % 5}"} if number % 3 else {}
    return photo(str(number), f"p{number // 2}", *values, price=number or None, attributes=brand)


def asked(index: Index) -> list[object]:
    """Answers that depend on every column."""
    queries = [Query(vector(1, 0.1 * i)) for i in range(5)]
    searches = [
        Search(20),
        Search(20, distinct_products=True),
        Search(20, filter=Filter(min_price=100)),
        Search(20, filter=Filter(attributes=(("brand", ("brand-2", "brand-4")),))),
        Search(400, exact=True),
    ]
    return [
        index.catalog.count("listings", Filter(), 0),
        index.catalog.count("empty", Filter(), 0),
        index.state.aliases,
        *[found(index, queries, search) for search in searches],
    ]


def found(index: Index, queries: list[Query], search: Search) -> list[object]:
    """What is found; dead rows, of which a cache has fewer, are compared but not found."""
    answer = index.finder.find("listings", queries, search)
    return [(each.neighbors, each.shortfall, each.method) for each in answer.results]


def from_cache(
    index: Index,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    feature_bytes: int = 1 << 62,
) -> tuple[Index, int]:
    """An index loaded with the cache, and how many rows it read from the store."""
    read: list[int] = []

    def counted(snapshot: CollectionSnapshot, columns: Columns) -> Rows:
        read.append(len(columns.keys))
        return rows_of_columns(snapshot, columns)

    monkeypatch.setattr(loading, "rows_of_columns", counted)
    loaded = Index(index.store, directory, feature_bytes)
    return loaded, sum(read)


def test_index_from_the_cache_answers_as_before(
    index: Index, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.save(directory, index.state)
    loaded, read = from_cache(index, directory, monkeypatch)
    assert read == 0
    assert asked(loaded) == asked(index)
    assert len(loaded.segments().parts) == 3


def test_index_from_the_store_alone_answers_as_before(
    index: Index, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, read = from_cache(index, directory, monkeypatch)
    assert read == len(index.segments())
    assert asked(loaded) == asked(index)


def test_what_was_written_after_the_cache_comes_from_the_store(
    index: Index, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.save(directory, index.state)
    index.delete("1", "2", "unknown")
    index.upsert(numbered(3), numbered(COUNT), numbered(COUNT + 1))
    index.delete(str(COUNT))
    index.create(replace(DESCRIBED, name="later"))
    index.upsert(photo("a", "x", 1, 0), name="later")
    index.apply(changes.set_alias("shop", "later"))
    index.apply(changes.delete_collection("empty"))
    loaded, read = from_cache(index, directory, monkeypatch)
    assert read == 3
    assert set(loaded.state.collections) == {"listings", "later"}
    assert loaded.state.aliases == {"shop": "later"}
    assert loaded.state.seq == index.state.seq
    every = Search(400)
    assert loaded.found(vector(1, 1), every) == index.found(vector(1, 1), every)
    # And goes on from there.
    loaded.upsert(photo("new", "x", 1, 1))
    assert loaded.found(vector(1, 1), Search(1)) == ["new"]
    assert Index(index.store).found(vector(1, 1), every) == loaded.found(vector(1, 1), every)


def test_tombstones_of_which_the_cache_knows_can_be_forgotten(
    index: Index, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.save(directory, index.state)
    with index.store.transaction() as write:
        write.forget_tombstones(index.state.seq)
    index.delete("1")
    assert len(index.store.tombstones(0)) == 1
    loaded, _ = from_cache(index, directory, monkeypatch)
    assert loaded.found(vector(1, 1), Search(400)) == index.found(vector(1, 1), Search(400))


def test_graph_and_effort_come_from_the_cache(index: Index, directory: Path) -> None:
    snapshot = index.state.find("listings")
    parts = tuple(with_graph(part, DESCRIBED, 1) for part in snapshot.segments.parts)
    graphed = replace(snapshot, segments=Segments(DESCRIBED, parts), ef_search=77)
    index.state = index.state.with_collection(graphed)
    cache.save(directory, index.state)
    loaded = Index(index.store, directory)
    assert asked(loaded) == asked(index)
    again = loaded.state.find("listings")
    assert again.ef_search == 77
    assert [part.in_graph for part in again.segments.parts] == [128, 128, 44]
    assert [part.dead_count for part in again.segments.parts] == [part.dead_count for part in parts]
    assert loaded.find(Query(vector(1, 0)), Search(5)).method is Method.APPROXIMATE


def files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.iterdir() if path.name != "manifest.json")


@pytest.mark.parametrize("harm", ["changed", "truncated", "missing", "longer"])
def test_cache_with_a_bad_file_is_left_aside_with_a_warning(
    harm: str,
    index: Index,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    snapshot = index.state.find("listings")
    parts = (with_graph(snapshot.segments.parts[0], DESCRIBED, 1), *snapshot.segments.parts[1:])
    graphed = replace(snapshot, segments=Segments(DESCRIBED, parts))
    cache.save(directory, index.state.with_collection(graphed))
    names = [path.name for path in files(directory)]
    assert "1-0.graph" in names
    assert "1-0-dead.bin" in names
    for name in names:
        path = directory / name
        good = path.read_bytes()
        if not good and harm in {"changed", "truncated"}:
            continue
        if harm == "missing":
            path.unlink()
        else:
            flipped = bytes([good[0] ^ 1]) + good[1:] if good else b""
            bad = {"changed": flipped, "truncated": good[:-1], "longer": good + b"\0"}
            path.write_bytes(bad[harm])
        caplog.clear()
        assert cache.load(directory, index.store.collections(), 1 << 62) is None
        assert [record.levelno for record in caplog.records] == [logging.WARNING]
        path.write_bytes(good)
    (directory / names[0]).unlink()
    loaded, read = from_cache(index, directory, monkeypatch)
    assert read == len(index.segments())
    assert loaded.found(vector(1, 1), Search(400)) == index.found(vector(1, 1), Search(400))


@pytest.mark.parametrize(
    "change",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"files": {}}',
        '{"files": {"x": 5}}',
        '{"files": {"manifest.json": {}}}',
        '{"files": {"../index.sqlite3": {}}}',
        {"format": 99},
        {"seq": None, "next_key": None, "collections": None},
        {"collections": [{"key": 1}]},
        {"collections": [{"key": 1, "segments": [{"rows": -1}], "codes": [], "effort": 1}]},
        {"collections": [{"key": 1, "segments": [{"rows": 1 << 60}], "codes": [], "effort": 1}]},
        {"collections": [None]},
    ],
)
def test_cache_with_a_bad_manifest_is_left_aside(
    change: str | dict[str, object], index: Index, directory: Path
) -> None:
    cache.save(directory, index.state)
    path = directory / "manifest.json"
    if isinstance(change, dict):
        change = json.dumps(json.loads(path.read_text()) | change)
    path.write_text(change)
    assert cache.load(directory, index.store.collections(), 1 << 62) is None


def test_store_without_writes_that_the_cache_knows_is_refused(
    index: Index, directory: Path, tmp_path: Path
) -> None:
    index.store.copy_to(tmp_path / "earlier.sqlite3")
    index.upsert(photo("later", "x", 1, 0))
    cache.save(directory, index.state)
    refused = pytest.raises(StoreCorruptedError, match="older than the cache")
    with Store(tmp_path / "earlier.sqlite3") as store, refused:
        Index(store, directory)


def test_cache_that_cannot_be_written_leaves_the_one_before(
    index: Index, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.save(directory, index.state)
    before = {path.name: path.read_bytes() for path in directory.iterdir()}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "write_file", full)
    with pytest.raises(OSError, match="No space"):
        cache.save(directory, index.state)
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before
    assert [path.name for path in directory.parent.iterdir() if "cache" in path.name] == ["cache"]


def test_collection_without_any_items_ever_is_cached(tmp_path: Path, directory: Path) -> None:
    with Store(tmp_path / "index.sqlite3") as store:
        index = Index(store)
        index.create()
        cache.save(directory, index.state)
        index.upsert(photo("a", "x", 1, 0))
        assert Index(store, directory).found(vector(0, 0), Search(1)) == ["a"]


FEATURED = Collection("featured", SPACE, 2, Metric.SQUARED_L2, features_dimension=4)


def featured(number: int) -> Photo:
    angle = number / COUNT * 6
    features = [np.cos(angle), np.sin(angle), 1, number % 3] if number % 5 else []
    return photo(f"f{number}", f"p{number // 2}", number, 0, features=features)


@pytest.fixture
def with_features(index: Index) -> Index:
    """With a third collection of 300 items in three segments of 512 bytes of features each."""
    index.create(FEATURED)
    index.upsert(*[featured(i) for i in range(COUNT)], name="featured")
    return index


def ranked(index: Index, candidates: int = COUNT) -> QueryAnswer:
    query = Query(vector(3, 0), [1, 2, 3, 4])
    search = Search(7, rerank=Rerank(candidates, 0.01))
    (result,) = index.finder.find("featured", [query], search).results
    return result


def found_by_features(index: Index) -> list[str]:
    query, search = Query(vector(3, 0), [1, 2, 3, 4]), Search(2 * COUNT, rerank=Rerank(1))
    (result,) = index.finder.find("featured", [query], search).results
    return [item.id for item in result.neighbors.items]


def in_memory(index: Index) -> list[bool]:
    return [part.has_features for part in index.state.find("featured").segments.parts]


@pytest.mark.parametrize(("feature_bytes", "kept"), [(1 << 20, 3), (1024, 2), (1, 1), (0, 0)])
def test_memory_holds_no_more_features_than_it_may(
    feature_bytes: int, kept: int, with_features: Index, directory: Path
) -> None:
    expected = ranked(with_features)
    loaded = Index(with_features.store, directory, feature_bytes)
    assert in_memory(loaded) == [True] * kept + [False] * (3 - kept)
    if kept == 3:
        assert ranked(loaded) == expected
    else:  # what is read from the disk is read of fewer
        assert ranked(loaded).ranked == 200
        assert ranked(loaded, 150) == ranked(with_features, 150)
    again = Index(with_features.store, directory, feature_bytes)
    again.upsert(*[featured(i) for i in range(COUNT, 2 * COUNT)], name="featured")
    assert in_memory(again) == ([True] * kept + [kept == 3] * 2 + [False] * 3)[:5]


def test_features_come_from_the_cache(
    with_features: Index, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.save(directory, with_features.state)
    loaded, read = from_cache(with_features, directory, monkeypatch)
    assert (read, in_memory(loaded)) == (0, [True] * 3)
    assert ranked(loaded) == ranked(with_features)


def test_cache_is_used_where_features_may_take_other_memory(
    with_features: Index, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = ranked(with_features)
    cache.save(directory, with_features.state)
    fewer, read = from_cache(with_features, directory, monkeypatch, 1)
    assert (read, in_memory(fewer)) == (0, [True, False, False])
    assert ranked(fewer, 150) == ranked(with_features, 150)
    cache.save(directory, fewer.state)
    fewer.delete("f290")
    fewer.upsert(featured(COUNT), name="featured")
    more, read = from_cache(fewer, directory, monkeypatch, 1024)
    assert (read, in_memory(more)) == (1, [True, True, False])
    all_of_them, read = from_cache(fewer, directory, monkeypatch)
    assert (read, in_memory(all_of_them)) == (1, [True, True, True])
    assert ranked(all_of_them, COUNT).neighbors == expected.neighbors
    assert found_by_features(all_of_them) == found_by_features(Index(fewer.store))


def test_cache_is_used_after_segments_without_features_have_moved_to_the_front(
    with_features: Index, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_features.upsert(*[featured(i) for i in range(COUNT, 2 * COUNT)], name="featured")
    index = Index(with_features.store, feature_bytes=1024)
    assert in_memory(index) == [True, True, False, False, False]
    index.delete(*[f"f{i}" for i in range(256) if i % 10], name="featured")
    snapshot = index.state.find("featured")
    assert mergeable(snapshot.segments) == (0, 2)
    one, other, *rest = snapshot.segments.parts
    parts = (rewritten((one, other), FEATURED), *rest)
    segments = replace(snapshot.segments, parts=parts)
    index.state = index.state.with_collection(replace(snapshot, segments=segments))
    expected = ranked(index, 150)
    cache.save(directory, index.state)
    loaded, read = from_cache(index, directory, monkeypatch, 1024)
    assert (read, in_memory(loaded)) == (0, [True, True, False, False])
    assert ranked(loaded, 150) == expected


def test_segments_with_and_without_features_stay_apart(with_features: Index) -> None:
    index = Index(with_features.store, feature_bytes=1)
    assert in_memory(index) == [True, False, False]
    index.delete(*[f"f{i}" for i in range(COUNT) if i % 10], name="featured")
    assert mergeable(index.segments("featured")) == (1, 3)


def test_segments_with_and_without_features_become_one_without(with_features: Index) -> None:
    with_features.delete(*[f"f{i}" for i in range(COUNT) if i % 10], name="featured")
    one, other, _ = with_features.state.find("featured").segments.parts
    without = replace(other, rows=other.rows.without_features())
    for parts in ((one, without), (without, one)):
        merged = rewritten(parts, FEATURED)
        assert not merged.has_features
        assert merged.size == one.live_count + other.live_count
    assert rewritten((one, other), FEATURED).has_features
