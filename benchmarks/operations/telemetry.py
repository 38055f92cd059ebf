"""What telemetry costs: the services with all of it, beside the same with none.

With it there is a collector that takes the spans of a request in a hundred, the default, and
somebody who asks for the metrics every five seconds. Without it `METRICS_PORT` is -1.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import threading
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from benchmarks.embedder.clients import callers, unary
from benchmarks.embedder.model import SMALL, photos_of, served_bundle
from benchmarks.gateway.rounds import BUNDLE, CALLERS, K
from benchmarks.gateway.services import ALIAS
from benchmarks.report import Figure
from benchmarks.turns import Latencies, latencies, median_ratio, rates
from lookalike.channel import open_channel
from lookalike.gateway.v1 import gateway_pb2
from lookalike.gateway.v1.gateway_pb2_grpc import GatewayServiceStub
from lookalike.index.v1 import index_pb2
from lookalike.index.v1.index_pb2_grpc import IndexServiceStub
from lookalike.serving.local_stack import ServiceProcess

_SCRAPED_EVERY_S = 5.0
_DIMENSION = 13
_COLLECTION = "benchmark"
_NONE: Mapping[str, object] = {"METRICS_PORT": -1}


@dataclass(frozen=True)
class Effort:
    """How much of everything."""

    rounds: int  # of photos
    photos: int  # a round
    turns: int  # of calls: many and short, since the difference is less than what a machine drifts
    calls: int  # a turn
    items: int


FULL = Effort(rounds=15, photos=384, turns=200, calls=25, items=10_000)
QUICK = Effort(rounds=4, photos=64, turns=15, calls=20, items=1_000)


def measure(*, quick: bool) -> list[Figure]:
    """Returns the figures, each a ratio of neighbours in time."""
    effort = QUICK if quick else FULL
    photos = photos_of(SMALL, 64)
    bundle = served_bundle(BUNDLE, photos[:32])
    space = bundle.manifest.embedding_space
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        all_of_it = {"METRICS_PORT": 0, "TRACES_ENDPOINT": stack.enter_context(_collector())}
        with_it, without = (
            _Services(stack, Path(folder) / name, bundle.path, settings)
            for name, settings in (("with", all_of_it), ("without", _NONE))
        )
        for services in (with_it, without):
            _fill(services.index, space, effort.items)
        stack.enter_context(_scraped(with_it.metrics))
        ours, theirs = _throughput(effort, (with_it, without), photos)
        found, found_without = _searches(effort, (with_it, without), space)
        asked, asked_without = _cached_queries(effort, (with_it, without), photos[0])
    return [
        Figure(
            "telemetry on, over off: photos/s of the embedder",
            median_ratio(ours, theirs),
            "ratio",
            at_least=0.97,
        ),
        Figure(
            "telemetry on, over off: FindNeighbors, p50",
            found.over(found_without),
            "ratio",
            at_most=1.05,
            note=f"{found.beyond_ms(found_without) * 1e3:.0f} µs",
        ),
        Figure(
            "telemetry on, over off: a cached photo by the gateway, p50",
            asked.over(asked_without),
            "ratio",
            at_most=1.05,
            note=f"{asked.beyond_ms(asked_without) * 1e3:.0f} µs",
        ),
    ]


class _Services:
    """The three services with the same settings; they end with the stack."""

    def __init__(
        self, stack: ExitStack, folder: Path, bundle: Path, settings: Mapping[str, object]
    ) -> None:
        self._stack = stack
        self._folder = folder
        self._settings = settings
        self.metrics: list[str] = []
        self.embedder = self._start(
            "embedder_service",
            "EMBEDDER",
            BUNDLE=bundle.resolve(),
            PRECISION="int8",
            ADMIN_PORT=0,
            COMPILE_CACHE=folder.parent / "compiled",
        )
        self.index = self._start("index_service", "INDEX", DATA_DIR=folder / "index")
        self.gateway = self._start(
            "gateway", "GATEWAY", EMBEDDER=self.embedder, INDEX=self.index, HTTP_PORT=0
        )

    def _start(self, module: str, name: str, **own: object) -> str:
        settings = {"PORT": 0, "LOG_REQUESTS": "false", **self._settings, **own}
        environment = {f"LOOKALIKE_{name}_{key}": str(value) for key, value in settings.items()}
        service = ServiceProcess(module, environment, self._folder / f"{module}.log")
        self._stack.enter_context(service)
        if address := service.announced("serving metrics"):
            self.metrics.append(address)
        return service.address


def _throughput(
    effort: Effort, both: Sequence[_Services], some: Sequence[bytes]
) -> Sequence[Sequence[float]]:
    photos = list(itertools.islice(itertools.cycle(some), effort.photos))

    async def rate(address: str) -> float:
        async with open_channel(address) as channel:
            return (await callers(unary(channel), photos, CALLERS)).rate

    for services in both:
        asyncio.run(rate(services.embedder))
    works = [lambda one=services: asyncio.run(rate(one.embedder)) for services in both]
    return rates(works, rounds=effort.rounds)


def _searches(effort: Effort, both: Sequence[_Services], space: str) -> Sequence[Latencies]:
    values = np.random.default_rng(8).normal(size=_DIMENSION).tolist()
    vector = index_pb2.Vector(values=values, embedding_space=space)
    request = index_pb2.FindNeighborsRequest(
        collection=ALIAS, queries=[index_pb2.Query(vector=vector)], k=K
    )
    with ExitStack() as stack:
        stubs = [
            IndexServiceStub(stack.enter_context(grpc.insecure_channel(services.index)))
            for services in both
        ]
        works = [lambda _, stub=stub: stub.FindNeighbors(request) for stub in stubs]
        return latencies(works, rounds=effort.turns, calls=effort.calls)


def _cached_queries(effort: Effort, both: Sequence[_Services], photo: bytes) -> Sequence[Latencies]:
    request = gateway_pb2.FindSimilarListingsRequest(image=photo, k=K)
    with ExitStack() as stack:
        stubs = [
            GatewayServiceStub(stack.enter_context(grpc.insecure_channel(services.gateway)))
            for services in both
        ]
        works = [lambda _, stub=stub: stub.FindSimilarListings(request) for stub in stubs]
        taken = latencies(works, rounds=effort.turns, calls=effort.calls)
        for stub in stubs:
            if not stub.FindSimilarListings(request).cached:
                raise RuntimeError("the gateway did not answer from its cache")
        return taken


def _fill(address: str, space: str, count: int) -> None:
    vectors = np.random.default_rng(7).normal(size=(count, _DIMENSION)).tolist()
    collection = index_pb2.Collection(name=_COLLECTION, embedding_space=space, dimension=_DIMENSION)
    items = [
        index_pb2.Item(
            id=f"photo-{number}",
            product_id=f"listing-{number // 2}",
            category="Home & Garden",
            vector=index_pb2.Vector(values=vector, embedding_space=space),
        )
        for number, vector in enumerate(vectors)
    ]
    with grpc.insecure_channel(address) as channel:
        stub = IndexServiceStub(channel)
        stub.CreateCollection(index_pb2.CreateCollectionRequest(collection=collection))
        for start in range(0, count, 1000):
            some = items[start : start + 1000]
            stub.BatchUpsertItems(
                index_pb2.BatchUpsertItemsRequest(collection=_COLLECTION, items=some)
            )
        stub.SetAlias(index_pb2.SetAliasRequest(name=ALIAS, collection=_COLLECTION))


class _Sink(trace_service_pb2_grpc.TraceServiceServicer):
    def Export(self, request: Any, context: Any) -> Any:
        return trace_service_pb2.ExportTraceServiceResponse()


@contextmanager
def _collector() -> Iterator[str]:
    """Takes spans and keeps none; yields its address."""
    server = grpc.server(ThreadPoolExecutor(2))
    add: Any = trace_service_pb2_grpc.add_TraceServiceServicer_to_server
    add(_Sink(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop(None).wait()


@contextmanager
def _scraped(addresses: Sequence[str]) -> Iterator[None]:
    """Asks for the metrics now and then."""
    ended = threading.Event()

    def scrape() -> None:
        while not ended.wait(_SCRAPED_EVERY_S):
            for address in addresses:
                urllib.request.urlopen(f"http://{address}/metrics").close()

    thread = threading.Thread(target=scrape)
    thread.start()
    yield
    ended.set()
    thread.join()
