"""How an embedder starts, changes its model, and ends."""

from __future__ import annotations

import json
import queue
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from lookalike.embedder.v1 import embedder_pb2 as pb
from lookalike.embedder.v1.admin_pb2 import ReloadModelRequest
from lookalike.embedder.v1.admin_pb2_grpc import EmbedderAdminServiceStub
from lookalike.embedder.v1.embedder_pb2_grpc import EmbedderServiceStub
from lookalike.errors import (
    ForeignError,
    LookalikeError,
    ModelRefusedError,
)
from lookalike.model import bundle as bundles
from lookalike.model.bundle import Architecture, Bundle, Output, Preprocessing
from lookalike.serving.local_stack import ServiceProcess
from lookalike.status import from_rpc_error
from tests.collector import Scrape
from tests.embedders import item, log_lines, vector
from tests.logs import lines_for_people

NAME = "lookalike.embedder.v1.EmbedderService"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

DrawPhoto = Callable[..., bytes]
Start = Callable[..., ServiceProcess]
Refusal = Callable[[Callable[[], object]], LookalikeError]
Requests = "queue.SimpleQueue[pb.StreamEmbedImagesRequest | None]"


@pytest.fixture
def start(start_service: Start, tiny_bundle: Bundle) -> Start:
    """Starts another one, with settings of its own."""

    def start(**settings: object) -> ServiceProcess:
        return start_service("embedder_service", **({"bundle": tiny_bundle.path} | settings))

    return start


def test_another_bundle_is_served_without_a_failed_or_mixed_request(
    start: Start,
    open_channel: Callable[[str], grpc.Channel],
    draw_photo: DrawPhoto,
    tiny_bundle: Bundle,
    tmp_path: Path,
) -> None:
    directory = tmp_path / "served"
    shutil.copytree(tiny_bundle.path, directory)
    service = start(bundle=directory, bundle_poll_s=0)
    channel = open_channel(service.address)
    stub = EmbedderServiceStub(channel)
    (address,) = [x["address"] for x in log_lines(service) if x["event"] == "also serving"]
    admin = EmbedderAdminServiceStub(open_channel(address))
    old = tiny_bundle.manifest
    photo = draw_photo(1)
    enough = threading.Event()

    responses: list[pb.BatchEmbedImagesResponse] = []

    def call() -> None:
        request = pb.BatchEmbedImagesRequest(requests=[pb.EmbedImageRequest(image=photo)] * 8)
        while not enough.is_set():
            responses.append(stub.BatchEmbedImages(request))

    def answer_some_more() -> None:
        seen = len(responses)
        while len(responses) < seen + 6 and not any(done.done() for done in calls):
            time.sleep(0.01)

    with ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(call) for _ in range(3)]
        answer_some_more()
        # The same weights under another default output are another embedding space.
        new = bundles.write(
            directory,
            name="tiny",
            version="2",
            labels=old.labels,
            architecture=old.architecture,
            preprocessing=old.preprocessing,
            outputs=(*old.outputs[1:], *old.outputs[:1]),
            metrics={},
            files={name: tiny_bundle.path / name for name in old.files},
        ).manifest
        model = admin.ReloadModel(ReloadModelRequest(), timeout=60).model
        assert (model.version, model.embedding_space) == ("2", new.embedding_space)
        assert stub.GetModel(pb.GetModelRequest()).model == model
        metrics = service.announced("serving metrics")
        assert Scrape(metrics).value("embedder_bundle_refused") == 0
        (directory / bundles.WEIGHTS).write_bytes(b"damaged")
        with pytest.raises(grpc.RpcError) as caught:
            admin.ReloadModel(ReloadModelRequest(), timeout=60)
        told = Scrape(metrics)
        assert told.value("embedder_bundle_refused") == 1
        assert told.value("embedder_model_info", version="2") == 1
        answer_some_more()
        enough.set()
        for done in calls:
            done.result()
    error = from_rpc_error(caught.value)
    assert isinstance(error, ModelRefusedError)
    assert "model.safetensors" in error.message
    assert error.message.endswith("tiny 2 is still served")
    spaces = []
    for response in responses:
        (of_one,) = {result.response.embeddings[0].embedding_space for result in response.results}
        spaces.append(of_one)
    assert set(spaces) == {old.embedding_space, new.embedding_space}
    assert stub.EmbedImage(pb.EmbedImageRequest(image=photo)).embeddings[0].output == "style"
    assert "ReloadModel" not in str(ProtoReflectionDescriptorDatabase(channel).get_services())


def test_compiled_model_is_kept_for_the_next_start(
    start: Start,
    open_channel: Callable[[str], grpc.Channel],
    draw_photo: DrawPhoto,
    tmp_path: Path,
) -> None:
    cache = tmp_path / "cache"
    found = []
    for _ in range(2):
        service = start(compile_cache=cache)
        found.append(vector(EmbedderServiceStub(open_channel(service.address)), draw_photo(1)))
        kept = {file: file.stat().st_mtime_ns for file in cache.rglob("*.blob")}
        assert kept
        found.append(kept)
        service.stop()
    assert found[:2] == found[2:], "the second start took what the first had left"


def test_health_and_reflection_know_the_service(
    start: Start, open_channel: Callable[[str], grpc.Channel]
) -> None:
    channel = open_channel(start().address)
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
    assert len(lines_for_people(log)) == 1


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


@pytest.mark.parametrize("place", ["/proc/x", "/dev/null"])
def test_cache_that_is_no_directory_and_cannot_be_made_one_is_named(
    place: str, last_words: Callable[..., str]
) -> None:
    words = last_words("embedder_service", compile_cache=place)
    assert f"LOOKALIKE_EMBEDDER_COMPILE_CACHE is '{place}', which cannot be made a direc" in words


def test_process_that_cannot_start_ends_with_status_1(
    tmp_path: Path, last_words: Callable[..., str]
) -> None:
    environment = {"LOOKALIKE_EMBEDDER_BUNDLE": str(tmp_path), "LOOKALIKE_EMBEDDER_PORT": "0"}
    environment["LOOKALIKE_EMBEDDER_ADMIN_PORT"] = "0"
    service = ServiceProcess("embedder_service", environment, tmp_path / "log")
    with pytest.raises(Exception, match="is this the directory of a model bundle"):
        service.start()
    assert service.stop() == 1
