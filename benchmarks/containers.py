"""Size of each image, and the time from `docker start` until its service takes calls.

`make images` builds them. The index starts with 100,000 items, the embedder with a ResNet50.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks.embedder.model import SMALL, photos_of, served_bundle
from benchmarks.index import messages
from benchmarks.index.clients import lone_caller, streamed
from benchmarks.index.photos import Photos, base_vectors
from benchmarks.index.servers import in_stream
from benchmarks.report import Figure
from scripts.images import LIMITS_MB, size_mb

_SERVICES = {
    "embedder": ("lookalike.embedder.v1.EmbedderService", 50051, 4),
    "index": ("lookalike.index.v1.IndexService", 50052, 2),
    "gateway": ("lookalike.gateway.v1.GatewayService", 50050, 2),
}
_ITEMS = 100_000
_STARTS = 5
_READY_S = 60
_POLL_S = 0.01
_HARDENED = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL")  # as compose does
_BUNDLE = Path("var/bench/bundle")
_COLLECTION = "sized"


class _Container:
    """One service's container, hardened as in the compose stack; use as a context manager."""

    def __init__(self, name: str, *options: str) -> None:
        self._service, port, _ = _SERVICES[name]
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        published = ("--publish", f"{self.address}:{port}")
        self._id = _docker("create", *_HARDENED, *published, *options, f"lookalike-{name}")

    def start(self) -> float:
        """Starts it; returns the seconds from the command until it takes calls."""
        request = health_pb2.HealthCheckRequest(service=self._service)
        started = time.perf_counter()
        with subprocess.Popen(["docker", "start", self._id], stdout=subprocess.DEVNULL):
            while not self._is_serving(request):
                if time.perf_counter() - started > _READY_S:
                    raise RuntimeError(f"not ready after {_READY_S} s: docker logs {self._id}")
                time.sleep(_POLL_S)
            return time.perf_counter() - started

    def starts(self, times: int) -> tuple[float, float]:
        """Starts it anew so many times, and leaves it running.

        Returns the median seconds, and those of a processor, which tell of a busy machine too.
        """
        took, of_processor = [], []
        for _ in range(times):
            _docker("stop", self._id)
            took.append(self.start())
            of_processor.append(self._processor_seconds())
        return median(took), median(of_processor)

    def _processor_seconds(self) -> float:
        # utime and stime, the 14th and 15th field; the 2nd may hold spaces
        fields = _docker("exec", self._id, "cat", "/proc/1/stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def inner_address(self) -> str:
        """Where other containers reach it until it is stopped."""
        network = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        port = next(port for service, port, _ in _SERVICES.values() if service == self._service)
        return f"{_docker('inspect', '--format', network, self._id)}:{port}"

    def _is_serving(self, request: health_pb2.HealthCheckRequest) -> bool:
        with grpc.insecure_channel(self.address) as channel:  # anew: an old one waits to reconnect
            try:
                answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=1)
            except grpc.RpcError:
                return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _docker("rm", "--force", "--volumes", self._id)


def measure(*, quick: bool) -> list[Figure]:
    """Returns the figures; quick ones start each container once, the index with 10,000 items."""
    times, items = (1, _ITEMS // 10) if quick else (_STARTS, _ITEMS)
    sizes = [
        Figure(f"{name}, image", size_mb(name), "MB", at_most=LIMITS_MB[name]) for name in _SERVICES
    ]
    notes = {"embedder": "ResNet50 at 224 pixels", "index": f"{items:,} items"}
    starts = []
    for (name, (_, _, most)), (took, of_processor) in zip(
        _SERVICES.items(), _starts(times, items), strict=True
    ):
        note = notes.get(name, "")
        starts += [
            Figure(f"{name}, start to ready", took, "s", at_most=most, note=note),
            Figure(f"{name}, processor time of that", of_processor, "s"),
        ]
    return [*sizes, *starts]


def _starts(times: int, items: int) -> list[tuple[float, float]]:
    bundle = served_bundle(_BUNDLE, photos_of(SMALL, 4)).path.resolve()
    with (
        _Container("embedder", "--volume", f"{bundle}:/bundle:ro") as embedder,
        _Container("index") as index,
    ):
        measured = [embedder.starts(times)]
        index.start()
        _fill(index.address, items)
        measured.append(index.starts(times))
        upstreams = {"EMBEDDER": embedder.inner_address(), "INDEX": index.inner_address()}
        settings = [f"--env=LOOKALIKE_GATEWAY_{name}={at}" for name, at in upstreams.items()]
        with _Container("gateway", *settings) as gateway:
            measured.append(gateway.starts(times))
    return measured


def _fill(address: str, items: int) -> None:
    photos = Photos(base_vectors()[0])
    with lone_caller(address) as stub:
        stub.CreateCollection(messages.collection(_COLLECTION, photos.dimension))
    streamed(address, in_stream(messages.batches(photos, _COLLECTION, items)))


def _docker(*arguments: str) -> str:
    done = subprocess.run(
        ["docker", *arguments], check=True, text=True, stdout=subprocess.PIPE
    )  # fmt: skip
    return done.stdout.strip()
