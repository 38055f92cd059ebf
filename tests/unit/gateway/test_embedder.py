"""What the gateway asks of embedders, and how it takes their failures."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import grpc
import pytest

from gateway.deadline import Deadline
from gateway.embedder import Embedded, EmbedderUpstream
from gateway.hedging import Hedger
from lookalike.channel import MAX_MESSAGE_BYTES
from lookalike.embedder.v1 import embedder_pb2
from lookalike.errors import DrainingError, ForeignError, UpstreamUnavailableError
from lookalike.serving.health import HealthServicer
from tests.gateways import SPACE, VECTOR
from tests.upstream_services import FakeServices, fake_services, serving


async def test_photo_is_embedded_within_the_time_that_it_is_given(
    called_embedder: EmbedderUpstream, services: FakeServices
) -> None:
    embedded = await called_embedder.embed(b"photo", 30)
    assert embedded == Embedded(VECTOR, 1, 2, 3)
    assert services.asked[1:] == [
        embedder_pb2.EmbedImageRequest(image=b"photo", priority=embedder_pb2.PRIORITY_INTERACTIVE)
    ]
    assert services.remaining_s is not None
    assert 0 < services.remaining_s <= 31
    assert called_embedder.latencies[False].fastest_s > 0
    await called_embedder.embed(b"photo", 30, bulk=True)
    assert services.asked[2].priority == embedder_pb2.PRIORITY_BULK
    assert services.count(embedder_pb2.GetModelRequest) == 1


async def test_model_is_asked_for_once_for_each_space(
    called_embedder: EmbedderUpstream, services: FakeServices
) -> None:
    for _ in range(3):
        model = await called_embedder.model_of(SPACE, Deadline(30))
        assert (model.labels, model.temperature) == (("books", "tools"), 1)
    assert len(services.asked) == 1
    services.model = embedder_pb2.Model(
        embedding_space="space-2",
        labels=["toys"],
        temperature=1.5,
        outputs=[embedder_pb2.ModelOutput(name="category", dimension=1)],
    )
    model = await called_embedder.model_of("space-2", Deadline(30))
    assert (model.labels, model.temperature, model.dimension) == (("toys",), 1.5, 1)
    assert (await called_embedder.model_of(SPACE, Deadline(30))).labels == ("books", "tools")
    assert len(services.asked) == 2


async def test_vector_of_a_model_that_is_gone_gets_no_labels_of_another(
    called_embedder: EmbedderUpstream,
) -> None:
    with pytest.raises(UpstreamUnavailableError) as caught:
        await called_embedder.model_of("space-0", Deadline(30))
    assert caught.value.retry_after_ms


async def test_another_space_is_told_of_once(
    called_embedder: EmbedderUpstream, services: FakeServices
) -> None:
    told: list[str] = []
    called_embedder.space_changed = lambda: told.append(called_embedder.embedding_space)
    await called_embedder.embed(b"photo", 30)
    await called_embedder.model(30)
    services.model.embedding_space = "space-2"
    await called_embedder.embed(b"photo", 30)
    await called_embedder.embed(b"photo", 30)
    assert told == [SPACE, "space-2"]


async def test_photo_that_a_stopping_embedder_drops_is_sent_again(
    called_embedder: EmbedderUpstream, services: FakeServices
) -> None:
    dropped = ForeignError("", code=grpc.StatusCode.CANCELLED)
    services.errors = {"EmbedImage": [dropped]}
    assert (await called_embedder.embed(b"photo", 30)).vector == VECTOR
    services.errors = {"EmbedImage": [dropped, dropped]}  # the second by the server that is gone
    assert (await called_embedder.embed(b"photo", 30)).vector == VECTOR
    services.errors = {"EmbedImage": [dropped] * 20}
    with pytest.raises(UpstreamUnavailableError):
        await called_embedder.embed(b"photo", 30)
    assert services.count(embedder_pb2.EmbedImageRequest) == 2 + 3 + 12


async def test_embedder_that_stays_away_is_not_asked_for_ever(
    called_embedder: EmbedderUpstream, services: FakeServices
) -> None:
    services.errors = {"EmbedImage": [DrainingError("shutting down", retry_after_ms=1)] * 20}
    with pytest.raises(UpstreamUnavailableError):
        await called_embedder.embed(b"photo", 30)
    photos = services.count(embedder_pb2.EmbedImageRequest)
    assert photos == 12, "four times by gRPC, and twice more"


async def test_photo_is_sent_to_another_embedder_when_one_takes_long(
    health: HealthServicer,
) -> None:
    pods = [fake_services(), fake_services()]
    async with AsyncExitStack() as stack:
        targets = [await stack.enter_async_context(serving(pod, health)) for pod in pods]
        hedged = EmbedderUpstream(",".join(targets), MAX_MESSAGE_BYTES, Hedger(0.01, 1))
        stack.push_async_callback(hedged.channel.close)
        async with asyncio.timeout(60):
            while not all(pod.asked for pod in pods):  # until both are connected
                await hedged.embed(b"photo", 30)
            pods[0].hang = True
            for _ in range(4):
                assert (await hedged.embed(b"photo", 30)).vector == VECTOR
            await pods[0].left.wait()  # the loser was cancelled
