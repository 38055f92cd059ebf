"""The compose stack of a test: its containers, and load on it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

from lookalike.gateway.v1 import gateway_pb2 as pb
from lookalike.gateway.v1.gateway_pb2_grpc import GatewayServiceStub

ROOT = Path(__file__).resolve().parents[2]
SERVICES = {
    "embedder": "lookalike.embedder.v1.EmbedderService",
    "index": "lookalike.index.v1.IndexService",
    "gateway": "lookalike.gateway.v1.GatewayService",
}
EMBEDDERS = 3
READY_S = 120
_CALLERS = 4
_POLL_S = 0.05


def open_to_containers(bundle: Path) -> Path:
    """Copies a bundle out of pytest's own folders, which are closed to the containers' user."""
    copy = ROOT / "var/e2e/bundle"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(bundle, copy)
    return copy


def docker(*arguments: str) -> str:
    done = subprocess.run(
        ["docker", *arguments], check=True, text=True, stdout=subprocess.PIPE
    )  # fmt: skip
    return done.stdout.strip()


def inspect(thing: str) -> Any:
    """What docker knows of a container or an image."""
    return json.loads(docker("inspect", thing))[0]


class Compose:
    """One compose project with the repository's files.

    The ports of gateway and index stay the same when their containers are started again.

    Args:
        bundle: What the embedders serve.
        project: Its name.
        files: docker-compose.yml and what is laid over it.
        settings: Further variables of these files.
    """

    def __init__(
        self,
        bundle: Path,
        project: str = "lookalike-e2e",
        files: tuple[str, ...] = ("docker-compose.yml",),
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._command = [
            *(["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]),
            *("--project-name", project, "--project-directory", str(ROOT)),
            *(word for file in files for word in ("--file", str(ROOT / file))),
        ]
        names = ("INDEX_PORT", "GATEWAY_PORT", "GATEWAY_HTTP_PORT")
        with _free_ports(len(names)) as ports:
            self.ports = dict(zip(names, ports, strict=True))
        self._environment = {
            **os.environ,
            **{f"LOOKALIKE_{name}": str(port) for name, port in self.ports.items()},
            "LOOKALIKE_BUNDLE": str(bundle),
            **(settings or {}),
        }

    @property
    def gateway(self) -> str:
        """Its address on this machine."""
        return f"127.0.0.1:{self.ports['GATEWAY_PORT']}"

    @property
    def index(self) -> str:
        """Likewise."""
        return f"127.0.0.1:{self.ports['INDEX_PORT']}"

    def __call__(self, *arguments: str) -> str:
        return subprocess.run(
            [*self._command, *arguments],
            env=self._environment, check=True, text=True, stdout=subprocess.PIPE,
        ).stdout.strip()  # fmt: skip

    def containers(self, service: str) -> list[str]:
        """The ids of its containers, running or not."""
        return self("ps", "--all", "--quiet", service).split()

    def wait_until_it_answers(self) -> None:
        """Until the gateway's upstreams are ready."""
        request = pb.GetStatusRequest()
        with grpc.insecure_channel(self.gateway) as channel:
            stub = GatewayServiceStub(channel)

            def is_ready() -> bool:
                status = stub.GetStatus(request, timeout=10)
                return bool(status.index.ready and status.embedder.ready)

            wait(is_ready)

    def wait_until_ready(self, service: str, container: str) -> None:
        """Until a container's health is that of a service that takes calls."""
        command = ("python", "-m", "lookalike.serving.healthcheck")
        port = {"embedder": 50081, "index": 50082, "gateway": 50080}[service]
        address = f"127.0.0.1:{port}"
        asked = ["docker", "exec", container, *command, address, SERVICES[service]]

        def is_ready() -> bool:
            return subprocess.run(asked, capture_output=True, check=False).returncode == 0

        wait(is_ready)


def wait(holds: Callable[[], bool]) -> None:
    """Asks until it holds; an error of gRPC's is a no."""
    deadline = time.monotonic() + READY_S
    while True:
        try:
            if holds():
                return
        except grpc.RpcError:
            pass  # not there yet
        assert time.monotonic() < deadline, "not ready in time"
        time.sleep(_POLL_S)


@contextmanager
def _free_ports(count: int) -> Iterator[list[int]]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        yield [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


class Ingesting:
    """Callers that write photos through the gateway, each one after the other.

    Attributes:
        acknowledged: Ids of the photos whose write was answered.
        failed: The errors of writes that were not; such a photo is not sent again.
    """

    def __init__(self, address: str, draw_photo: Callable[[int], bytes], prefix: str) -> None:
        self.acknowledged: list[str] = []
        self.failed: list[str] = []
        self._address = address
        self._draw = draw_photo
        self._prefix = prefix
        self._stop = threading.Event()
        self._progress = threading.Condition()
        self._threads = [
            threading.Thread(target=self._call, args=(number,)) for number in range(_CALLERS)
        ]

    def __enter__(self) -> Ingesting:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for_more(self, count: int) -> None:
        """Until as many more writes have been answered."""
        with self._progress:
            target = len(self.acknowledged) + count
            assert self._progress.wait_for(
                lambda: len(self.acknowledged) >= target, timeout=READY_S
            ), self.failed[-1:]

    def _call(self, number: int) -> None:
        with grpc.insecure_channel(self._address) as channel:
            stub = GatewayServiceStub(channel)
            count = 0
            while not self._stop.is_set():
                count += 1
                seed = 100_000 * (number + 1) + count
                name = f"{self._prefix}-{seed}"
                photo = pb.CataloguePhoto(item_id=name, product_id=name)
                request = pb.IngestListingRequest(photo=photo, image=self._draw(seed))
                try:
                    stub.IngestListing(request, timeout=10)
                except grpc.RpcError as error:
                    self.failed.append(f"{error.code().name}: {error.details()}")
                    self._stop.wait(_POLL_S)
                    continue
                with self._progress:
                    self.acknowledged.append(name)
                    self._progress.notify_all()
