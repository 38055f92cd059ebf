"""A gateway and the services behind it, as processes that tests stop and start again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from lookalike.gateway.v1 import gateway_pb2 as pb
from lookalike.gateway.v1.gateway_pb2_grpc import GatewayServiceStub
from lookalike.serving.local_stack import ServiceProcess

NAME = "lookalike.gateway.v1.GatewayService"
TIMEOUT_S = 60

Start = Callable[..., ServiceProcess]


@dataclass
class Services:
    """The three, each on a port that it can be started on again, and a catalogue of its own."""

    start_service: Start
    bundle: Path
    index_dir: Path
    collection: str
    channel: grpc.Channel
    embedder: ServiceProcess
    index: ServiceProcess
    gateway: ServiceProcess

    @property
    def stub(self) -> GatewayServiceStub:
        return GatewayServiceStub(self.channel)

    def start_embedder_again(self) -> None:
        self.embedder = self.start_service(
            "embedder_service", bundle=self.bundle, port=port(self.embedder)
        )

    def start_index_again(self) -> None:
        self.index = self.start_service(
            "index_service", data_dir=self.index_dir, port=port(self.index)
        )

    def ingest(self, item_id: str, image: bytes) -> pb.IngestListingResponse:
        photo = pb.CataloguePhoto(item_id=item_id, product_id=f"listing of {item_id}")
        request = pb.IngestListingRequest(photo=photo, image=image)
        return self.stub.IngestListing(request, timeout=TIMEOUT_S)

    def classify(self, image: bytes) -> pb.ClassifyImageResponse:
        return self.stub.ClassifyImage(pb.ClassifyImageRequest(image=image), timeout=TIMEOUT_S)

    def find(self, item_id: str) -> list[tuple[str, float]]:
        request = pb.FindSimilarListingsRequest(item_id=item_id)
        found = self.stub.FindSimilarListings(request, timeout=TIMEOUT_S)
        return [(similar.photo.item_id, similar.distance) for similar in found.listings]

    def status(self) -> pb.GetStatusResponse:
        return self.stub.GetStatus(pb.GetStatusRequest(), timeout=TIMEOUT_S)

    def wait(self, condition: Callable[[pb.GetStatusResponse], bool]) -> None:
        """Waits until the gateway's status is as told."""
        deadline = time.monotonic() + TIMEOUT_S
        while not condition(self.status()):
            assert time.monotonic() < deadline
            time.sleep(0.02)

    @contextmanager
    def readiness(self) -> Iterator[Callable[[int], None]]:
        """Gives a function that waits until the gateway tells its watchers a status."""
        request = health_pb2.HealthCheckRequest(service=NAME)
        watch = HealthStub(self.channel).Watch(request, timeout=TIMEOUT_S)

        def becomes(status: int) -> None:
            assert any(answer.status == status for answer in watch)

        yield becomes
        watch.cancel()


def both_ready(status: pb.GetStatusResponse) -> bool:
    return status.embedder.ready and status.index.ready


def log_lines(service: ServiceProcess) -> list[dict[str, Any]]:
    lines = service.log.read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def port(service: ServiceProcess) -> str:
    return service.address.rpartition(":")[2]


def calls_of(service: ServiceProcess, method: str) -> int:
    """How many calls of a method a service logged."""
    return sum(str(line.get("method")).endswith("/" + method) for line in log_lines(service))
