"""The backend of one machine, put together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index_service.config import IndexSettings
from index_service.native.backend import NativeBackend, open_native
from index_service.native.disk import snapshot
from index_service.native.memory.features import FeaturesQuery
from index_service.native.search.first_stage import NumberedQueries
from index_service.native.search.second_stage import Ranked, SecondStage
from index_service.records import (
    NO_FILTER,
    Batch,
    CollectionState,
    Count,
    PackedVectors,
    Query,
    Rerank,
    Search,
    Upserted,
    View,
)
from lookalike.errors import (
    CollectionNotFoundError,
    IndexRecoveringError,
    ReadOnlyError,
    RequestIdReusedError,
    StartupError,
)
from tests.indexes import LISTINGS, SPACE, Photo, batch, photo, vector

ORIGIN = Query(vector(0, 0))


@pytest.fixture
def settings(tmp_path: Path) -> IndexSettings:
    path = tmp_path / "data"
    path.mkdir()
    return IndexSettings(data_dir=path, search_threads=2)


def photos(count: int, start: int = 0) -> list[Photo]:
    return [photo(f"{i}", f"p{i // 2}", i, 0) for i in range(start, start + count)]


async def upsert(backend: NativeBackend, *sent: Photo, **options: Any) -> Upserted:
    return await backend.upsert_items("listings", batch(sent), **options)


async def found(backend: NativeBackend, k: int = 5) -> list[str]:
    answer = await backend.find_neighbors("listings", [ORIGIN], Search(k))
    return [item.id for item in answer.results[0].neighbors.items]


async def test_queries_of_a_caller_who_has_left_are_not_ranked(
    settings: IndexSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranking, release = threading.Event(), threading.Event()
    ranked: list[int] = []
    rank = SecondStage.rank

    def waiting(stage: SecondStage, query: NumberedQueries, features: FeaturesQuery) -> Ranked:
        ranked.append(1)
        ranking.set()
        release.wait()
        return rank(stage, query, features)

    monkeypatch.setattr(SecondStage, "rank", waiting)
    with open_native(settings) as backend:
        await backend.create_collection(replace(LISTINGS, features_dimension=2))
        await upsert(backend, photo("a", "x", 0, 0, features=[1, 0]))
        queries, search = [Query(vector(0, 0), [1, 0])] * 50, Search(1, rerank=Rerank(5))
        asked = asyncio.ensure_future(backend.find_neighbors("listings", queries, search))
        await asyncio.to_thread(ranking.wait)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        release.set()
    assert ranked == [1]


async def test_what_was_written_is_there_after_a_restart(settings: IndexSettings) -> None:
    with open_native(settings) as backend:
        await backend.create_collection(LISTINGS)
        written = await upsert(backend, *photos(100))
        assert await backend.delete_items("listings", ["0"], ["p1"]) == (3, 3)
        assert await backend.set_alias("shop", "listings") == ("", 4)
        before = await found(backend)
    with open_native(settings) as backend:
        assert await found(backend) == before == ["1", "4", "5", "6", "7"]
        assert await backend.aliases() == {"shop": "listings"}
        assert await backend.collections() == [(LISTINGS, 97)]
        assert await backend.collection("shop") == (LISTINGS, 97)
        assert await backend.count_items("shop", NO_FILTER) == Count(97, 49, 4)
        page = await backend.list_items("shop", NO_FILTER, size=2, after=0, view=View.IDS)
        assert [each.item.id for each in page.items] == ["1", "4"]
        item, _ = await backend.item("listings", "1", written.seq)
        assert item.vector.tolist() == [1, 0]
        assert await backend.delete_alias("shop") == 5
        assert await backend.delete_collection("listings") == 97
        with pytest.raises(CollectionNotFoundError):
            await found(backend)


async def test_retry_after_a_restart_is_answered_as_the_first_was(
    settings: IndexSettings,
) -> None:
    names = [f"attribute {i}" for i in range(20)]
    sent = [
        photo("a", "x", 0, 0, attributes={name: name for name in order}, price=1)
        for order in (names, names[::-1])
    ]
    with open_native(settings) as backend:
        await backend.create_collection(LISTINGS)
        first = await upsert(backend, sent[0], request_id="r1")
        deleted = await backend.delete_items("listings", ["a"], [], request_id="r2")
    with open_native(settings) as backend:
        # A map of protobuf comes in any order.
        assert await upsert(backend, sent[1], request_id="r1") == first
        assert await backend.delete_items("listings", ["a"], [], request_id="r2") == deleted
        assert await found(backend) == []
        for other in (photo("a", "x", 0, 1), photo("a", "x", 0, 0, price=2)):
            with pytest.raises(RequestIdReusedError):
                await upsert(backend, other, request_id="r1")
        with pytest.raises(RequestIdReusedError):
            await backend.delete_items("listings", ["a"], [], request_id="r1")


async def test_many_writes_at_once_all_take_effect(settings: IndexSettings) -> None:
    with open_native(settings) as backend:
        await backend.create_collection(LISTINGS)
        writes = [upsert(backend, *photos(20, 20 * i)) for i in range(30)]
        answers = await asyncio.gather(*writes)
        assert sorted(answer.seq for answer in answers) == list(range(2, 32))
        assert await backend.count_items("listings", NO_FILTER) == Count(600, 300, 31)


async def test_place_of_a_write_is_told_before_its_answer(settings: IndexSettings) -> None:
    order: list[str] = []
    with open_native(settings) as backend:
        await backend.create_collection(LISTINGS)
        for count in (1, 50):  # small batches are made ready at once, others in a thread
            await upsert(backend, *photos(count), placed=lambda: order.append("placed"))
            order.append("written")
    assert order == ["placed", "written"] * 2


async def test_read_of_a_write_to_come_is_refused(settings: IndexSettings) -> None:
    with open_native(settings) as backend:
        await backend.create_collection(LISTINGS)
        seq = (await upsert(backend, photo("a", "x", 0, 0))).seq
        reads: list[Awaitable[object]] = [
            backend.find_neighbors("listings", [ORIGIN], Search(1), seq + 1),
            backend.find_neighbors("listings", [Query("a")], Search(1), seq + 1),
            backend.search_range("listings", ORIGIN, Search(1, max_distance=1), seq + 1),
            backend.item("listings", "a", seq + 1),
            backend.count_items("listings", NO_FILTER, seq + 1),
            backend.list_items(
                "listings", NO_FILTER, size=1, after=0, view=View.IDS, min_seq=seq + 1
            ),
        ]
        for read in reads:
            with pytest.raises(IndexRecoveringError):
                await read
        answer = await backend.find_neighbors("listings", [ORIGIN], Search(1), seq)
        assert answer.applied_seq == seq


async def test_answers_agree_whichever_way_they_are_found(settings: IndexSettings) -> None:
    with open_native(settings) as backend:
        await backend.create_collection(LISTINGS)
        await upsert(backend, *photos(30))
        slow = await backend.find_neighbors("listings", [Query("29"), ORIGIN], Search(5))
        quick = await backend.find_neighbors("listings", [ORIGIN], Search(5))
        packed = PackedVectors(np.zeros(2, np.float32), SPACE)
        by_bytes = await backend.find_neighbors("listings", packed, Search(5))
        assert quick == by_bytes
        assert quick.results[0] == slow.results[1]
        together = [backend.find_neighbors("listings", [ORIGIN], Search(5)) for _ in range(10)]
        assert await asyncio.gather(*together) == [quick] * 10


async def test_snapshot_is_served_by_an_index_that_takes_no_writes(
    settings: IndexSettings,
) -> None:
    with open_native(settings) as backend:
        await backend.create_collection(LISTINGS)
        await upsert(backend, *photos(50))
        made = await backend.create_snapshot()
        before = await found(backend)
        await upsert(backend, photo("later", "x", 0, 0))
    path = settings.data_dir / "snapshots" / made.name
    replica = replace(settings, data_dir=path, read_only=True)
    with open_native(replica) as backend, open_native(replica) as another:
        assert await found(backend) == await found(another) == before
        state = await backend.state()
        assert (state.backend, state.read_only, state.applied_seq) == ("native", True, made.seq)
        writes: list[Awaitable[object]] = [
            backend.create_collection(replace(LISTINGS, name="new")),
            backend.delete_collection("listings"),
            backend.set_alias("shop", "listings"),
            backend.delete_alias("shop"),
            upsert(backend, photo("a", "x", 0, 0)),
            upsert(backend, *photos(50)),
            backend.delete_items("listings", ["a"], []),
            backend.create_snapshot(),
        ]
        for write in writes:
            with pytest.raises(ReadOnlyError):
                await write
    snapshot.verify(path)


def test_directory_that_is_no_snapshot_is_not_served_read_only(settings: IndexSettings) -> None:
    with pytest.raises(StartupError, match="no good snapshot"):
        open_native(replace(settings, read_only=True)).__enter__()


async def test_state_tells_how_collections_are_searched(settings: IndexSettings) -> None:
    with open_native(settings) as backend:
        await backend.create_collection(replace(LISTINGS, name="b"))
        await backend.create_collection(LISTINGS)
        await backend.upsert_items("b", batch(photos(50)))
        await backend.delete_items("b", ["3"], [])
        state = await backend.state()
    described, empty = state.collections
    # Key, vector, product, price, category and scale of a row, and whether it is dead.
    expected = CollectionState(
        "b",
        items=49,
        deleted_rows=1,
        memory_bytes=50 * (8 + 8 + 4 + 8 + 4 + 4 + 1),
        embedding_space=LISTINGS.embedding_space,
        target_recall=LISTINGS.target_recall,
    )
    assert described == expected
    assert empty == replace(expected, name="listings", items=0, deleted_rows=0, memory_bytes=0)
    assert (state.read_only, state.applied_seq) == (False, 4)


async def test_batch_of_no_collection_is_refused_before_the_writer_sees_it(
    settings: IndexSettings,
) -> None:
    with open_native(settings) as backend:
        for sent in (photos(1), photos(50)):
            empty: Batch = batch(sent)
            with pytest.raises(CollectionNotFoundError):
                await backend.upsert_items("nothing", empty)
