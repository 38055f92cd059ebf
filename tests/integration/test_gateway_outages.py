"""The gateway while its upstreams are away, hang, change or come back, and how it ends itself."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from lookalike.errors import (
    DeadlineUnreachableError,
    ForeignError,
    LookalikeError,
    UpstreamUnavailableError,
)
from lookalike.gateway.v1 import gateway_pb2 as pb
from lookalike.gateway.v1.gateway_pb2_grpc import GatewayServiceStub
from lookalike.serving.local_stack import ServiceProcess
from tests.running_gateway import NAME, TIMEOUT_S, Services, Start, both_ready

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

DrawPhoto = Callable[..., bytes]
Connect = Callable[[str], grpc.Channel]
Refusal = Callable[[Callable[[], object]], LookalikeError]


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [taken.getsockname()[1] for taken in sockets]
    for taken in sockets:
        taken.close()
    return ports


def is_unavailable(error: LookalikeError, upstream: str, address: str) -> bool:
    return (
        isinstance(error, UpstreamUnavailableError)
        and error.metadata == {"upstream": upstream}
        and error.message.startswith(f"the {upstream} at {address} cannot be reached")
        and bool(error.retry_after_ms)
    )


def test_gateway_without_its_embedder_says_so_and_recovers_with_it(
    services: Services, refusal: Refusal, draw_photo: DrawPhoto
) -> None:
    photo, unseen = draw_photo(1), draw_photo(2)
    for item_id in ("a", "b"):
        services.ingest(item_id, photo)
    before = services.find("a")
    address = services.embedder.address
    assert services.embedder.stop() == 0
    services.wait(lambda status: not status.embedder.ready and status.index.ready)
    # Long before the deadline of these calls, or they would end with DEADLINE_EXCEEDED.
    assert is_unavailable(refusal(lambda: services.classify(unseen)), "embedder", address)
    assert is_unavailable(refusal(lambda: services.ingest("c", unseen)), "embedder", address)
    assert services.find("a") == before, "what needs no embedder goes on"
    assert services.classify(photo).cached, "and so does what is known"
    health = HealthStub(services.channel)
    for name in ("", NAME):
        answer = health.Check(health_pb2.HealthCheckRequest(service=name))
        assert answer.status == SERVING, "half a gateway is better than none"
    services.start_embedder_again()
    services.wait(both_ready)
    assert len(services.classify(unseen).classification.scores) == 13
    assert services.ingest("c", unseen).seq > 0


def test_index_that_was_killed_comes_back_with_every_answered_write(
    services: Services, refusal: Refusal, draw_photo: DrawPhoto
) -> None:
    photos = {f"photo {seed}": draw_photo(seed) for seed in range(6)}
    last = max(services.ingest(item_id, photo).seq for item_id, photo in photos.items())
    before = services.find("photo 0")
    assert len(before) == 5
    address = services.index.address
    services.index.kill()
    services.wait(lambda status: status.embedder.ready and not status.index.ready)
    assert is_unavailable(refusal(lambda: services.find("photo 0")), "index", address)
    assert services.classify(photos["photo 0"]), "what needs no index goes on"
    by_photo = pb.FindSimilarListingsRequest(image=photos["photo 0"])
    call = services.stub.FindSimilarListings
    assert is_unavailable(refusal(lambda: call(by_photo, timeout=TIMEOUT_S)), "index", address)
    by_photo.allow_partial = True
    partial = call(by_photo, timeout=TIMEOUT_S)
    assert len(partial.classification.scores) == 13
    assert not partial.listings
    assert partial.degraded.startswith(f"no listings: the index at {address} cannot be reached")
    assert partial.shortfall
    services.start_index_again()
    services.wait(both_ready)
    assert services.find("photo 0") == before
    again = services.ingest("photo 0", photos["photo 0"])
    assert (again.replaced, again.seq) == (True, last + 1)


def test_gateway_that_starts_first_is_alive_and_becomes_ready_with_either_upstream(
    start_service: Start, open_channel: Connect, tmp_path: Path
) -> None:
    embedder_port, index_port = free_ports(2)
    gateway = start_service(
        "gateway", embedder=f"127.0.0.1:{embedder_port}", index=f"127.0.0.1:{index_port}"
    )
    health = HealthStub(open_channel(gateway.address))
    ready = health_pb2.HealthCheckRequest(service=NAME)
    assert health.Check(health_pb2.HealthCheckRequest()).status == SERVING
    assert health.Check(ready).status == NOT_SERVING
    watch = health.Watch(ready, timeout=TIMEOUT_S)
    start_service("index_service", data_dir=tmp_path / "index", port=index_port)
    assert any(answer.status == SERVING for answer in watch)
    watch.cancel()


@contextmanager
def held(service: ServiceProcess) -> Iterator[None]:
    """Keeps a process from doing anything; the kernel still takes its connections."""
    os.kill(service.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(service.pid, signal.SIGCONT)


def test_deadline_of_the_caller_ends_a_call_that_hangs(
    services: Services, refusal: Refusal, draw_photo: DrawPhoto
) -> None:
    services.classify(draw_photo(1))  # connected, and the labels are known
    photo = draw_photo(2)
    request = pb.ClassifyImageRequest(image=photo)
    error = refusal(lambda: services.stub.ClassifyImage(request, timeout=0.001))
    # Whichever was first: the client's clock, or the gateway that knows that it takes longer.
    assert error.code is grpc.StatusCode.DEADLINE_EXCEEDED or isinstance(
        error, DeadlineUnreachableError
    )
    with held(services.embedder):
        error = refusal(lambda: services.stub.ClassifyImage(request, timeout=0.3))
        assert error.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert services.classify(photo)


def test_caller_without_a_deadline_gets_the_gateways_own(
    services: Services,
    open_channel: Connect,
    refusal: Refusal,
    draw_photo: DrawPhoto,
) -> None:
    impatient = services.start_service(
        "gateway",
        embedder=services.embedder.address,
        index=services.index.address,
        default_timeout_s=0.5,
    )
    stub = GatewayServiceStub(open_channel(impatient.address))
    stub.ClassifyImage(pb.ClassifyImageRequest(image=draw_photo(1)), timeout=TIMEOUT_S)
    request = pb.ClassifyImageRequest(image=draw_photo(2))
    with held(services.embedder):
        error = refusal(lambda: stub.ClassifyImage(request))
    assert isinstance(error, ForeignError)
    assert error.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert error.message.startswith("embedder: ")


def test_sigterm_lets_every_request_in_flight_be_answered(
    services: Services, refusal: Refusal, draw_photo: DrawPhoto
) -> None:
    services.ingest("a", draw_photo(1))
    requests = [pb.FindSimilarListingsRequest(image=draw_photo(seed)) for seed in range(10, 30)]
    with services.readiness() as becomes, ThreadPoolExecutor(1) as pool:
        becomes(SERVING)
        with held(services.embedder):
            calls = [
                services.stub.FindSimilarListings.future(request, timeout=TIMEOUT_S)
                for request in requests
            ]
            # Calls are taken up in the order they come in, so all 20 were before this one.
            HealthStub(services.channel).Check(health_pb2.HealthCheckRequest())
            stop = pool.submit(services.gateway.stop)
            becomes(NOT_SERVING)
            assert not any(call.done() for call in calls)
        for call in calls:
            assert [similar.photo.item_id for similar in call.result().listings] == ["a"]
        assert stop.result() == 0
    assert refusal(lambda: services.find("a")).code is grpc.StatusCode.UNAVAILABLE
    assert (services.embedder.stop(), services.index.stop()) == (0, 0)


def test_calls_that_meet_a_stopping_embedder_are_answered_or_may_be_tried_again(
    services: Services, draw_photo: DrawPhoto
) -> None:
    services.classify(draw_photo(1))
    requests = [pb.ClassifyImageRequest(image=draw_photo(seed)) for seed in range(2, 102)]
    with ThreadPoolExecutor(1) as pool:
        classify = services.stub.ClassifyImage.future
        calls = [classify(request, timeout=TIMEOUT_S) for request in requests]
        stop = pool.submit(services.embedder.stop)
        codes = {call.code() for call in calls}
        assert stop.result() == 0
    assert codes <= {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
