"""What client channels add to a call, against a server in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from grpc import aio
from grpc_health.v1 import health_pb2_grpc

from lookalike import request_ids
from lookalike.channel import addresses, is_target, open_channel, several
from lookalike.errors import DrainingError, InvalidArgumentError, QueueFullError
from lookalike.gateway.v1 import gateway_pb2 as pb
from lookalike.gateway.v1 import gateway_pb2_grpc
from lookalike.gateway.v1.gateway_pb2_grpc import GatewayServiceStub
from lookalike.serving.health import HealthServicer
from lookalike.serving.interceptors import MAX_REQUEST_ID_LENGTH, RequestInterceptor
from lookalike.status import from_rpc_error

Context = aio.ServicerContext[Any, Any]
NAME = "lookalike.gateway.v1.GatewayService"


class Remembering(gateway_pb2_grpc.GatewayServiceServicer):
    """Keeps the metadata of each call; fails as often as told before it answers."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.ids: list[str] = []
        self.failures = 0
        self.remaining_s: float | None = None

    async def ClassifyImage(
        self, request: pb.ClassifyImageRequest, context: Context
    ) -> pb.ClassifyImageResponse:
        self.seen.append(dict(context.invocation_metadata() or ()))
        self.ids.append(request_ids.current.get())
        self.remaining_s = context.time_remaining()
        if self.failures:
            self.failures -= 1
            raise DrainingError("not yet")
        return pb.ClassifyImageResponse()

    async def IngestListing(
        self, request: pb.IngestListingRequest, context: Context
    ) -> pb.IngestListingResponse:
        self.seen.append({})
        raise QueueFullError("full", retry_after_ms=10)


@pytest.fixture
def servicer() -> Remembering:
    return Remembering()


@pytest.fixture
async def stub(servicer: Remembering) -> AsyncIterator[GatewayServiceStub]:
    server = aio.server(interceptors=[RequestInterceptor()])
    gateway_pb2_grpc.add_GatewayServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with open_channel(f"127.0.0.1:{port}") as channel:
        yield GatewayServiceStub(channel)
    await server.stop(None)


REQUEST = pb.ClassifyImageRequest()


async def test_request_id_of_the_request_being_answered_goes_along(
    stub: GatewayServiceStub, servicer: Remembering
) -> None:
    request_ids.current.set("from-the-caller")
    await stub.ClassifyImage(REQUEST)
    assert servicer.seen[0][request_ids.HEADER] == "from-the-caller"


async def test_other_metadata_and_the_deadline_go_along_too(
    stub: GatewayServiceStub, servicer: Remembering
) -> None:
    request_ids.current.set("from-the-caller")
    await stub.ClassifyImage(REQUEST, metadata=(("x-other", "1"),), timeout=30)
    assert servicer.seen[0]["x-other"] == "1"
    assert 0 < (servicer.remaining_s or 0) < 40
    await stub.ClassifyImage(REQUEST)
    assert servicer.remaining_s is None


async def test_call_made_for_no_request_gets_a_new_id_from_the_server(
    stub: GatewayServiceStub, servicer: Remembering
) -> None:
    call = stub.ClassifyImage(REQUEST)
    await call
    assert request_ids.HEADER not in servicer.seen[0]
    trailers = dict(await call.trailing_metadata())
    assert trailers[request_ids.HEADER] == servicer.ids[0]
    assert len(servicer.ids[0]) == 32


async def test_request_id_too_long_for_every_line_of_a_log_is_replaced(
    stub: GatewayServiceStub, servicer: Remembering
) -> None:
    for length in (MAX_REQUEST_ID_LENGTH, MAX_REQUEST_ID_LENGTH + 1):
        metadata = ((request_ids.HEADER, "x" * length),)
        await stub.ClassifyImage(REQUEST, metadata=metadata)
    assert servicer.ids[0] == "x" * MAX_REQUEST_ID_LENGTH
    assert len(servicer.ids[1]) == 32


async def test_concurrent_requests_do_not_see_each_others_id(
    stub: GatewayServiceStub, servicer: Remembering
) -> None:
    async def call(number: int) -> None:
        request_ids.current.set(f"id-{number}")
        await stub.ClassifyImage(REQUEST)

    await asyncio.gather(*(call(number) for number in range(20)))
    assert sorted(servicer.ids) == sorted(f"id-{number}" for number in range(20))


async def test_unavailable_is_tried_again_and_other_errors_are_not(
    stub: GatewayServiceStub, servicer: Remembering
) -> None:
    servicer.failures = 2
    await stub.ClassifyImage(REQUEST)
    assert len(servicer.seen) == 3
    with pytest.raises(aio.AioRpcError) as caught:
        await stub.IngestListing(pb.IngestListingRequest())
    assert isinstance(from_rpc_error(caught.value), QueueFullError)
    assert len(servicer.seen) == 4
    trailers = dict(caught.value.trailing_metadata() or ())
    assert trailers["grpc-retry-pushback-ms"] == "10"


async def test_a_server_that_is_known_but_starts_or_drains_gets_no_call() -> None:
    """As an embedder's pod behind a name that has pods before and after they are ready."""
    healths, servicers, servers, ports = [], [], [], []
    for _ in range(2):
        server = aio.server(interceptors=[RequestInterceptor()])
        healths.append(HealthServicer())
        servicers.append(Remembering())
        health_pb2_grpc.add_HealthServicer_to_server(healths[-1], server)
        gateway_pb2_grpc.add_GatewayServiceServicer_to_server(servicers[-1], server)
        ports.append(server.add_insecure_port("127.0.0.1:0"))
        await server.start()
        servers.append(server)
    old, new = servicers
    healths[0].set_ready(NAME, True)
    healths[1].set_ready(NAME, False)  # it starts
    target = ",".join(f"127.0.0.1:{port}" for port in ports)
    async with open_channel(target, health_service=NAME) as channel, asyncio.timeout(60):
        stub = GatewayServiceStub(channel)
        await channel.channel_ready()
        for _ in range(20):
            await stub.ClassifyImage(REQUEST)
        assert not new.seen
        healths[1].set_ready(NAME, True)
        while not new.seen:
            await stub.ClassifyImage(REQUEST)
        healths[0].stop_serving()  # it drains
        called = -1
        while len(old.seen) != called:  # until it is known
            called = len(old.seen)
            for _ in range(20):
                await stub.ClassifyImage(REQUEST)
    await asyncio.gather(*(server.stop(None) for server in servers))


@pytest.mark.parametrize(
    ("target", "for_grpc", "parts"),
    [
        ("a.test:1", "a.test:1", ["a.test:1"]),
        ("dns:///a.test:1", "dns:///a.test:1", ["dns:///a.test:1"]),
        ("10.0.0.1:1, 10.0.0.2:2", "ipv4:10.0.0.1:1,10.0.0.2:2", ["10.0.0.1:1", "10.0.0.2:2"]),
        ("localhost:1,127.0.0.1:2", "ipv4:127.0.0.1:1,127.0.0.1:2", ["localhost:1", "127.0.0.1:2"]),
        ("[::1]:1,[::2]:2", "ipv6:[::1]:1,[::2]:2", ["[::1]:1", "[::2]:2"]),
        ("ipv4:10.0.0.1:1,10.0.0.2:2", "ipv4:10.0.0.1:1,10.0.0.2:2", ["10.0.0.1:1", "10.0.0.2:2"]),
    ],
)
def test_several_addresses_are_one_target(target: str, for_grpc: str, parts: list[str]) -> None:
    assert several(target) == for_grpc
    assert addresses(target) == parts


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        ("a.test:1,b.test:1", "has 'a.test:1' among several"),
        ("10.0.0.1:1,10.0.0.2", "has '10.0.0.2' among several"),
        ("10.0.0.1:1,10.0.0.2:0", "has '10.0.0.2:0' among several"),
        ("10.0.0.1:1,", "has '' among several"),
        ("127.0.0.1:1,[::1]:1", "mixes IPv4 and IPv6"),
    ],
)
def test_several_servers_must_be_addresses_with_ports(target: str, complaint: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        several(target)
    assert complaint in caught.value.message


@pytest.mark.parametrize(
    "target",
    [
        "localhost:1",
        "127.0.0.1:65535",
        "[::1]:50051",
        "a_b.test-1:50051",
        "dns:///embedder:50051",
        "dns:embedder:50051",
        "dns://127.0.0.1:53/embedder.test:50051",
        "10.0.0.1:1, 10.0.0.2:1",
        "ipv4:10.0.0.1:1,10.0.0.2:1",
        "unix:/run/embedder",
    ],
)
def test_what_a_channel_can_be_opened_to_is_a_target(target: str) -> None:
    assert is_target(target)


@pytest.mark.parametrize(
    "target",
    [
        "",
        ",",
        "127.0.0.1",
        "::1:50051",
        "127.0.0.1:0",
        "127.0.0.1:99999",
        "host:٧",
        "host:port",
        "http://127.0.0.1:50051",
        "dns:///embedder",
        "dns://embedder:50051",
        "garbage ☃",
        "a b:1",
        "host:1\n",
        "10.0.0.1:1,b.test:1",
    ],
)
def test_what_gRPC_would_take_and_never_connect_to_is_none(target: str) -> None:
    assert not is_target(target)
