"""From nothing to ready: each service as a process, its files in the machine's cache."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from benchmarks.embedder.model import SMALL, photos_of, served_bundle
from benchmarks.embedder.rounds import BUNDLE
from benchmarks.gateway.services import Services
from benchmarks.operations.fleet import EMBEDDER, GATEWAY, INDEX, Fleet
from benchmarks.report import Figure
from lookalike.serving.local_stack import ServiceProcess

ITEMS = 100_000
_SERVICES = {
    EMBEDDER: "lookalike.embedder.v1.EmbedderService",
    INDEX: "lookalike.index.v1.IndexService",
    GATEWAY: "lookalike.gateway.v1.GatewayService",
}


def measure(*, quick: bool) -> list[Figure]:
    """Starts each several times; an index of fewer items if `quick`."""
    rounds, items = (1, 10_000) if quick else (5, ITEMS)
    photos = photos_of(SMALL, 32)
    bundle = served_bundle(BUNDLE, photos)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Services(bundle.path, folder) as services:
            services.index(bundle.manifest.embedding_space, items)
        with Fleet(bundle.path, folder) as fleet:
            compiling = [_seconds(lambda: fleet.embedder(compile_cache="")) for _ in range(rounds)]
            fleet.embedder().stop()  # compiles
            cached = [_seconds(fleet.embedder) for _ in range(rounds)]
            indexes = [_seconds(fleet.index) for _ in range(rounds)]
            embedder, index = fleet.embedder(), fleet.index()
            gateways = [
                _seconds(lambda: fleet.gateway(embedder.address, index.address))
                for _ in range(rounds)
            ]
    figures = (
        ("gateway", gateways, 2.0),
        (f"index of {items:,} items", indexes, 2.0),
        ("embedder that compiles its model", compiling, 4.0),
        ("embedder with a compile cache", cached, 4.0),
    )
    return [
        Figure(f"start to ready: {what}", statistics.median(seconds), "s", at_most=most)
        for what, seconds, most in figures
    ]


def _seconds(start: Callable[[], ServiceProcess]) -> float:
    """Starts a service, waits until it is ready, stops it; returns what the first two took."""
    started = time.monotonic()
    service = start()
    with grpc.insecure_channel(service.address) as channel:
        request = health_pb2.HealthCheckRequest(service=_SERVICES[service.module])
        for answer in HealthStub(channel).Watch(request, wait_for_ready=True, timeout=60):
            if answer.status == health_pb2.HealthCheckResponse.SERVING:
                break
        seconds = time.monotonic() - started
    service.stop()
    return seconds
