"""The embedder as a process, on a bundle with random weights: its API, and how it ends."""

from __future__ import annotations

import json
import queue
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from embedder_service import bundle as bundles
from embedder_service.bundle import Architecture, Bundle, Output, Preprocessing
from lookalike.embedder.v1 import embedder_pb2 as pb
from lookalike.embedder.v1.embedder_pb2_grpc import EmbedderServiceStub
from lookalike.errors import (
    ForeignError,
    ImageTooLargeError,
    InvalidArgumentError,
    InvalidImageError,
    LookalikeError,
    QueueFullError,
    UnknownOutputError,
)
from lookalike.local_stack import ServiceProcess
from lookalike.status import from_status

NAME = "lookalike.embedder.v1.EmbedderService"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

DrawPhoto = Callable[..., bytes]
Start = Callable[..., ServiceProcess]
Refusal = Callable[[Callable[[], object]], LookalikeError]
Requests = "queue.SimpleQueue[pb.StreamEmbedImagesRequest | None]"


@pytest.fixture(scope="module")
def service(
    tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServiceProcess]:
    settings = {"BUNDLE": str(tiny_bundle.path), "PRECISION": "fp32", "PORT": "0"}
    environment = {f"LOOKALIKE_EMBEDDER_{name}": value for name, value in settings.items()}
    log = tmp_path_factory.mktemp("embedder") / "embedder_service.log"
    with ServiceProcess("embedder_service", environment, log) as service:
        yield service


@pytest.fixture(scope="module")
def channel(service: ServiceProcess) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(service.address) as channel:
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


def vector(stub: EmbedderServiceStub, image: bytes, *outputs: str) -> list[float]:
    response = stub.EmbedImage(pb.EmbedImageRequest(image=image, outputs=outputs))
    return list(response.embeddings[0].values)


def item(key: str, image: bytes, *outputs: str) -> pb.StreamEmbedImagesRequest:
    request = pb.EmbedImageRequest(image=image, outputs=outputs)
    return pb.StreamEmbedImagesRequest(id=key, request=request)


def log_lines(service: ServiceProcess) -> Iterator[dict[str, Any]]:
    for line in service.log.read_text().splitlines():
        if line.startswith("{"):
            yield json.loads(line)


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


def test_torch_and_openvino_compute_the_same(
    stub: EmbedderServiceStub,
    start: Start,
    open_channel: Callable[[str], grpc.Channel],
    draw_photo: DrawPhoto,
) -> None:
    reference = EmbedderServiceStub(open_channel(start(engine="torch", precision="fp32").address))
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


def test_full_service_answers_in_band_when_to_try_again(
    start: Start, open_channel: Callable[[str], grpc.Channel], draw_photo: DrawPhoto
) -> None:
    stub = EmbedderServiceStub(open_channel(start(max_queue=1).address))
    large = draw_photo(1, (1500, 1000))
    answers = list(stub.StreamEmbedImages(item(str(i), large) for i in range(30)))
    assert len(answers) == 30
    errors = [from_status(a.error) for a in answers if a.WhichOneof("result") == "error"]
    assert 0 < len(errors) < 30
    assert {type(error) for error in errors} == {QueueFullError}
    assert all(error.retry_after_ms for error in errors)


def test_health_and_reflection_know_the_service(channel: grpc.Channel) -> None:
    health = HealthStub(channel)
    for name in ("", NAME):
        request = health_pb2.HealthCheckRequest(service=name)
        assert health.Check(request).status == SERVING
        watch = health.Watch(request, timeout=60)
        assert next(watch).status == SERVING
        watch.cancel()
    assert {NAME, "grpc.health.v1.Health"} <= set(
        ProtoReflectionDescriptorDatabase(channel).get_services()
    )


def test_sigterm_lets_a_stream_in_flight_end_with_every_photo_answered(
    start: Start, open_channel: Callable[[str], grpc.Channel], draw_photo: DrawPhoto
) -> None:
    service = start(drain_timeout_s=120)
    channel = open_channel(service.address)
    watch = HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=NAME), timeout=120)
    assert next(watch).status == SERVING
    requests: queue.SimpleQueue[pb.StreamEmbedImagesRequest | None] = queue.SimpleQueue()
    answers = EmbedderServiceStub(channel).StreamEmbedImages(iter(requests.get, None), timeout=120)
    photo = draw_photo(1, (1000, 800))
    for number in range(80):
        requests.put(item(str(number), photo))
    first = next(answers)
    with ThreadPoolExecutor(1) as pool:
        stopped = pool.submit(service.stop, timeout_s=120)
        assert next(watch).status == NOT_SERVING
        for number in range(80, 100):
            requests.put(item(str(number), photo))
        requests.put(None)
        everything = [first, *answers]
    assert sorted(int(answer.id) for answer in everything) == list(range(100))
    assert {answer.WhichOneof("result") for answer in everything} == {"response"}
    assert stopped.result() == 0


def test_client_that_leaves_amid_a_stream_leaves_the_service_healthy(
    start: Start, open_channel: Callable[[str], grpc.Channel], draw_photo: DrawPhoto
) -> None:
    service = start(max_queue=20, max_stream_in_flight=20)
    channel = open_channel(service.address)
    stub = EmbedderServiceStub(channel)
    photo = draw_photo(1, (1000, 800))
    for _ in range(3):
        answers = stub.StreamEmbedImages(item(str(i), photo) for i in range(500))
        next(answers)
        answers.cancel()
    # The room of the photos that nobody waits for any more is free again: a full stream fits.
    answers = stub.StreamEmbedImages((item(str(i), photo) for i in range(40)), timeout=120)
    kinds = [answer.WhichOneof("result") for answer in answers]
    assert len(kinds) == 40
    assert vector(stub, draw_photo(1))
    assert service.stop() == 0
    lines = list(log_lines(service))
    streams = [line["code"] for line in lines if "Stream" in line.get("method", "")]
    assert streams == ["CANCELLED"] * 3 + ["OK"]
    assert not [line for line in lines if line["level"] in {"error", "warning"}]


def test_message_over_the_limit_is_refused_and_the_service_goes_on(
    start: Start,
    open_channel: Callable[[str], grpc.Channel],
    refusal: Refusal,
    draw_photo: DrawPhoto,
) -> None:
    stub = EmbedderServiceStub(open_channel(start(max_message_bytes=1 << 16).address))
    limits = stub.GetModel(pb.GetModelRequest()).model.limits
    assert limits.max_message_bytes == 1 << 16
    error = refusal(lambda: stub.EmbedImage(pb.EmbedImageRequest(image=bytes(1 << 16))))
    assert isinstance(error, ForeignError)
    assert error.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert str(1 << 16) in error.message
    assert vector(stub, draw_photo(1))


def test_bundle_with_a_wrong_hash_is_refused_in_one_line_naming_the_file(
    tiny_bundle: Bundle,
    start: Start,
    last_words: Callable[..., str],
    tmp_path: Path,
) -> None:
    damaged = tmp_path / "damaged"
    for name in tiny_bundle.manifest.files:
        (damaged / name).parent.mkdir(parents=True, exist_ok=True)
        (damaged / name).symlink_to(tiny_bundle.path / name)
    manifest = json.loads((tiny_bundle.path / bundles.MANIFEST).read_text())
    manifest["files"][bundles.OPENVINO_WEIGHTS]["sha256"] = "0" * 64
    (damaged / bundles.MANIFEST).write_text(json.dumps(manifest))
    words = last_words("embedder_service", bundle=damaged)
    assert words.startswith(f"embedder: {damaged / bundles.OPENVINO_WEIGHTS}: SHA-256 is ")
    assert words.endswith("(LOOKALIKE_EMBEDDER_BUNDLE)")
    (log,) = tmp_path.glob("*-embedder_service.log")
    assert len(log.read_text().splitlines()) == 1


def test_bundle_without_what_the_engine_needs_is_refused_in_one_line(
    last_words: Callable[..., str], tmp_path: Path
) -> None:
    weights = tmp_path / "weights"
    weights.write_bytes(b"weights")
    bundle = bundles.write(
        tmp_path / "bundle",
        name="no export",
        version="1",
        labels=("a",),
        architecture=Architecture(),
        preprocessing=Preprocessing(32),
        outputs=(Output("category", 1, "logits"),),
        metrics={},
        files={bundles.WEIGHTS: weights},
    )
    words = last_words("embedder_service", bundle=bundle.path)
    assert words.startswith(f"embedder: {bundle.path}: the bundle has no {bundles.OPENVINO_MODEL}")
    (log,) = tmp_path.glob("*-embedder_service.log")
    assert len([x for x in log.read_text().splitlines() if x.startswith("embedder")]) == 1


def test_precision_that_the_bundle_has_not_is_refused_in_one_line(
    last_words: Callable[..., str], tiny_bundle: Bundle
) -> None:
    words = last_words("embedder_service", bundle=tiny_bundle.path, precision="int8")
    assert words.startswith(f"embedder: {tiny_bundle.path}: the bundle has no int8 variant: ")
    assert words.endswith("(LOOKALIKE_EMBEDDER_PRECISION)")


def test_process_that_cannot_start_ends_with_status_1(
    tmp_path: Path, last_words: Callable[..., str]
) -> None:
    environment = {"LOOKALIKE_EMBEDDER_BUNDLE": str(tmp_path), "LOOKALIKE_EMBEDDER_PORT": "0"}
    service = ServiceProcess("embedder_service", environment, tmp_path / "log")
    with pytest.raises(Exception, match="is this the directory of a model bundle"):
        service.start()
    assert service.stop() == 1
