"""Several embedders behind one gateway, and photos that are embedded once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import grpc
import pytest

from lookalike.gateway.v1 import gateway_pb2 as pb
from lookalike.gateway.v1.gateway_pb2_grpc import GatewayServiceStub
from lookalike.model.bundle import Bundle
from lookalike.serving.local_stack import ServiceProcess
from tests.running_gateway import TIMEOUT_S, Services, Start, calls_of

DrawPhoto = Callable[..., bytes]
Connect = Callable[[str], grpc.Channel]


@pytest.fixture
def pods(start_service: Start, tiny_bundle: Bundle) -> list[ServiceProcess]:
    return [start_service("embedder_service", bundle=tiny_bundle.path) for _ in range(2)]


@pytest.fixture
def gateway(start_service: Start, pods: list[ServiceProcess], tmp_path: Path) -> ServiceProcess:
    index = start_service("index_service", data_dir=tmp_path / "index")
    addresses = ",".join(pod.address for pod in pods)
    return start_service("gateway", embedder=addresses, index=index.address)


@pytest.fixture
def stub(gateway: ServiceProcess, open_channel: Connect) -> GatewayServiceStub:
    return GatewayServiceStub(open_channel(gateway.address))


def classify(stub: GatewayServiceStub, image: bytes) -> pb.ClassifyImageResponse:
    return stub.ClassifyImage(pb.ClassifyImageRequest(image=image), timeout=TIMEOUT_S)


def use_until_both_are_connected(
    stub: GatewayServiceStub, pods: list[ServiceProcess], draw_photo: DrawPhoto
) -> None:
    for seed in range(1000, 2000):
        classify(stub, draw_photo(seed))
        if all(calls_of(pod, "EmbedImage") for pod in pods):
            return
    raise AssertionError("one embedder got no call")


def test_two_embedders_share_the_load(
    stub: GatewayServiceStub, pods: list[ServiceProcess], draw_photo: DrawPhoto
) -> None:
    use_until_both_are_connected(stub, pods, draw_photo)
    before = [calls_of(pod, "EmbedImage") for pod in pods]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda seed: classify(stub, draw_photo(seed)), range(200)))
    counts = [calls_of(pod, "EmbedImage") - n for pod, n in zip(pods, before, strict=True)]
    assert sum(counts) == 200
    assert max(counts) <= 110, "within ten percent of half"


def test_embedder_that_is_killed_under_load_costs_no_request(
    stub: GatewayServiceStub, pods: list[ServiceProcess], draw_photo: DrawPhoto
) -> None:
    use_until_both_are_connected(stub, pods, draw_photo)
    photos = [draw_photo(seed) for seed in range(400)]
    # More in flight on the one that dies than gRPC alone would send again.
    with ThreadPoolExecutor(128) as pool:
        calls = [pool.submit(classify, stub, photo) for photo in photos]
        done = 0
        for call in as_completed(calls):
            assert call.result().classification.scores
            done += 1
            if done == 50:
                pods[0].kill()
    assert done == len(photos)
    assert len(classify(stub, draw_photo(500)).classification.scores) == 13


def test_photo_sent_many_times_at_once_is_embedded_once(
    services: Services, draw_photo: DrawPhoto
) -> None:
    services.classify(draw_photo(1))  # connected, and the labels are known
    before = calls_of(services.embedder, "EmbedImage")
    photo = draw_photo(2, (1500, 1000))
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(services.classify, [photo] * 16))
    assert calls_of(services.embedder, "EmbedImage") == before + 1
    assert sum(not answer.cached for answer in answers) == 1
    assert len({str(answer.classification) for answer in answers}) == 1
    again = services.classify(photo)
    assert again.cached
    assert again.timings.inference_ns == 0
    cache = services.status().cache
    assert (cache.misses, cache.hits + cache.coalesced, cache.entries) == (2, 16, 2)
    assert 0 < cache.bytes <= cache.max_bytes


def test_every_hop_tells_its_time(services: Services, draw_photo: DrawPhoto) -> None:
    services.ingest("a", draw_photo(1))
    request = pb.FindSimilarListingsRequest(image=draw_photo(2, (1500, 1000)))
    timings = services.stub.FindSimilarListings(request, timeout=TIMEOUT_S).timings
    inside = timings.decode_ns + timings.queue_ns + timings.inference_ns
    assert min(timings.decode_ns, timings.inference_ns, timings.search_ns) > 0
    assert inside < timings.embed_ns < timings.total_ns


def test_slow_embedder_is_overtaken_by_the_other(
    start_service: Start,
    pods: list[ServiceProcess],
    gateway: ServiceProcess,
    open_channel: Connect,
    draw_photo: DrawPhoto,
) -> None:
    addresses = ",".join(pod.address for pod in pods)
    hedging = start_service("gateway", embedder=addresses, hedge_after_ms=1, hedge_share=1)
    stub = GatewayServiceStub(open_channel(hedging.address))
    use_until_both_are_connected(stub, pods, draw_photo)
    before = sum(calls_of(pod, "EmbedImage") for pod in pods)
    for seed in range(10):
        assert classify(stub, draw_photo(seed, (1500, 1000))).classification.scores
    assert sum(calls_of(pod, "EmbedImage") for pod in pods) > before + 10
