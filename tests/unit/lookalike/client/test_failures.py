"""What the client raises, when it tries again, how long it waits, and whom it may be shared by."""

from __future__ import annotations

import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from lookalike import AsyncClient, CataloguePhoto, Client
from lookalike.errors import (
    DeadlineExceededError,
    DrainingError,
    ForeignError,
    InvalidArgumentError,
    InvalidImageError,
    ItemNotFoundError,
    LookalikeError,
    QueueFullError,
    UpstreamUnavailableError,
)
from tests.fake_services import FakeEmbedder, FakeGateway

PHOTO = b"a photo"


def test_services_own_errors_arrive_as_they_were_raised(
    client: Any, gateway: FakeGateway, embedder: FakeEmbedder
) -> None:
    gateway.answers["ClassifyImage"] = InvalidImageError("no photo", field="image")
    with pytest.raises(InvalidImageError, match="no photo") as invalid:
        client.classify(PHOTO)
    assert invalid.value.field == "image"
    gateway.answers["GetListing"] = ItemNotFoundError("no x", resource=("listing", "x"))
    with pytest.raises(ItemNotFoundError) as missing:
        client.get(item_id="x")
    assert missing.value.resource == ("listing", "x")
    embedder.refuse[PHOTO] = QueueFullError("full", retry_after_ms=10)
    with pytest.raises(QueueFullError) as full:
        client.embed(PHOTO)
    assert full.value.retry_after_ms == 10


def test_grpcs_own_errors_name_the_service_and_keep_their_code(
    client: Any, gateway: FakeGateway
) -> None:
    gateway.answers["ClassifyImage"] = ForeignError(
        "who are you?", code=grpc.StatusCode.UNAUTHENTICATED
    )
    with pytest.raises(LookalikeError, match=r"the gateway at 127.*who are you") as caught:
        client.classify(PHOTO)
    assert caught.value.code is grpc.StatusCode.UNAUTHENTICATED


def test_stream_that_was_written_to_as_it_ended_counts_as_lost(
    client: Any, gateway: FakeGateway
) -> None:
    # As grpc.aio words it; when it does is a matter of microseconds.
    gateway.answers["GetStatus"] = ForeignError(
        "Internal error from Core", code=grpc.StatusCode.INTERNAL
    )
    with pytest.raises(UpstreamUnavailableError):
        client.status()


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (DrainingError("never"), DrainingError),
        # As a server ends what arrives in the moment of its stop.
        (ForeignError("stopped", code=grpc.StatusCode.CANCELLED), UpstreamUnavailableError),
    ],
)
def test_what_was_not_answered_is_tried_again_as_often_as_told_and_other_errors_are_not(
    connect: Any, serve: Any, gateway: FakeGateway, error: LookalikeError, raised: Any
) -> None:
    address = serve(gateway).address
    gateway.answers["GetStatus"] = error
    for retries in (0, 2):
        gateway.requests.clear()
        with pytest.raises(raised):
            connect(address, retries=retries).status()
        assert len(gateway.requests["GetStatus"]) == retries + 1
    gateway.answers["GetStatus"] = QueueFullError("full")
    gateway.requests.clear()
    with pytest.raises(QueueFullError):
        connect(address).status()
    assert len(gateway.requests["GetStatus"]) == 1


def test_nobody_there_is_an_error_that_says_where(connect: Any, serve: Any) -> None:
    server = serve(FakeGateway())
    server.stop()
    client = connect(server.address, embedder=server.address, timeout=5, retries=1)
    with pytest.raises(UpstreamUnavailableError, match=f"the gateway at {server.address}"):
        client.status()
    with pytest.raises(UpstreamUnavailableError, match=f"the embedder at {server.address}"):
        list(client.embed_many([("a", PHOTO)]))
    with pytest.raises(UpstreamUnavailableError):
        list(client.ingest_many([(CataloguePhoto("x", "p"), PHOTO)]))


def test_every_call_has_a_deadline(connect: Any, serve: Any, gateway: FakeGateway) -> None:
    client = connect(serve(gateway).address, timeout=7)
    client.status()
    client.status(timeout=3)
    assert 5 < (gateway.remaining_s[0] or 0) < 8
    assert 1 < (gateway.remaining_s[1] or 0) < 4
    gateway.gate.clear()
    started = time.monotonic()
    with pytest.raises(DeadlineExceededError, match=r"within 0\.2 s"):
        client.status(timeout=0.2)
    assert time.monotonic() - started < 5
    with pytest.raises(InvalidArgumentError):
        client.status(timeout=0)


def test_closed_client_says_so(connect: Any, serve: Any, gateway: FakeGateway) -> None:
    with Client(serve(gateway).address) as client:
        client.status()
    with pytest.raises(RuntimeError, match="closed"):
        client.status()


async def test_async_client_is_a_context_manager(serve: Any, gateway: FakeGateway) -> None:
    async with AsyncClient(serve(gateway).address) as client:
        assert (await client.status()).version == ""
    with pytest.raises(RuntimeError, match="closed"):
        await client.status()


def test_threads_share_a_client_and_another_process_gets_its_like(
    serve: Any, gateway: FakeGateway
) -> None:
    with (
        Client(serve(gateway).address, timeout=9) as client,
        ThreadPoolExecutor(8) as threads,
    ):
        assert len(list(threads.map(lambda _: client.status(), range(64)))) == 64
        with pickle.loads(pickle.dumps(client)) as copy:
            copy.status()
    assert all(5 < (left or 0) < 10 for left in gateway.remaining_s)
