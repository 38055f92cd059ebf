"""What every call of the gateway has in common, against a server in this process."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import grpc
import pytest

from gateway.deadline import Deadline
from gateway.embedder import EmbedderUpstream
from gateway.hedging import Hedger
from gateway.index import IndexUpstream
from gateway.listings import ItemId, SearchOptions
from lookalike.channel import MAX_MESSAGE_BYTES
from lookalike.errors import (
    CollectionNotFoundError,
    DeadlineUnreachableError,
    DrainingError,
    EmbeddingSpaceMismatchError,
    ForeignError,
    IndexRecoveringError,
    InvalidImageError,
    ItemNotFoundError,
    LookalikeError,
    QueueFullError,
    UpstreamUnavailableError,
)
from lookalike.serving.health import HealthServicer
from tests.gateways import EMBEDDER, INDEX
from tests.upstream_services import FakeServices, serving

ITEM, ONE = ItemId("photo"), SearchOptions(1)


async def refused(call: Awaitable[object]) -> LookalikeError:
    with pytest.raises(LookalikeError) as caught:
        await call
    return caught.value


async def test_client_errors_are_passed_on_unchanged(
    called_embedder: EmbedderUpstream, called_index: IndexUpstream, services: FakeServices
) -> None:
    sent: LookalikeError = InvalidImageError("image is empty (0 bytes)", field="image")
    services.errors = {"EmbedImage": [sent, QueueFullError("full", retry_after_ms=70)]}
    error = await refused(called_embedder.embed(b"", 30))
    assert (type(error), error.message, error.field) == (type(sent), sent.message, "image")
    error = await refused(called_embedder.embed(b"", 30))
    assert (type(error), error.retry_after_ms) == (QueueFullError, 70)
    sent = CollectionNotFoundError("there is no 'x'", resource=("collection", "x"))
    services.errors = {"FindNeighbors": [sent]}
    deadline = Deadline(30)
    error = await refused(called_index.find(ITEM, ONE, deadline))
    assert (type(error), error.message, error.resource) == (type(sent), sent.message, sent.resource)
    assert deadline.spent_ns("search") > 0, "a hop that fails took its time too"


@pytest.mark.parametrize(
    ("error_class", "field", "known_as"),
    [
        (ItemNotFoundError, "queries[0].item_id", "item_id"),
        (EmbeddingSpaceMismatchError, "queries[0].vector.embedding_space", "image"),
    ],
)
async def test_field_of_the_index_becomes_the_field_that_the_caller_knows(
    called_index: IndexUpstream,
    services: FakeServices,
    error_class: type[LookalikeError],
    field: str,
    known_as: str,
) -> None:
    services.errors = {"FindNeighbors": [error_class("no", field=field, metadata={"a": "b"})]}
    error = await refused(called_index.find(ITEM, ONE, Deadline(30)))
    assert (type(error), error.field, error.metadata) == (error_class, known_as, {"a": "b"})


async def test_write_that_is_not_visible_yet_is_no_outage(
    called_index: IndexUpstream, services: FakeServices
) -> None:
    sent = IndexRecoveringError("up to 2; min_seq is 3", field="min_seq", retry_after_ms=70)
    services.errors = {"FindNeighbors": [sent] * 4}
    error = await refused(called_index.find(ITEM, ONE, Deadline(30)))
    assert (type(error), error.message, error.field) == (type(sent), sent.message, "min_seq")
    assert error.retry_after_ms == 70


async def test_upstream_that_nobody_can_reach_is_named_with_its_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        target = f"127.0.0.1:{taken.getsockname()[1]}"
    upstream = IndexUpstream(target, "listings", MAX_MESSAGE_BYTES)
    error = await refused(upstream.find(ITEM, ONE, Deadline(30)))
    await upstream.channel.close()
    assert isinstance(error, UpstreamUnavailableError)
    assert error.message.startswith(f"the index at {target} cannot be reached: ")
    assert error.metadata == {"upstream": "index"}
    assert error.retry_after_ms == 1000


async def test_upstream_that_drains_is_unavailable_for_as_long_as_it_says(
    called_index: IndexUpstream, services: FakeServices, target: str
) -> None:
    draining = DrainingError("shutting down", retry_after_ms=7)
    services.errors = {"FindNeighbors": [draining] * 12}
    error = await refused(called_index.find(ITEM, ONE, Deadline(30)))
    assert isinstance(error, UpstreamUnavailableError)
    assert error.message == f"the index at {target} cannot be reached: shutting down"
    assert (error.metadata, error.retry_after_ms) == ({"upstream": "index"}, 7)
    assert len(services.asked) == 12, "it was tried again first: four times by gRPC, and twice more"


async def test_upstream_that_hangs_is_left_when_the_time_is_up(
    called_embedder: EmbedderUpstream, called_index: IndexUpstream, services: FakeServices
) -> None:
    services.hang = True
    for name, call in (
        ("embedder", lambda: called_embedder.embed(b"photo", 0.2)),
        ("index", lambda: called_index.find(ITEM, ONE, Deadline(0.2))),
    ):
        error = await refused(call())
        assert isinstance(error, ForeignError)
        assert error.code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert error.message.startswith(f"{name}: ")


async def test_call_without_time_is_not_made(
    called_embedder: EmbedderUpstream, called_index: IndexUpstream, services: FakeServices
) -> None:
    called_index.read_latencies.add(5)
    for call in (
        called_embedder.model_of("space-1", Deadline(0)),
        called_index.find(ITEM, ONE, Deadline(4)),
    ):
        assert isinstance(await refused(call), DeadlineUnreachableError)
    assert services.asked == []


async def test_caller_who_leaves_ends_the_upstreams_call(
    called_embedder: EmbedderUpstream, called_index: IndexUpstream, services: FakeServices
) -> None:
    services.hang = True
    for call in (
        called_embedder.embed(b"photo", 60),
        called_index.find(ITEM, ONE, Deadline(60)),
    ):
        services.arrived.clear()
        services.left.clear()
        task = asyncio.ensure_future(call)
        async with asyncio.timeout(30):
            await services.arrived.wait()
            task.cancel()
            await services.left.wait()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_call_that_a_stopping_server_drops_says_that_it_may_be_tried_again(
    called_index: IndexUpstream, services: FakeServices
) -> None:
    services.errors = {"FindNeighbors": [ForeignError("", code=grpc.StatusCode.CANCELLED)] * 30}
    error = await refused(called_index.find(ITEM, ONE, Deadline(30)))
    assert isinstance(error, UpstreamUnavailableError)
    assert (error.metadata, error.retry_after_ms) == ({"upstream": "index"}, 1000)


async def test_status_of_somebody_else_keeps_its_code_and_says_who_sent_it(
    called_index: IndexUpstream, services: FakeServices
) -> None:
    services.errors = {"FindNeighbors": [ForeignError("what?", code=grpc.StatusCode.UNIMPLEMENTED)]}
    error = await refused(called_index.find(ITEM, ONE, Deadline(30)))
    assert isinstance(error, ForeignError)
    assert (error.code, error.message) == (grpc.StatusCode.UNIMPLEMENTED, "index: what?")


async def test_readiness_follows_the_health_that_the_upstream_tells(
    health: HealthServicer, services: FakeServices
) -> None:
    health.set_ready(EMBEDDER, False)
    changed = asyncio.Condition()

    async def tell() -> None:
        async with changed:
            changed.notify_all()

    async def becomes(predicate: Callable[[], bool]) -> None:
        async with asyncio.timeout(60), changed:
            await changed.wait_for(predicate)

    async with serving(services, health) as target:
        upstream = EmbedderUpstream(target, MAX_MESSAGE_BYTES, Hedger(0, 0))
        assert not upstream.ready
        watcher = asyncio.create_task(upstream.watch(tell))
        health.set_ready(EMBEDDER, True)
        await becomes(lambda: upstream.ready)
        health.set_ready(EMBEDDER, False)
        await becomes(lambda: not upstream.ready)
        health.set_ready(EMBEDDER, True)
        await becomes(lambda: upstream.ready)
    await becomes(lambda: not upstream.ready)
    watcher.cancel()
    await asyncio.gather(watcher, return_exceptions=True)
    await upstream.channel.close()


async def test_new_channel_takes_the_place_of_the_old_one_when_it_is_connected(
    called_index: IndexUpstream, health: HealthServicer, services: FakeServices
) -> None:
    seen: list[bool] = []
    news = asyncio.Event()

    async def changed() -> None:
        seen.append(called_index.ready)
        news.set()

    async def until(ready: bool) -> None:
        async with asyncio.timeout(30):
            while called_index.ready is not ready or seen[-1:] != [ready]:
                await news.wait()
                news.clear()

    watching = asyncio.create_task(called_index.watch(changed))
    await until(ready=True)
    seen.clear()
    old = called_index.channel
    services.hang = True
    in_progress = asyncio.create_task(called_index.find(ITEM, ONE, Deadline(30)))
    await services.arrived.wait()
    await called_index.reopen()
    assert called_index.channel is not old
    await until(ready=True)
    assert set(seen) == {True}, "nobody was told that it is away"
    assert not in_progress.done()
    health.set_ready(INDEX, False)
    await until(ready=False)  # the new channel is watched, while a call goes on on the old one
    for task in (in_progress, watching):
        task.cancel()
    await asyncio.gather(in_progress, watching, return_exceptions=True)


async def test_channel_that_serves_is_kept_until_another_one_is_connected(
    called_index: IndexUpstream, health: HealthServicer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.upstreams._CONNECTING_S", 0.2)
    old = called_index.channel
    await old.channel_ready()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        called_index.target = f"127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(OSError, match="does not accept what is new"):
        await called_index.reopen()
    assert called_index.channel is old
    assert called_index.ready
    health.set_ready(INDEX, False)
    while called_index.ready:
        await old.wait_for_state_change(grpc.ChannelConnectivity.READY)
    await called_index.reopen()  # nothing is lost by it then
    assert called_index.channel is not old
