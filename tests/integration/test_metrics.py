"""Metrics of running services: what there is, what is counted, and what must never be in them."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import httpx
import pytest

from lookalike.embedder.v1 import embedder_pb2, embedder_pb2_grpc
from lookalike.errors import LookalikeError
from lookalike.gateway.v1 import gateway_pb2, gateway_pb2_grpc
from lookalike.index.v1 import index_pb2, index_pb2_grpc
from lookalike.model.bundle import Bundle
from lookalike.serving.local_stack import LocalStack
from tests.collector import Scrape
from tests.conftest import DrawPhoto, StartService
from tests.secured import TOKENS, write_tokens

MODULES = ("embedder_service", "index_service", "gateway")
EMBED = "lookalike.embedder.v1.EmbedderService/EmbedImage"
FIND = "lookalike.index.v1.IndexService/FindNeighbors"
UPSERT = "lookalike.index.v1.IndexService/BatchUpsertItems"
CLASSIFY = "lookalike.gateway.v1.GatewayService/ClassifyImage"
WORDS = "unmistakeable"

Refusal = Callable[[Callable[[], object]], LookalikeError]


@pytest.fixture(scope="module")
def measured(
    reading_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory, draw_photo: DrawPhoto
) -> Iterator[LocalStack]:
    """Services that have answered a call of every kind; nobody else calls them."""
    folder = tmp_path_factory.mktemp("measured")
    with LocalStack(
        bundle=reading_bundle.path, index_dir=folder / "index", log_dir=folder / "logs"
    ) as stack:
        with grpc.insecure_channel(stack.address("gateway")) as channel:
            stub = gateway_pb2_grpc.GatewayServiceStub(channel)
            photo = gateway_pb2.CataloguePhoto(
                item_id="1", product_id="a", category="category 1", title=WORDS
            )
            stub.IngestListing(
                gateway_pb2.IngestListingRequest(photo=photo, image=draw_photo(1)), timeout=60
            )
            for seed in (2, 2, 3):
                stub.ClassifyImage(
                    gateway_pb2.ClassifyImageRequest(image=draw_photo(seed)), timeout=60
                )
            words = gateway_pb2.FindSimilarListingsRequest(text=WORDS)
            stub.FindSimilarListings(words, timeout=60)
        with httpx.Client(base_url=f"http://{stack.http_address}") as client:
            client.post(
                "/v1/similar", params={"text": WORDS}, headers={"authorization": f"Bearer {WORDS}"}
            )
            client.get(f"/v1/items/{WORDS}")
            client.get(f"/{WORDS}")
            client.request("WORDS", "/v1/status")
            for path in ("/", "/healthcheck", "/static/app.css"):
                client.get(path)
        yield stack


def documented(service: str) -> dict[str, tuple[str, set[str]]]:
    """Kind and labels of each metric in the document's tables of all services and of one."""
    text = (Path(__file__).parents[2] / "docs/telemetry.md").read_text(encoding="utf-8")
    row = re.compile(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|", re.MULTILINE)
    found = {}
    for heading in ("All services", service.removesuffix("_service").capitalize()):
        (section,) = re.findall(rf"^### {heading}\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
        for name, kind, labels in row.findall(section):
            found[name.removesuffix("_total")] = (kind, set(re.findall(r"`(\w+)`", labels)))
    return found


@pytest.mark.parametrize("module", MODULES)
def test_document_has_every_metric_with_its_kind_and_labels(
    measured: LocalStack, module: str
) -> None:
    scrape = Scrape(measured.metrics_address(module))
    expected = documented(module)
    shown = {
        name.removesuffix("_info") + "_info" if family.type == "info" else name: family
        for name, family in scrape.families.items()
    }
    assert {name: family.type for name, family in shown.items()} == {
        name: kind for name, (kind, _) in expected.items()
    }
    for name, family in shown.items():
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == expected[name][1], name
    assert scrape.value("lookalike_build_info") == 1


def test_embedder_counts_photos_texts_and_their_batches(measured: LocalStack) -> None:
    scrape = Scrape(measured.metrics_address("embedder_service"))
    assert scrape.value("grpc_server_call_started_total", grpc_method=EMBED) == 3
    status = {"grpc_method": EMBED, "grpc_status": "OK"}
    assert scrape.value("grpc_server_call_duration_seconds_count", **status) == 3
    assert scrape.value("embedder_batch_size_sum", kind="photo") == 3
    assert scrape.value("embedder_batch_size_sum", kind="text") > 0
    for name in ("queue_wait", "inference"):
        for kind in ("photo", "text"):
            assert scrape.value(f"embedder_{name}_seconds_count", kind=kind) > 0
    assert scrape.value("embedder_decode_seconds_count") == 3
    assert scrape.value("embedder_queue_depth") == 0
    assert scrape.value("embedder_model_info", model="tiny", engine="openvino") == 1


def test_gateway_counts_hits_of_its_cache_and_calls_to_upstreams(measured: LocalStack) -> None:
    scrape = Scrape(measured.metrics_address("gateway"))
    assert scrape.value("gateway_cache_hits_total") == 1
    assert scrape.value("gateway_cache_misses_total") == 3
    assert scrape.value("gateway_cache_bytes") > 0
    assert scrape.value("gateway_upstream_ready", upstream="index") == 1
    target = {"grpc_target": measured.address("embedder_service"), "grpc_status": "OK"}
    calls = scrape.value("grpc_client_call_duration_seconds_count", grpc_method=EMBED, **target)
    assert calls == 3
    assert scrape.value("grpc_server_call_started_total", grpc_method=CLASSIFY) == 3


def test_http_is_counted_by_route_and_not_by_path(measured: LocalStack) -> None:
    scrape = Scrape(measured.metrics_address("gateway"))

    def count(**labels: str) -> float:
        return scrape.value("http_server_request_duration_seconds_count", **labels)

    assert count(http_route="/v1/similar", http_request_method="POST") == 1
    item = {"http_route": "/v1/items/{item_id}", "http_request_method": "GET"}
    assert count(**item, http_response_status_code="404") == 1
    assert count(http_route="other", http_response_status_code="404") == 1
    assert count(http_request_method="_OTHER") == 1


def test_calls_of_both_faces_are_counted_and_the_page_and_probes_are_not(
    measured: LocalStack,
) -> None:
    scrape = Scrape(measured.metrics_address("gateway"))
    rpcs = scrape.value("grpc_server_call_duration_seconds_count")
    assert scrape.value("lookalike_calls_total") == rpcs + 3
    assert "lookalike_calls_failed_total 0.0\n" in scrape.text


@pytest.mark.parametrize("module", MODULES)
def test_reasons_of_refusals_are_there_before_anything_is_refused(
    measured: LocalStack, module: str
) -> None:
    text = Scrape(measured.metrics_address(module)).text
    for reason in ("QUEUE_FULL", "DEADLINE_UNREACHABLE", "UNAUTHENTICATED"):
        assert f'_requests_dropped_total{{reason="{reason}"}} 0.0\n' in text


def test_index_shows_its_collections_and_its_disk(measured: LocalStack) -> None:
    scrape = Scrape(measured.metrics_address("index_service"))
    assert scrape.value("index_items") == 1
    assert scrape.value("index_memory_bytes") > 0
    assert 0 < scrape.value("index_recall_target") <= 1
    assert scrape.value("index_collection_info") == 1
    assert scrape.value("index_search_seconds_count") == scrape.value(
        "grpc_server_call_duration_seconds_count", grpc_method=FIND, grpc_status="OK"
    )
    assert scrape.value("index_backend_up") == 1
    assert scrape.value("index_applied_seq") > 0
    assert scrape.value("index_store_bytes") > 0
    assert scrape.value("index_disk_free_bytes") > 0
    assert scrape.value("index_snapshot_age_seconds") == float("inf")
    with grpc.insecure_channel(measured.address("index_service")) as channel:
        stub = index_pb2_grpc.IndexServiceStub(channel)
        stub.CreateSnapshot(index_pb2.CreateSnapshotRequest(), timeout=60)
    later = Scrape(measured.metrics_address("index_service"))
    assert 0 <= later.value("index_snapshot_age_seconds") < 3600


def test_index_whose_cluster_is_away_says_so_and_goes_on_telling_of_itself(
    start_service: StartService, open_channel: Callable[[str], grpc.Channel], refusal: Refusal
) -> None:
    pytest.importorskip("pymilvus")
    service = start_service(
        "index_service", backend="milvus", milvus_uri="http://127.0.0.1:1", metrics_port=0
    )
    stub = index_pb2_grpc.IndexServiceStub(open_channel(service.address))
    refusal(lambda: stub.GetIndex(index_pb2.GetIndexRequest(), timeout=60))
    scrape = Scrape(service.announced("serving metrics"))
    assert scrape.value("index_backend_up") == 0
    assert scrape.value("grpc_server_call_duration_seconds_count", grpc_status="UNAVAILABLE") == 1
    assert "index_items" not in scrape.families


@pytest.mark.parametrize("module", MODULES)
def test_nothing_that_a_caller_sent_is_in_a_metric(measured: LocalStack, module: str) -> None:
    assert WORDS not in Scrape(measured.metrics_address(module)).text


def test_refusals_are_counted_by_their_reason(
    start_service: StartService, tmp_path: Path, refusal: Refusal
) -> None:
    write_tokens(tmp_path / "tokens", TOKENS)
    index = start_service(
        "index_service",
        data_dir=tmp_path / "index",
        tokens=tmp_path / "tokens",
        max_waiting_writes=0,
    )

    def upsert(token: str) -> None:
        metadata = (("authorization", f"Bearer {token}"),) if token else ()
        collection = index_pb2.CreateCollectionRequest(
            collection=index_pb2.Collection(name="a", dimension=2, embedding_space="space-1")
        )
        stub.CreateCollection(collection, metadata=metadata, timeout=60)

    with grpc.insecure_channel(index.address) as channel:
        stub = index_pb2_grpc.IndexServiceStub(channel)
        for token in ("", TOKENS["read"], TOKENS["write"], TOKENS["write"]):
            refusal(lambda token=token: upsert(token))  # type: ignore[misc]
    address = index.announced("serving metrics")
    with pytest.raises(urllib.error.HTTPError, match="401") as refused:
        urllib.request.urlopen(f"http://{address}/metrics", timeout=60)
    refused.value.close()
    request = urllib.request.Request(
        f"http://{address}/metrics", headers={"Authorization": f"Bearer {TOKENS['read']}"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = answer.read().decode()
    for reason, count in {"UNAUTHENTICATED": 1, "PERMISSION_DENIED": 1, "QUEUE_FULL": 2}.items():
        assert f'index_requests_dropped_total{{reason="{reason}"}} {count}.0' in text


def test_refusals_within_a_stream_are_counted_too(
    start_service: StartService, tiny_bundle: Bundle, draw_photo: DrawPhoto
) -> None:
    embedder = start_service("embedder_service", bundle=tiny_bundle.path, max_queue=1)
    with grpc.insecure_channel(embedder.address) as channel:
        stub = embedder_pb2_grpc.EmbedderServiceStub(channel)
        messages = [
            embedder_pb2.StreamEmbedImagesRequest(
                id=str(number),
                request=embedder_pb2.EmbedImageRequest(
                    image=draw_photo(number), priority=embedder_pb2.PRIORITY_INTERACTIVE
                ),
            )
            for number in range(16)
        ]
        answers = list(stub.StreamEmbedImages(iter(messages), timeout=60))
    refused = sum(answer.WhichOneof("result") == "error" for answer in answers)
    assert refused > 0
    scrape = Scrape(embedder.announced("serving metrics"))
    assert scrape.value("embedder_requests_dropped_total", reason="QUEUE_FULL") == refused


def test_refusals_over_http_are_counted_with_those_of_an_upstream_which_are_failures_too(
    start_service: StartService, draw_photo: DrawPhoto
) -> None:
    nobody = "127.0.0.1:9"
    gateway = start_service("gateway", embedder=nobody, index=nobody)
    with httpx.Client(base_url=f"http://{gateway.announced('serving http')}") as client:
        headers = {"content-type": "image/jpeg"}
        assert client.post("/v1/classify", content=draw_photo(1), headers=headers).is_error
        headers["sec-fetch-site"] = "cross-site"
        assert client.post("/v1/classify", content=b"", headers=headers).status_code == 403
    with grpc.insecure_channel(gateway.address) as channel:
        request = gateway_pb2.ClassifyImageRequest(image=draw_photo(1))
        with pytest.raises(grpc.RpcError, match="UNAVAILABLE"):
            gateway_pb2_grpc.GatewayServiceStub(channel).ClassifyImage(request, timeout=60)
    scrape = Scrape(gateway.announced("serving metrics"))
    for reason, count in {"UPSTREAM_UNAVAILABLE": 2, "CROSS_SITE_REQUEST": 1}.items():
        assert scrape.value("gateway_requests_dropped_total", reason=reason) == count
    assert scrape.value("lookalike_calls_total") == 3
    assert scrape.value("lookalike_calls_failed_total") == 2
    assert scrape.value("gateway_upstream_ready") == 0


def test_only_the_path_of_metrics_is_answered(measured: LocalStack) -> None:
    answer = httpx.get(f"http://{measured.metrics_address('gateway')}/")
    assert (answer.status_code, answer.text) == (404, "there is /metrics alone\n")


def test_port_of_minus_one_measures_nothing(start_service: StartService, tmp_path: Path) -> None:
    index = start_service("index_service", data_dir=tmp_path / "index", metrics_port=-1)
    with grpc.insecure_channel(index.address) as channel:
        stub = index_pb2_grpc.IndexServiceStub(channel)
        stub.GetIndex(index_pb2.GetIndexRequest(), timeout=60)
    assert index.announced("serving metrics") == ""


def test_port_that_is_taken_is_named(
    measured: LocalStack, last_words: Callable[..., str], tmp_path: Path
) -> None:
    taken = measured.metrics_address("gateway").rpartition(":")[2]
    words = last_words("index_service", data_dir=tmp_path / "index", metrics_port=taken)
    assert f"cannot listen on 127.0.0.1:{taken}" in words
    assert "LOOKALIKE_INDEX_METRICS_PORT" in words
