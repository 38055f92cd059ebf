"""Traces: one across the three services, batches as links, and collectors that are not there."""

from __future__ import annotations

import json
import secrets
import socket
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc
import pytest

from lookalike.embedder.v1 import embedder_pb2, embedder_pb2_grpc
from lookalike.gateway.v1 import gateway_pb2, gateway_pb2_grpc
from lookalike.index.v1 import index_pb2, index_pb2_grpc
from lookalike.model.bundle import Bundle
from lookalike.serving.local_stack import PREFIXES, ServiceProcess
from tests.collector import Collector, Recorded, collecting
from tests.conftest import DrawPhoto, StartService

EMBED = "lookalike.embedder.v1.EmbedderService/EmbedImage"
SIMILAR = "lookalike.gateway.v1.GatewayService/FindSimilarListings"
FIND = "lookalike.index.v1.IndexService/FindNeighbors"
SERVER, CLIENT = 2, 3  # kinds of spans, as they are sent


class Traced:
    """The three services, which record what their callers say and nothing else."""

    def __init__(self, collector: Collector, services: dict[str, ServiceProcess]) -> None:
        self.collector = collector
        self.services = services

    def address(self, module: str) -> str:
        return self.services[module].address


class Asked:
    """A caller's context: its trace and its span."""

    def __init__(self, *, recorded: bool = True) -> None:
        self.trace_id, self.span_id = secrets.token_hex(16), secrets.token_hex(8)
        self.header = f"00-{self.trace_id}-{self.span_id}-0{int(recorded)}"
        self.metadata = (("traceparent", self.header), ("tracestate", "theirs=1"))


@pytest.fixture(scope="module")
def traced(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    folder = tmp_path_factory.mktemp("traced")
    services: dict[str, ServiceProcess] = {}
    with ExitStack() as stack:
        collector = stack.enter_context(collecting())

        def start(module: str, **settings: object) -> str:
            common = {"PORT": 0, "TRACES_ENDPOINT": collector.address, "TRACES_SHARE": 0}
            environment = {
                PREFIXES[module] + name: str(value)
                for name, value in {**common, **settings}.items()
            }
            log = folder / f"{module}.log"
            services[module] = ServiceProcess(module, environment, log)
            return stack.enter_context(services[module]).address

        embedder = start("embedder_service", BUNDLE=tiny_bundle.path, ADMIN_PORT=0)
        index = start("index_service", DATA_DIR=folder / "index")
        start("gateway", HTTP_PORT=0, EMBEDDER=embedder, INDEX=index)
        yield Traced(collector, services)


@pytest.fixture(scope="module")
def searched(traced: Traced, draw_photo: DrawPhoto) -> tuple[Asked, list[Recorded]]:
    """A search by a photo, and its trace."""
    with grpc.insecure_channel(traced.address("gateway")) as channel:
        stub = gateway_pb2_grpc.GatewayServiceStub(channel)
        photo = gateway_pb2.CataloguePhoto(item_id="1", product_id="a", category="category 1")
        stub.IngestListing(
            gateway_pb2.IngestListingRequest(photo=photo, image=draw_photo(1)), timeout=60
        )
        asked = Asked()
        request = gateway_pb2.FindSimilarListingsRequest(image=draw_photo(2))
        stub.FindSimilarListings(request, timeout=60, metadata=asked.metadata)
    # Of gateway, embedder and index, with a span of each call; three stages.
    return asked, traced.collector.trace(asked.trace_id, 8)


def one(spans: list[Recorded], service: str, name: str, kind: int | None = None) -> Recorded:
    (found,) = [
        span
        for span in spans
        if (span.service, span.name) == (service, name) and kind in (None, span.kind)
    ]
    return found


def test_a_search_is_one_trace_from_the_caller_to_the_index(
    searched: tuple[Asked, list[Recorded]],
) -> None:
    asked, spans = searched
    search = one(spans, "gateway", SIMILAR)
    assert (search.parent_id, search.kind) == (asked.span_id, SERVER)
    for upstream, method in (("embedder", EMBED), ("index", FIND)):
        call = one(spans, "gateway", method)
        assert (call.parent_id, call.kind) == (search.span_id, CLIENT)
        answered = one(spans, upstream, method)
        assert (answered.parent_id, answered.kind) == (call.span_id, SERVER)
        assert answered.attributes["rpc.response.status_code"] == "OK"
        assert answered.attributes["rpc.system.name"] == "grpc"
        assert search.start_ns <= call.start_ns <= call.end_ns <= search.end_ns
    assert not any(span.failed for span in spans)


def test_stages_of_a_photo_follow_each_other_within_its_request(
    searched: tuple[Asked, list[Recorded]],
) -> None:
    _, spans = searched
    embedded = one(spans, "embedder", EMBED)
    stages = [one(spans, "embedder", name) for name in ("decode", "queue", "inference")]
    assert {stage.parent_id for stage in stages} == {embedded.span_id}
    for before, after in pairwise(stages):
        assert before.end_ns == after.start_ns


def test_a_batch_is_a_trace_of_its_own_linked_to_its_requests_both_ways(
    traced: Traced, draw_photo: DrawPhoto
) -> None:
    asked = [Asked() for _ in range(8)]
    with grpc.insecure_channel(traced.address("embedder_service")) as channel:
        stub = embedder_pb2_grpc.EmbedderServiceStub(channel)

        def embed(number: int) -> None:
            request = embedder_pb2.EmbedImageRequest(image=draw_photo(number))
            stub.EmbedImage(request, timeout=60, metadata=asked[number].metadata)

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(embed, range(8)))
    for each in asked:
        spans = traced.collector.trace(each.trace_id, 4)
        request, inference = one(spans, "embedder", EMBED), one(spans, "embedder", "inference")
        assert request.parent_id == each.span_id
        ((batch_trace, batch_id),) = inference.links
        (batch,) = traced.collector.trace(batch_trace, 1)
        assert (batch.name, batch.span_id, batch.parent_id) == ("batch", batch_id, "")
        assert (request.trace_id, request.span_id) in batch.links
        assert batch.attributes["embedder.batch_size"] == len(batch.links)


def test_http_request_takes_the_context_and_names_its_route(
    traced: Traced, draw_photo: DrawPhoto
) -> None:
    asked = Asked()
    address = traced.services["gateway"].announced("serving http")
    request = urllib.request.Request(
        f"http://{address}/v1/classify",
        draw_photo(3),
        {"Content-Type": "image/jpeg", "traceparent": asked.header},
    )
    urllib.request.urlopen(request, timeout=60).close()
    spans = traced.collector.trace(asked.trace_id, 6)
    answered = one(spans, "gateway", "POST /v1/classify")
    assert (answered.parent_id, answered.kind) == (asked.span_id, SERVER)
    assert answered.attributes["http.route"] == "/v1/classify"
    assert answered.attributes["http.response.status_code"] == 200
    assert one(spans, "gateway", EMBED).parent_id == answered.span_id


def test_failed_call_has_its_reason_and_is_a_failure_of_the_caller_alone(traced: Traced) -> None:
    asked = Asked()
    with grpc.insecure_channel(traced.address("gateway")) as channel:
        stub = gateway_pb2_grpc.GatewayServiceStub(channel)
        request = gateway_pb2.FindSimilarListingsRequest(image=b"no photo")
        with pytest.raises(grpc.RpcError):
            stub.FindSimilarListings(request, timeout=60, metadata=asked.metadata)
    spans = traced.collector.trace(asked.trace_id, 3)
    refused = one(spans, "embedder", EMBED)
    assert refused.attributes["error.type"] == "INVALID_IMAGE"
    assert refused.attributes["rpc.response.status_code"] == "INVALID_ARGUMENT"
    assert not refused.failed
    assert one(spans, "gateway", EMBED).failed


def test_what_the_caller_does_not_record_is_not_recorded(
    traced: Traced, draw_photo: DrawPhoto
) -> None:
    unrecorded, later = Asked(recorded=False), Asked()
    with grpc.insecure_channel(traced.address("gateway")) as channel:
        stub = gateway_pb2_grpc.GatewayServiceStub(channel)
        for each, seed in ((unrecorded, 11), (later, 12)):
            request = gateway_pb2.ClassifyImageRequest(image=draw_photo(seed))
            stub.ClassifyImage(request, timeout=60, metadata=each.metadata)
    traced.collector.trace(later.trace_id, 6)
    spans = traced.collector.wait_for(lambda _: True)
    assert unrecorded.trace_id not in {span.trace_id for span in spans}


def test_logs_name_the_trace_and_the_span_of_a_request(
    traced: Traced, searched: tuple[Asked, list[Recorded]]
) -> None:
    asked, spans = searched
    lines = [json.loads(line) for line in traced.services["gateway"].log.read_text().splitlines()]
    (line,) = [line for line in lines if line.get("trace_id") == asked.trace_id]
    assert line["span_id"] == one(spans, "gateway", SIMILAR).span_id
    assert line["request_id"]
    assert all("trace_id" not in line for line in lines if "request_id" not in line)


def test_gateway_without_a_collector_passes_the_context_on(
    traced: Traced, start_service: StartService, draw_photo: DrawPhoto
) -> None:
    gateway = start_service(
        "gateway",
        embedder=traced.address("embedder_service"),
        index=traced.address("index_service"),
    )
    asked = Asked()
    with grpc.insecure_channel(gateway.address) as channel:
        stub = gateway_pb2_grpc.GatewayServiceStub(channel)
        request = gateway_pb2.ClassifyImageRequest(image=draw_photo(4))
        stub.ClassifyImage(request, timeout=60, metadata=asked.metadata)
    embedded = one(traced.collector.trace(asked.trace_id, 4), "embedder", EMBED)
    assert embedded.parent_id == asked.span_id
    assert f'"trace_id": "{asked.trace_id}"' in gateway.log.read_text()


@pytest.mark.parametrize("header", ["00-zz", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "x" * 600])
def test_context_that_cannot_be_read_is_left_out(traced: Traced, header: str) -> None:
    with grpc.insecure_channel(traced.address("index_service")) as channel:
        stub = index_pb2_grpc.IndexServiceStub(channel)
        stub.GetIndex(index_pb2.GetIndexRequest(), metadata=(("traceparent", header),), timeout=60)


@pytest.fixture(params=["away", "deaf"])
def silent(request: pytest.FixtureRequest) -> Iterator[str]:
    """A collector that is not there, or never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        if request.param == "deaf":
            yield address
            return
    yield address


def test_collector_that_does_not_answer_keeps_nobody_from_work_or_from_stopping(
    silent: str, start_service: StartService, tmp_path: Path
) -> None:
    index = start_service(
        "index_service", data_dir=tmp_path / "index", traces_endpoint=silent, traces_share=1
    )
    with grpc.insecure_channel(index.address) as channel:
        stub = index_pb2_grpc.IndexServiceStub(channel)
        for _ in range(3000):  # more than wait for a collector
            stub.GetIndex(index_pb2.GetIndexRequest(), timeout=60)
    assert index.stop() == 0
    assert "Traceback" not in index.log.read_text()


def test_endpoint_that_is_no_address_is_named(
    last_words: Callable[..., str], tmp_path: Path
) -> None:
    words = last_words("index_service", data_dir=tmp_path, traces_endpoint="collector:4317")
    assert "LOOKALIKE_INDEX_TRACES_ENDPOINT" in words
    assert "http://host:port" in words


def test_services_without_a_collector_do_not_import_the_sdk(
    start_service: StartService, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("PYTHONVERBOSE", "1")
    index = start_service("index_service", data_dir=tmp_path / "index")
    log = index.log.read_text(errors="replace")
    assert "import 'opentelemetry.trace'" in log
    assert "import 'opentelemetry.sdk" not in log
