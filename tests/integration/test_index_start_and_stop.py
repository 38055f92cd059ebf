"""An index process while it opens its store, and while it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from index_service.servicer import NAME
from lookalike.errors import StartupError
from lookalike.index.v1 import index_pb2 as pb
from lookalike.index.v1.index_pb2_grpc import IndexServiceStub
from lookalike.serving.local_stack import ServiceProcess
from tests.waiting import until

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

# The service, whose store opens when there is a file `open`, and whose snapshots wait for `write`.
PROGRAM = """
import contextlib, time
from pathlib import Path
import index_service.__main__ as service

def wait_for(name):
    while not Path({folder!r}, name).exists():
        time.sleep(0.01)

@contextlib.contextmanager
def open_slowly(settings, open_native=service.open_native):
    wait_for("open")
    with open_native(settings) as backend:
        yield backend

def write_slowly(backend, write=service.NativeBackend._snapshot):
    Path({folder!r}, "writing").touch()
    wait_for("write")
    return write(backend)

service.open_native = open_slowly
service.NativeBackend._snapshot = write_slowly
service.main([])
"""


@dataclass
class Starting:
    """A process that is starting, what becomes of its start, and the folder of its files."""

    service: ServiceProcess
    start: Future[str]
    folder: Path


@pytest.fixture
def starting(tmp_path: Path) -> Iterator[Starting]:
    (tmp_path / "slow_index.py").write_text(PROGRAM.format(folder=str(tmp_path)))
    ports = dict.fromkeys(("PORT", "HEALTH_PORT", "METRICS_PORT", "ADMIN_PORT"), "0")
    settings = {f"LOOKALIKE_INDEX_{name}": value for name, value in ports.items()}
    settings |= {"LOOKALIKE_INDEX_DATA_DIR": str(tmp_path / "data"), "PYTHONPATH": str(tmp_path)}
    service = ServiceProcess("slow_index", settings, tmp_path / "log")
    service.log.touch()
    with ThreadPoolExecutor(1) as pool:
        start = pool.submit(service.start)
        yield Starting(service, start, tmp_path)
        (tmp_path / "open").touch()
        with contextlib.suppress(StartupError):
            start.result(60)
        service.kill()


def status_of(address: str, service: str) -> int:
    with grpc.insecure_channel(address) as channel:
        request = health_pb2.HealthCheckRequest(service=service)
        return HealthStub(channel).Check(request, timeout=30).status


def test_an_index_that_opens_its_store_is_alive_and_not_ready(starting: Starting) -> None:
    health = until(lambda: starting.service.announced("serving health"))
    metrics = until(lambda: starting.service.announced("serving metrics"))
    assert status_of(health, "") == SERVING
    assert status_of(health, NAME) == NOT_SERVING
    assert urllib.request.urlopen(f"http://{metrics}/metrics", timeout=30).status == 200
    assert not starting.start.done()
    (starting.folder / "open").touch()
    starting.start.result(60)
    until(lambda: status_of(health, NAME) == SERVING)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_index_that_opens_its_store_ends_at_once_when_told_to(
    starting: Starting, number: signal.Signals
) -> None:
    until(lambda: starting.service.announced("serving health"))
    os.kill(starting.service.pid, number)
    with pytest.raises(StartupError):
        starting.start.result(60)
    assert starting.service.stop() == 128 + number


def test_a_call_in_flight_on_the_port_for_admins_is_answered_before_the_end(
    starting: Starting,
) -> None:
    (starting.folder / "open").touch()
    starting.start.result(60)
    admin = starting.service.announced("also serving")
    with grpc.insecure_channel(admin) as channel:
        answer = IndexServiceStub(channel).CreateSnapshot.future(
            pb.CreateSnapshotRequest(), timeout=60
        )
        until((starting.folder / "writing").exists)
        os.kill(starting.service.pid, signal.SIGTERM)
        until(lambda: '"stopping"' in starting.service.log.read_text())
        (starting.folder / "write").touch()
        assert answer.result().snapshot.name
    assert starting.service.stop() == 0
