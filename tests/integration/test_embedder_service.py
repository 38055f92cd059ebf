"""The embedder as a process, on a bundle with random weights: its API, and how it ends."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2

from lookalike.embedder.v1 import embedder_pb2 as pb
from lookalike.embedder.v1.embedder_pb2_grpc import EmbedderServiceStub
from lookalike.errors import (
    DeadlineUnreachableError,
    ImageTooLargeError,
    InvalidArgumentError,
    InvalidImageError,
    LookalikeError,
    QueueFullError,
    UnknownOutputError,
)
from lookalike.model.bundle import Bundle
from lookalike.serving.local_stack import ServiceProcess
from lookalike.status import from_rpc_error, from_status
from tests.embedders import item, vector

NAME = "lookalike.embedder.v1.EmbedderService"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

DrawPhoto = Callable[..., bytes]
Start = Callable[..., ServiceProcess]
Refusal = Callable[[Callable[[], object]], LookalikeError]
Requests = "queue.SimpleQueue[pb.StreamEmbedImagesRequest | None]"


@pytest.fixture(scope="module")
def channel(embedder: ServiceProcess) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(embedder.address) as channel:
        yield channel


@pytest.fixture(scope="module")
def stub(channel: grpc.Channel) -> EmbedderServiceStub:
    return EmbedderServiceStub(channel)


@pytest.fixture
def start(start_service: Start, tiny_bundle: Bundle) -> Start:
    """Starts another one, with settings of its own."""

    def start(**settings: object) -> ServiceProcess:
        return start_service("embedder_service", **({"bundle": tiny_bundle.path} | settings))

    return start


def test_photo_becomes_13_finite_floats_of_the_models_space(
    stub: EmbedderServiceStub, tiny_bundle: Bundle, draw_photo: DrawPhoto
) -> None:
    response = stub.EmbedImage(pb.EmbedImageRequest(image=draw_photo(1)))
    (embedding,) = response.embeddings
    assert embedding.output == "category"
    assert embedding.embedding_space == tiny_bundle.manifest.embedding_space
    assert len(embedding.values) == 13
    assert np.isfinite(embedding.values).all()
    assert response.timings.decode_ns > 0
    assert response.timings.inference_ns > 0
    assert vector(stub, draw_photo(1)) == list(embedding.values), "the same photo, the same vector"
    assert vector(stub, draw_photo(2)) != list(embedding.values)


def test_outputs_are_returned_as_asked_for(
    stub: EmbedderServiceStub, draw_photo: DrawPhoto
) -> None:
    outputs = ["style", "category", "style"]
    response = stub.EmbedImage(pb.EmbedImageRequest(image=draw_photo(1), outputs=outputs))
    assert [e.output for e in response.embeddings] == outputs
    assert [len(e.values) for e in response.embeddings] == [4, 13, 4]


@pytest.mark.long  # the engines themselves have tests that start no process
def test_torch_and_openvino_compute_the_same(
    start: Start,
    open_channel: Callable[[str], grpc.Channel],
    resnet50_bundle: Bundle,
    draw_photo: DrawPhoto,
) -> None:
    reference, stub = (
        EmbedderServiceStub(
            open_channel(
                start(bundle=resnet50_bundle.path, engine=engine, precision="fp32").address
            )
        )
        for engine in ("torch", "openvino")
    )
    model = reference.GetModel(pb.GetModelRequest()).model
    assert (model.engine, model.precision) == ("torch", "fp32")
    for output in ("category", "style"):
        expected = [vector(reference, draw_photo(seed), output) for seed in range(5)]
        found = [vector(stub, draw_photo(seed), output) for seed in range(5)]
        np.testing.assert_allclose(found, expected, atol=1e-3 * np.std(expected), rtol=0)


def test_bf16_computes_nearly_the_same(
    stub: EmbedderServiceStub,
    start: Start,
    open_channel: Callable[[str], grpc.Channel],
    draw_photo: DrawPhoto,
) -> None:
    half = EmbedderServiceStub(open_channel(start(precision="bf16").address))
    assert half.GetModel(pb.GetModelRequest()).model.precision == "bf16"
    expected = [vector(stub, draw_photo(seed)) for seed in range(5)]
    found = [vector(half, draw_photo(seed)) for seed in range(5)]
    np.testing.assert_allclose(found, expected, atol=0.3 * np.std(expected), rtol=0)


def test_get_model_says_what_the_bundle_and_the_settings_say(
    stub: EmbedderServiceStub, tiny_bundle: Bundle
) -> None:
    manifest = tiny_bundle.manifest
    assert stub.GetModel(pb.GetModelRequest()).model == pb.Model(
        name="tiny",
        version="1",
        embedding_space=manifest.embedding_space,
        labels=manifest.labels,
        outputs=[
            pb.ModelOutput(name="category", dimension=13, kind="logits"),
            pb.ModelOutput(name="style", dimension=4, kind="embedding"),
        ],
        limits=pb.Limits(
            max_image_bytes=12 << 20,
            max_image_pixels=64_000_000,
            max_message_bytes=16 << 20,
            max_stream_in_flight=64,
            max_batch_items=256,
            max_outputs=16,
        ),
        engine="openvino",
        precision="fp32",
    )


def test_errors_carry_reason_field_and_request_id(
    stub: EmbedderServiceStub, refusal: Refusal, draw_photo: DrawPhoto
) -> None:
    good = draw_photo(1)
    for request, error_class, field in [
        (pb.EmbedImageRequest(), InvalidImageError, "image"),
        (pb.EmbedImageRequest(image=b"<html>"), InvalidImageError, "image"),
        (pb.EmbedImageRequest(image=good[:-200]), InvalidImageError, "image"),
        (pb.EmbedImageRequest(image=bytes((12 << 20) + 1)), ImageTooLargeError, "image"),
        (pb.EmbedImageRequest(image=good, outputs=["x"]), UnknownOutputError, "outputs[0]"),
        (
            pb.EmbedImageRequest(image=good, outputs=["x" * 99_999]),
            UnknownOutputError,
            "outputs[0]",
        ),
        (pb.EmbedImageRequest(image=good, outputs=["style"] * 17), InvalidArgumentError, "outputs"),
    ]:
        error = refusal(lambda request=request: stub.EmbedImage(request))
        assert (type(error), error.field) == (error_class, field)
        assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(grpc.RpcError) as caught:
        stub.EmbedImage(pb.EmbedImageRequest(), metadata=(("x-request-id", "mine"),))
    assert dict(caught.value.trailing_metadata())["x-request-id"] == "mine"


def test_stream_answers_good_and_bad_photos_by_id(
    stub: EmbedderServiceStub, draw_photo: DrawPhoto
) -> None:
    long, longest = "i" * 65, "ü" * 64
    photos = {f"photo {seed}": draw_photo(seed) for seed in range(150)}
    requests = [item(key, photo) for key, photo in photos.items()]
    requests[20:20] = [
        item("html", b"<html>"),
        item("empty", b""),
        item("output", draw_photo(1), "none"),
        item("", draw_photo(1)),
        item(long, draw_photo(1)),
        item(longest, draw_photo(1)),
    ]
    answers = list(stub.StreamEmbedImages(iter(requests)))
    assert sorted(answer.id for answer in answers) == sorted(request.id for request in requests)
    by_id = {answer.id: answer for answer in answers}
    errors = {a.id: from_status(a.error) for a in answers if a.WhichOneof("result") == "error"}
    assert {key: (type(error), error.field) for key, error in errors.items()} == {
        "html": (InvalidImageError, "image"),
        "empty": (InvalidImageError, "image"),
        "output": (UnknownOutputError, "outputs[0]"),
        "": (InvalidArgumentError, "id"),
        long: (InvalidArgumentError, "id"),
    }
    assert len(by_id[longest].response.embeddings) == 1
    for seed in (0, 19, 20, 149):
        found = by_id[f"photo {seed}"].response.embeddings[0].values
        # In another batch, sums are added up in another order.
        np.testing.assert_allclose(found, vector(stub, draw_photo(seed)), atol=1e-4)


def test_id_of_an_unanswered_request_is_refused_and_may_be_used_again_later(
    stub: EmbedderServiceStub, draw_photo: DrawPhoto
) -> None:
    large = draw_photo(1, (3000, 2000))  # not answered before the second is read
    requests: queue.SimpleQueue[pb.StreamEmbedImagesRequest | None] = queue.SimpleQueue()
    requests.put(item("twin", large))
    requests.put(item("twin", draw_photo(2)))
    answers = stub.StreamEmbedImages(iter(requests.get, None), timeout=60)
    refused, answered = next(answers), next(answers)
    error = from_status(refused.error)
    assert isinstance(error, InvalidArgumentError)
    assert error.field == "id"
    assert "'twin' is already used" in error.message
    assert list(answered.response.embeddings[0].values) == vector(stub, large)
    requests.put(item("twin", draw_photo(2)))
    assert next(answers).WhichOneof("result") == "response"
    requests.put(None)
    assert list(answers) == []


def test_stream_without_requests_ends(stub: EmbedderServiceStub) -> None:
    assert list(stub.StreamEmbedImages(iter([]), timeout=60)) == []


def test_on_a_full_service_a_stream_waits_and_a_single_photo_is_told_when_to_retry(
    start: Start, open_channel: Callable[[str], grpc.Channel], draw_photo: DrawPhoto
) -> None:
    stub = EmbedderServiceStub(open_channel(start(max_queue=1).address))
    large = draw_photo(1, (1500, 1000))
    streams = [stub.StreamEmbedImages(item(str(i), large) for i in range(30)) for _ in range(2)]
    with ThreadPoolExecutor(20) as pool:
        calls = [stub.EmbedImage.future(pb.EmbedImageRequest(image=large)) for _ in range(20)]
        errors = [from_rpc_error(e) for call in calls if (e := call.exception())]
        answers = list(pool.map(list, streams))
    assert {type(error) for error in errors} == {QueueFullError}
    assert all(error.retry_after_ms for error in errors)
    for of_one in answers:
        assert sorted(int(answer.id) for answer in of_one) == list(range(30))
        assert {answer.WhichOneof("result") for answer in of_one} == {"response"}


def test_batch_answers_good_and_bad_photos_in_their_places(
    stub: EmbedderServiceStub, draw_photo: DrawPhoto
) -> None:
    good = [pb.EmbedImageRequest(image=draw_photo(seed), outputs=["style"]) for seed in range(20)]
    bad = [pb.EmbedImageRequest(image=b"<html>"), pb.EmbedImageRequest(image=good[0].image)]
    bad[1].outputs.append("none")
    requests = [*good[:7], *bad, *good[7:]]
    results = stub.BatchEmbedImages(pb.BatchEmbedImagesRequest(requests=requests)).results
    assert len(results) == 22
    reasons = {
        number: type(from_status(result.error))
        for number, result in enumerate(results)
        if result.WhichOneof("result") == "error"
    }
    assert reasons == {7: InvalidImageError, 8: UnknownOutputError}
    for number in (0, 6, 9, 21):
        found = results[number].response.embeddings[0]
        assert found.output == "style"
        alone = vector(stub, requests[number].image, "style")
        np.testing.assert_allclose(found.values, alone, atol=1e-4)


@pytest.mark.parametrize("count", [0, 257, 10_000])
def test_batch_of_another_size_is_refused_with_the_limit(
    stub: EmbedderServiceStub, refusal: Refusal, count: int
) -> None:
    request = pb.BatchEmbedImagesRequest(requests=[pb.EmbedImageRequest()] * count)
    error = refusal(lambda: stub.BatchEmbedImages(request))
    assert (type(error), error.field) == (InvalidArgumentError, "requests")
    assert error.message.startswith(f"{count} photos; a batch must have 1 to 256 ")
    assert stub.GetModel(pb.GetModelRequest()).model.limits.max_batch_items == 256


def test_call_that_cannot_be_done_in_time_is_refused_at_once(
    start: Start, open_channel: Callable[[str], grpc.Channel], draw_photo: DrawPhoto
) -> None:
    stub = EmbedderServiceStub(open_channel(start(max_batch=1).address))
    large = draw_photo(1, (3000, 2000))
    for _ in range(100):
        vector(stub, draw_photo(1, (1000, 800)))
    waiting = [stub.EmbedImage.future(pb.EmbedImageRequest(image=large)) for _ in range(200)]
    while sum(call.done() for call in waiting) < 5:
        time.sleep(0.01)
    started = time.monotonic()
    with pytest.raises(grpc.RpcError) as caught:
        stub.EmbedImage(pb.EmbedImageRequest(image=large), timeout=1.5)
    error = from_rpc_error(caught.value)
    assert isinstance(error, DeadlineUnreachableError)
    assert error.retry_after_ms
    assert time.monotonic() - started < 1.5
    assert not any(call.exception() for call in waiting)
