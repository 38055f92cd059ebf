"""The life of a server process: how it starts, what its health says, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import queue
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from lookalike.channel import open_channel as lookalike_channel
from lookalike.embedder.v1 import embedder_pb2 as pb
from lookalike.embedder.v1.embedder_pb2_grpc import EmbedderServiceStub
from lookalike.errors import InternalError, LookalikeError, StartupError
from tests.echo_service import NAME, StartEcho

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN

OpenChannel = Callable[[str], grpc.Channel]
Refusal = Callable[[Callable[[], object]], LookalikeError]


def status_of(channel: grpc.Channel, service: str) -> int:
    return HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service)).status


def watch(channel: grpc.Channel, service: str) -> Any:
    return HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=service), timeout=60)


def test_live_from_the_start_and_ready_when_the_service_says_so(
    start: StartEcho, open_channel: OpenChannel, refusal: Refusal
) -> None:
    channel = open_channel(start().address)
    assert status_of(channel, "") == SERVING
    assert status_of(channel, NAME) == NOT_SERVING
    watching, unknown = watch(channel, NAME), watch(channel, "no.such.Service")
    assert next(watching).status == NOT_SERVING
    assert next(unknown).status == SERVICE_UNKNOWN
    EmbedderServiceStub(channel).GetModel(pb.GetModelRequest())
    assert next(watching).status == SERVING
    assert status_of(channel, NAME) == SERVING
    error = refusal(lambda: status_of(channel, "no.such.Service"))
    assert error.code is grpc.StatusCode.NOT_FOUND
    assert set(ProtoReflectionDescriptorDatabase(channel).get_services()) == {
        NAME,
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    }


def test_watcher_is_told_although_another_one_left(
    start: StartEcho, open_channel: OpenChannel
) -> None:
    channel = open_channel(start().address)
    staying, leaving = watch(channel, NAME), watch(channel, NAME)
    assert next(staying).status == next(leaving).status == NOT_SERVING
    leaving.cancel()
    status_of(channel, "")  # answered after the cancellation was seen: both are in order
    EmbedderServiceStub(channel).GetModel(pb.GetModelRequest())
    assert next(staying).status == SERVING


def test_further_signals_while_it_ends_do_not_make_it_a_crash(start: StartEcho) -> None:
    service = start()
    deadline = time.monotonic() + 60
    ended = 0
    while not ended and time.monotonic() < deadline:
        os.kill(service.pid, signal.SIGTERM)
        time.sleep(0.0005)  # more signals than that would only keep it from ending
        ended, status = os.waitpid(service.pid, os.WNOHANG)

    assert os.waitstatus_to_exitcode(status) == 0


def test_drain_lets_a_call_in_flight_finish_and_ends_with_exit_code_0(
    start: StartEcho, open_channel: OpenChannel
) -> None:
    service = start(drain_timeout_s=120)
    channel = open_channel(service.address)
    requests: queue.SimpleQueue[pb.StreamEmbedImagesRequest | None] = queue.SimpleQueue()
    answers = EmbedderServiceStub(channel).StreamEmbedImages(iter(requests.get, None), timeout=60)
    requests.put(pb.StreamEmbedImagesRequest(id="before"))
    assert next(answers).id == "before"
    watching = watch(channel, NAME)
    assert next(watching).status == NOT_SERVING
    live = watch(channel, "")
    assert next(live).status == SERVING

    os.kill(service.pid, signal.SIGTERM)
    assert next(live).status == NOT_SERVING
    # The watches end by themselves: a call in flight that never ends would hold up the stop.
    assert list(watching) == list(live) == []
    requests.put(pb.StreamEmbedImagesRequest(id="after"))
    assert next(answers).id == "after"
    requests.put(None)
    assert list(answers) == []
    assert service.stop(timeout_s=60) == 0
    events = [json.loads(line)["event"] for line in service.log.read_text().splitlines()]
    assert events == ["serving", "stopping", "request", "stopped"]


def test_during_the_propagation_delay_new_calls_are_answered_but_it_is_not_ready(
    start: StartEcho, open_channel: OpenChannel
) -> None:
    service = start(propagation_delay_s=600)
    channel = open_channel(service.address)
    live = watch(channel, "")
    assert next(live).status == SERVING
    os.kill(service.pid, signal.SIGTERM)
    assert next(live).status == NOT_SERVING
    # What tries to make it ready again is in vain, but is answered.
    EmbedderServiceStub(channel).GetModel(pb.GetModelRequest())
    assert status_of(channel, NAME) == NOT_SERVING


async def test_busy_callers_that_watch_the_health_have_no_call_cancelled(
    start: StartEcho, open_channel: OpenChannel
) -> None:
    service = start(propagation_delay_s=1)
    EmbedderServiceStub(open_channel(service.address)).GetModel(pb.GetModelRequest())

    async def last_answer(stub: Any) -> grpc.StatusCode:
        while True:
            try:
                await stub.GetModel(pb.GetModelRequest(), timeout=60)
            except grpc.RpcError as error:
                code: grpc.StatusCode = error.code()
                return code

    async with lookalike_channel(service.address, health_service=NAME) as channel:
        await channel.channel_ready()
        stub = EmbedderServiceStub(channel)
        callers = [asyncio.create_task(last_answer(stub)) for _ in range(16)]
        await stub.GetModel(pb.GetModelRequest(), timeout=60)
        os.kill(service.pid, signal.SIGTERM)
        codes = await asyncio.gather(*callers)
    assert set(codes) == {grpc.StatusCode.UNAVAILABLE}


def test_call_that_does_not_end_is_cut_off_after_the_drain_timeout(
    start: StartEcho, open_channel: OpenChannel
) -> None:
    service = start(drain_timeout_s=0.1)
    stub = EmbedderServiceStub(open_channel(service.address))
    requests: queue.SimpleQueue[pb.StreamEmbedImagesRequest | None] = queue.SimpleQueue()
    answers = stub.StreamEmbedImages(iter(requests.get, None), timeout=60)
    requests.put(pb.StreamEmbedImagesRequest(id="before"))
    assert next(answers).id == "before"
    assert service.stop(timeout_s=60) == 0
    with pytest.raises(grpc.RpcError):
        next(answers)
    requests.put(None)


def test_unknown_exception_reaches_the_log_but_not_the_client(
    start: StartEcho, open_channel: OpenChannel, refusal: Refusal
) -> None:
    service = start()
    stub = EmbedderServiceStub(open_channel(service.address))
    metadata = (("x-request-id", "abc"),)
    error = refusal(lambda: stub.EmbedImage(pb.EmbedImageRequest(), metadata=metadata))
    assert isinstance(error, InternalError)
    assert "secret" not in error.message
    service.stop()
    lines = [json.loads(line) for line in service.log.read_text().splitlines()]
    unhandled, request = (line for line in lines if line.get("request_id") == "abc")
    assert "ValueError: secret" in unhandled["exception"]
    assert (request["code"], request["level"]) == ("INTERNAL", "warning")


def test_bytes_that_are_no_message_are_refused(
    start: StartEcho, open_channel: OpenChannel, refusal: Refusal
) -> None:
    server = start()
    call = open_channel(server.address).unary_unary(
        "/lookalike.embedder.v1.EmbedderService/GetModel"
    )
    error = refusal(lambda: call(b"\xff\xff", timeout=10))
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.message == "the request cannot be read as the method's message"
    server.stop()
    assert "Traceback" not in server.log.read_text()


def test_port_in_use_is_told_in_one_line(start: StartEcho, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartupError, match=f"echo: cannot listen on 127.0.0.1:{port}: .* use"):
            start(port=port)
    (line,) = (tmp_path / "echo-0.log").read_text().splitlines()
    assert line.endswith("; set ECHO_PORT or ECHO_HOST")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"host": "192.0.2.1"}, "cannot listen on 192.0.2.1:0"),
        ({"host": "no..name"}, "cannot listen on no..name:0"),
        ({"port": "many"}, "ECHO_PORT is 'many'"),
        ({"prot": "1"}, "ECHO_PROT is not a setting"),
        ({"drain_timeout_s": "nan"}, "ECHO_DRAIN_TIMEOUT_S is nan"),
    ],
)
def test_other_reasons_not_to_start_are_told_in_one_line(
    settings: dict[str, str], expected: str, start: StartEcho, tmp_path: Path
) -> None:
    with pytest.raises(StartupError, match=f"^echo: {expected}"):
        start(**settings)
    assert len((tmp_path / "echo-0.log").read_text().splitlines()) == 1


def test_ipv6_host_is_listened_on(start: StartEcho, open_channel: OpenChannel) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    address = start(host="::1").address
    assert address.startswith("[::1]:")
    assert status_of(open_channel(address), "") == SERVING
