"""What Milvus cannot do is refused by name, and nothing else is done instead."""

from __future__ import annotations

import asyncio

import pytest

from index_service.backend import Backend
from index_service.records import Batch, Collection, Metric, Query, Search
from lookalike.errors import (
    CollectionNotFoundError,
    IndexRecoveringError,
    NotSupportedError,
    UpstreamUnavailableError,
)
from tests.contract.conftest import Make
from tests.contract.listings import (
    SPACE,
    ids,
    item,
    nearest,
    plain,
    vector,
    write,
    write_on_a_line,
)


@pytest.fixture(autouse=True)
def _only_milvus(backend_name: str) -> None:
    if not backend_name.startswith("milvus"):
        pytest.skip("about Milvus alone")


async def test_request_ids_are_refused(backend: Backend, line: str) -> None:
    batch = Batch([item("a")], [vector(0, 0)], [()])
    with pytest.raises(NotSupportedError, match="request_id"):
        await backend.upsert_items(line, batch, "r1")
    with pytest.raises(NotSupportedError, match="request_id"):
        await backend.delete_items(line, ["a"], [], "r1")
    assert (await backend.collection(line))[1] == 0


async def test_snapshots_are_refused(backend: Backend) -> None:
    with pytest.raises(NotSupportedError, match="milvus-backup"):
        await backend.create_snapshot()


async def test_batch_that_one_message_cannot_hold_is_refused_whole(
    backend: Backend, line: str
) -> None:
    big = [(item(f"{i}", text="x" * 8000), vector(0, 0)) for i in range(600)]
    with pytest.raises(NotSupportedError, match="MAX_BATCH_BYTES"):
        await write(backend, line, big)
    assert (await backend.collection(line))[1] == 0


async def test_attributes_beyond_milvus_limit_are_refused(backend: Backend, line: str) -> None:
    heavy = item("a", **{f"k{i}": "x" * 8192 for i in range(9)})
    with pytest.raises(NotSupportedError, match="65535"):
        await write(backend, line, [(heavy, vector(0, 0))])
    fits = item("b", **{f"k{i}": "é" * 4000 for i in range(8)})
    await write(backend, line, [(fits, vector(0, 0))])
    assert (await backend.item(line, "b"))[0].item == fits


async def test_deleting_too_much_at_once_is_refused(backend: Backend, line: str) -> None:
    for start in (0, 9_000):
        rows = [(item(f"{start + i}", "p"), vector(0, 0)) for i in range(9_000)]
        await write(backend, line, rows)
    with pytest.raises(NotSupportedError, match="product"):
        await backend.delete_items(line, [], ["p"])
    assert (await backend.collection(line))[1] == 18_000


async def test_number_of_a_write_far_ahead_is_not_waited_for(backend: Backend, line: str) -> None:
    seq = (await write(backend, line, [(item("a"), vector(0, 0))])).seq
    with pytest.raises(IndexRecoveringError):
        await backend.item(line, "a", seq + (3_600_000 << 18))
    with pytest.raises(IndexRecoveringError):
        await nearest(backend, line, vector(0, 0), min_seq=2**63 - 1)


async def test_graph_is_said_to_be_approximate(
    milvus_address: str, backend_name: str, line: str
) -> None:
    from index_service.milvus.backend import MilvusBackend, MilvusSettings

    name = f"{line}-graph"
    with MilvusBackend(MilvusSettings(milvus_address, index="HNSW")) as backend:
        await backend.create_collection(Collection(name, SPACE, 2, Metric.SQUARED_L2))
        await write_on_a_line(backend, name, {f"{i}": float(i) for i in range(9)}, {"1": "p0"})
        answer = await nearest(backend, name, vector(0, 0), k=3, distinct_products=True)
        assert ids(answer) == ["0", "1", "2"]
        assert answer.method.value == "approximate"
        with pytest.raises(NotSupportedError, match="FLAT"):
            await nearest(backend, name, vector(0, 0), exact=True)
        with pytest.raises(NotSupportedError, match="HNSW"):
            await backend.search_range(name, Query(vector(0, 0)), Search(3, max_distance=4.0))
        await backend.delete_collection(name)


@pytest.mark.parametrize("strong", [False, True])
async def test_acknowledged_write_is_seen_through_every_service(
    milvus_address: str, line: str, strong: bool
) -> None:
    from index_service.milvus.backend import MilvusBackend, MilvusSettings

    settings = MilvusSettings(milvus_address, strong=strong)
    with MilvusBackend(settings) as one, MilvusBackend(settings) as other:
        for number in range(10):
            seq = (await write(one, line, [(item("a"), vector(number, 0))])).seq
            assert (await other.item(line, "a"))[0].vector[0] == number
            assert (await other.item(line, "a", seq))[0].vector[0] == number
            assert ids(await nearest(other, line, vector(number, 0), max_distance=0.0)) == ["a"]
            await one.delete_items(line, [], ["p-a"])
            assert ids(await nearest(other, line, vector(0, 0))) == []


async def test_writes_at_the_same_time_know_of_each_other(backend: Backend, line: str) -> None:
    batches = [[(item("a"), vector(i, 0)), (item(f"b{i}"), vector(i, 0))] for i in range(6)]
    done = await asyncio.gather(*(write(backend, line, rows) for rows in batches))
    assert [(each.inserted, each.replaced) for each in done] == [(2, 0)] + [(1, 1)] * 5
    assert [each.seq for each in done] == sorted(each.seq for each in done)
    deleted = await asyncio.gather(
        backend.delete_items(line, ["a"], []), backend.delete_items(line, ["a"], ["p-b1"])
    )
    assert [each.deleted for each in deleted] == [1, 1]
    assert (await backend.item(line, "b5"))[0].vector[0] == 5


async def test_two_services_agree_on_names(
    backend: Backend, milvus_address: str, make: Make, alias: str
) -> None:
    from index_service.milvus.backend import MilvusBackend, MilvusSettings

    first, second = await make(), await make(dimension=3)
    with MilvusBackend(MilvusSettings(milvus_address)) as other:
        await other.set_alias(alias, first)
        assert (await backend.collection(alias))[0].dimension == 2
        await backend.set_alias(alias, second)
        assert (await other.collection(alias))[0].dimension == 3
        await write(other, alias, [(item("a"), vector(0, 0, 0))])
        # A collection that was deleted and created anew elsewhere has another shape now.
        await backend.delete_alias(alias)
        await backend.delete_collection(first)
        await backend.create_collection(plain(first, dimension=4))
        await write(other, first, [(item("a"), vector(0, 0, 0, 1))])
        with pytest.raises(CollectionNotFoundError):
            await other.collection(alias)


async def test_milvus_that_is_away_is_an_upstream_that_is_unavailable(
    backend_name: str, line: str
) -> None:
    from index_service.milvus.backend import MilvusBackend, MilvusSettings

    if backend_name == "milvus-lite":
        pytest.skip("milvus-lite runs in this process")
    with (
        MilvusBackend(MilvusSettings("http://127.0.0.1:9", timeout_s=0.5)) as backend,
        pytest.raises(UpstreamUnavailableError, match="TIMEOUT"),
    ):
        await backend.collection(line)
