"""What servers take from a connection: pings at an interval, and floods of frames."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from socket import SHUT_RDWR, socket

import grpc
import pytest
from google.protobuf import descriptor_pb2
from grpc_reflection.v1alpha import reflection_pb2

from lookalike import limits
from lookalike.channel import open_channel as lookalike_channel
from lookalike.embedder.v1 import embedder_pb2 as pb
from lookalike.embedder.v1.embedder_pb2_grpc import EmbedderServiceStub
from tests import http2_frames as http2
from tests.echo_service import NAME, StartEcho

STREAM = f"/{NAME}/StreamEmbedImages"
OpenChannel = Callable[[str], grpc.Channel]

# Pings at an interval on an idle connection and on one whose stream sends nothing; gRPC reports a
# connection that is ended for its pings on stderr.
PINGING = """
import queue, sys, time
import grpc
from lookalike.embedder.v1 import embedder_pb2 as pb
from lookalike.embedder.v1.embedder_pb2_grpc import EmbedderServiceStub

address, interval_s, quiet_s = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
options = [
    ("grpc.keepalive_time_ms", round(interval_s * 1000)),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
]
requests = queue.SimpleQueue()
states = []
idle = grpc.insecure_channel(address, options)
streaming = grpc.insecure_channel(address, [*options, ("grpc.use_local_subchannel_pool", 1)])
answers = EmbedderServiceStub(streaming).StreamEmbedImages(iter(requests.get, None))
requests.put(pb.StreamEmbedImagesRequest(id="before"))
print(next(answers).id)
grpc.channel_ready_future(idle).result(30)
idle.subscribe(states.append)
time.sleep(quiet_s)
requests.put(pb.StreamEmbedImagesRequest(id="after"))
print(next(answers).id)
requests.put(None)
print(*(state.name for state in states))
"""

# The project's own channels, as an idle client holds them: the health watch is a call.
OWN = f"""
import asyncio, sys, time
from lookalike import limits
limits.PING_INTERVAL_S = int(sys.argv[2])
from lookalike.channel import open_blocking_channel, open_channel
import grpc

async def idle():
    async with open_channel(sys.argv[1], health_service="{NAME}"):
        with open_blocking_channel(sys.argv[1], health_service="{NAME}") as blocking:
            ready = grpc.channel_ready_future(blocking)
            await asyncio.sleep(float(sys.argv[3]))
            ready.result(1)
    print("silent")

asyncio.run(idle())
"""


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=240,
        env={**os.environ, "GRPC_VERBOSITY": "ERROR"},  # what gRPC itself says of it
    )  # fmt: skip


# A second instead of ten, on both sides.
SCALED = "from lookalike import limits; limits.MIN_PING_INTERVAL_S = 1\n"


def test_client_that_pings_as_often_as_permitted_stays_connected(start: StartEcho) -> None:
    done = run(PINGING, start(first=SCALED).address, 1, 6)
    assert (done.stdout.split(), done.stderr) == (["before", "after", "READY"], "")


def test_client_that_pings_more_often_is_ended_and_told_why(start: StartEcho) -> None:
    # gRPC's clients wait at least a second between pings.
    done = run(PINGING, start(first=SCALED.replace("= 1", "= 4")).address, 1, 7)
    assert "too_many_pings" in done.stderr
    assert done.stdout.split() == ["before"]


def test_own_channels_are_silent_at_the_interval_that_servers_permit(
    start: StartEcho, open_channel: OpenChannel
) -> None:
    address = start(first=SCALED).address
    EmbedderServiceStub(open_channel(address)).GetModel(pb.GetModelRequest())  # it is ready then
    done = run(OWN, address, 1, 5)
    assert (done.stdout, done.stderr) == ("silent\n", "")
    assert limits.PING_INTERVAL_S >= limits.MIN_PING_INTERVAL_S


@pytest.mark.long
def test_client_that_pings_every_ten_seconds_stays_connected(start: StartEcho) -> None:
    done = run(PINGING, start().address, 10, 45)
    assert (done.stdout.split(), done.stderr) == (["before", "after", "READY"], "")


def resident_mib(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 >> 20


def discard(sock: socket) -> None:
    with contextlib.suppress(OSError):
        while sock.recv(1 << 16):
            pass


def flood(sock: socket, chunk: Callable[[int], bytes], seconds: float) -> None:
    """Sends chunks for so long, or until the server ends the connection."""
    end, sent = time.monotonic() + seconds, 0
    with contextlib.suppress(OSError):
        while time.monotonic() < end:
            sock.sendall(chunk(sent))
            sent += 1
        sock.shutdown(SHUT_RDWR)


def resets(number: int) -> bytes:
    first = 1 + 200 * number
    return b"".join(http2.reset_call(first + 2 * i, STREAM) for i in range(100))


FLOODS: dict[str, Callable[[int], bytes]] = {
    "pings": lambda _: http2.frame(http2.PING, b"12345678") * 100,
    "settings": lambda _: http2.frame(http2.SETTINGS) * 1000,
    "resets": resets,
    "continuations": lambda n: (
        (b"" if n else http2.frame(http2.HEADERS, stream=1))
        + http2.frame(http2.CONTINUATION, b"\0\1a\1b" * 200, stream=1) * 10
    ),
    "empty data": lambda n: (
        (b"" if n else http2.call(1, STREAM)) + http2.frame(http2.DATA, stream=1) * 1000
    ),
}


@pytest.mark.parametrize("seconds", [1, pytest.param(5, marks=pytest.mark.long)])
@pytest.mark.parametrize("kind", FLOODS)
def test_flood_of_frames_neither_fills_memory_nor_keeps_others_waiting(
    kind: str, seconds: int, start: StartEcho, open_channel: OpenChannel
) -> None:
    service = start(log_requests="false")
    stub = EmbedderServiceStub(open_channel(service.address))
    stub.GetModel(pb.GetModelRequest())
    before = resident_mib(service.pid)
    waits = []
    with http2.connected(service.address) as sock:
        threading.Thread(target=discard, args=(sock,), daemon=True).start()
        flooding = threading.Thread(target=flood, args=(sock, FLOODS[kind], seconds))
        flooding.start()
        while flooding.is_alive():
            started = time.monotonic()
            stub.GetModel(pb.GetModelRequest(), timeout=30)
            waits.append(time.monotonic() - started)
            time.sleep(0.05)
    assert max(waits) < 20
    assert resident_mib(service.pid) - before < 256
    stub.GetModel(pb.GetModelRequest(), timeout=30)
    service.stop()
    taken = service.log.read_text().count("/StreamEmbedImages")
    assert taken <= limits.MAX_CALLS_PER_CONNECTION


async def test_client_with_thousands_of_calls_at_a_time_has_all_answered(start: StartEcho) -> None:
    async with lookalike_channel(start(log_requests="false").address, retries=0) as channel:
        stub = EmbedderServiceStub(channel)
        calls = (stub.GetModel(pb.GetModelRequest(), timeout=60) for _ in range(3000))
        assert len(await asyncio.gather(*calls)) == 3000


def test_too_many_pings_end_the_connection_that_sends_them(start: StartEcho) -> None:
    with http2.connected(start().address) as sock:
        sock.sendall(http2.frame(http2.PING, b"12345678") * 10)
        received = http2.read_until_end(sock)
    assert http2.frame(http2.GOAWAY, b"\0\0\0\0\0\0\0\x0btoo_many_pings") in received


def test_reflection_v1_answers_as_v1alpha_does_and_describes_itself(
    start: StartEcho, open_channel: OpenChannel
) -> None:
    channel = open_channel(start().address)
    v1 = "grpc.reflection.v1.ServerReflection"
    request = reflection_pb2.ServerReflectionRequest

    def ask(service: str, *requests: object) -> list[reflection_pb2.ServerReflectionResponse]:
        method = channel.stream_stream(
            f"/{service}/ServerReflectionInfo",
            request_serializer=request.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        return list(method(iter(requests), timeout=30))

    asked = [
        request(list_services=""),
        request(file_containing_symbol=NAME),
        request(file_containing_symbol=v1),
    ]
    answers = ask(v1, *asked)
    assert answers == ask("grpc.reflection.v1alpha.ServerReflection", *asked)
    assert v1 in {each.name for each in answers[0].list_services_response.service}
    (described,) = answers[2].file_descriptor_response.file_descriptor_proto
    file = descriptor_pb2.FileDescriptorProto.FromString(described)
    assert f"{file.package}.{file.service[0].name}" == v1
    assert "v1alpha" not in str(file)


def test_connection_of_a_certain_age_makes_way_for_another_and_its_stream_goes_on(
    start: StartEcho, open_channel: OpenChannel
) -> None:
    service = start(max_connection_age_s=0.2)
    stub = EmbedderServiceStub(open_channel(service.address))
    requests: queue.SimpleQueue[pb.StreamEmbedImagesRequest | None] = queue.SimpleQueue()
    answers = stub.StreamEmbedImages(iter(requests.get, None))
    requests.put(pb.StreamEmbedImagesRequest(id="before"))
    assert next(answers).id == "before"

    def connections() -> set[str]:
        lines = [json.loads(line) for line in service.log.read_text().splitlines()]
        return {line["peer"] for line in lines if line["event"] == "request"}

    deadline = time.monotonic() + 60
    while len(connections()) < 3:
        assert time.monotonic() < deadline
        stub.GetModel(pb.GetModelRequest(), timeout=30)
    requests.put(pb.StreamEmbedImagesRequest(id="after"))
    assert next(answers).id == "after"
    requests.put(None)
