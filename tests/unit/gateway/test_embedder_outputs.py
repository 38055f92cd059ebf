"""Which outputs of a model the gateway asks for, also while pods change theirs."""

from __future__ import annotations

import asyncio
from array import array

import pytest

from gateway.embedder import EmbedderUpstream
from lookalike.embedder.v1 import embedder_pb2
from lookalike.errors import LookalikeError, QueueFullError, UnknownOutputError
from tests.gateway_models import FEATURES
from tests.gateways import SPACE, VECTOR
from tests.upstream_services import FakeServices, outputs

Embed = embedder_pb2.EmbedImageRequest
GetModel = embedder_pb2.GetModelRequest
BOTH = ["category", "features"]
UNKNOWN = UnknownOutputError("the model has no output 'features'", field="outputs")


def asked(services: FakeServices) -> list[list[str]]:
    """The outputs that each photo was asked for."""
    return [list(request.outputs) for request in services.asked if isinstance(request, Embed)]


@pytest.fixture
def with_features(services: FakeServices) -> FakeServices:
    services.model.outputs.extend(outputs(*BOTH))
    return services


async def test_both_outputs_come_with_one_call(
    called_embedder: EmbedderUpstream, with_features: FakeServices
) -> None:
    for _ in range(3):
        embedded = await called_embedder.embed(b"photo", 30)
        assert embedded.complete
        assert embedded.vector.values == VECTOR.values
        assert embedded.vector.features == FEATURES
        assert isinstance(embedded.vector.features, array)
    assert asked(with_features) == [BOTH] * 3
    assert with_features.count(GetModel) == 1


async def test_model_without_features_is_asked_for_its_default_output(
    called_embedder: EmbedderUpstream, services: FakeServices
) -> None:
    services.model.outputs.extend(outputs("category"))
    embedded = await called_embedder.embed(b"photo", 30)
    assert (embedded.complete, embedded.vector) == (True, VECTOR)
    assert asked(services) == [[]]


async def test_those_who_come_first_at_once_share_the_look_at_the_model(
    called_embedder: EmbedderUpstream, with_features: FakeServices
) -> None:
    photos = [called_embedder.embed(bytes([number]), 30) for number in range(5)]
    embedded = await asyncio.gather(*photos)
    assert {len(each.vector.features) for each in embedded} == {len(FEATURES)}
    assert with_features.count(GetModel) == 1


async def test_photo_that_a_pod_of_another_model_refuses_is_asked_of_that_model(
    called_embedder: EmbedderUpstream, with_features: FakeServices
) -> None:
    await called_embedder.embed(b"photo", 30)
    with_features.model = embedder_pb2.Model(
        embedding_space="space-2", labels=["toys"], outputs=outputs("category")
    )
    embedded = await called_embedder.embed(b"photo", 30)
    assert embedded.complete
    assert (embedded.vector.embedding_space, embedded.vector.features) == ("space-2", ())
    assert asked(with_features) == [BOTH, BOTH, []]
    assert with_features.count(GetModel) == 2


async def test_photo_is_asked_for_anew_when_the_model_has_more_than_the_one_before(
    called_embedder: EmbedderUpstream, services: FakeServices
) -> None:
    services.model.outputs.extend(outputs("category"))
    await called_embedder.embed(b"photo", 30)
    services.model = embedder_pb2.Model(
        embedding_space="space-2", labels=["toys"], outputs=outputs(*BOTH)
    )
    embedded = await called_embedder.embed(b"photo", 30)
    assert embedded.complete
    assert embedded.vector.features == FEATURES
    assert asked(services) == [[], [], BOTH]
    await called_embedder.embed(b"photo", 30)
    assert asked(services)[3:] == [BOTH]
    assert called_embedder.embedding_space == "space-2"


async def test_pods_that_go_on_refusing_still_give_the_default_output(
    called_embedder: EmbedderUpstream, with_features: FakeServices
) -> None:
    with_features.errors["EmbedImage"] = [UNKNOWN, UNKNOWN]
    embedded = await called_embedder.embed(b"photo", 30)
    assert (embedded.complete, embedded.vector) == (False, VECTOR)
    assert asked(with_features) == [BOTH, BOTH, []]


async def test_answer_without_features_is_better_than_none(
    called_embedder: EmbedderUpstream, services: FakeServices
) -> None:
    services.model.outputs.extend(outputs("category"))
    await called_embedder.embed(b"photo", 30)
    services.model = embedder_pb2.Model(embedding_space="space-2", outputs=outputs(*BOTH))
    services.errors["EmbedImage"] = [None, QueueFullError("full", retry_after_ms=10)]
    embedded = await called_embedder.embed(b"photo", 30)
    assert (embedded.complete, embedded.vector.values) == (False, VECTOR.values)
    assert embedded.vector.embedding_space == "space-2"
    assert asked(services) == [[], [], BOTH]


async def test_embedder_that_does_not_describe_its_model_gives_the_default_output(
    called_embedder: EmbedderUpstream, with_features: FakeServices
) -> None:
    with_features.errors["GetModel"] = [LookalikeError("no") for _ in range(2)]
    embedded = await called_embedder.embed(b"photo", 30)
    assert (embedded.complete, embedded.vector) == (False, VECTOR)
    assert (await called_embedder.embed(b"photo", 30)).vector.features == FEATURES


async def test_models_of_before_are_remembered(
    called_embedder: EmbedderUpstream, with_features: FakeServices
) -> None:
    assert called_embedder.known_model(SPACE) is None
    await called_embedder.model(30)
    with_features.errors["GetModel"] = [LookalikeError("gone")]
    model = called_embedder.known_model(SPACE)
    assert model is not None
    assert model.search_outputs == ("category", "features")
