"""What is measured in which order, and what becomes of it."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import grpc

from benchmarks.embedder.model import SMALL, photos_of, served_bundle
from benchmarks.gateway import bulk
from benchmarks.gateway.page import first_view
from benchmarks.gateway.services import ALIAS, Services, calls_of
from benchmarks.report import Figure
from benchmarks.turns import latencies
from lookalike.embedder.v1 import embedder_pb2
from lookalike.embedder.v1.embedder_pb2_grpc import EmbedderServiceStub
from lookalike.gateway.v1 import gateway_pb2
from lookalike.gateway.v1.gateway_pb2_grpc import GatewayServiceStub
from lookalike.index.v1 import index_pb2
from lookalike.index.v1.index_pb2_grpc import IndexServiceStub

BUNDLE = Path("var/bench/bundle")
K = 10
CALLERS = 16


@dataclass(frozen=True)
class Effort:
    """How much of everything."""

    rounds: int
    calls: int  # a round
    listings: int
    shared: int  # photos that two embedders share
    bulk: int  # photos of one bulk run


FULL = Effort(rounds=9, calls=100, listings=10_000, shared=600, bulk=768)
QUICK = Effort(rounds=2, calls=15, listings=1_000, shared=80, bulk=96)


def measure(*, quick: bool) -> list[Figure]:
    """Returns the figures."""
    effort = QUICK if quick else FULL
    photos = photos_of(SMALL, 64)
    bundle = served_bundle(BUNDLE, photos[:32])
    with tempfile.TemporaryDirectory() as folder, Services(bundle.path, Path(folder)) as services:
        first, second = services.embedder("embedder-1"), services.embedder("embedder-2")
        index = services.index(bundle.manifest.embedding_space, effort.listings)
        gateway = services.gateway(first.address, index, "gateway")
        figures = _one_query(effort, photos, first.address, index, gateway.address)
        both = services.gateway(f"{first.address},{second.address}", index, "gateway-of-two")
        before = [calls_of(pod, "EmbedImage") for pod in (first, second)]
        _classify(both.address, itertools.islice(unseen(photos), effort.shared))
        after = [calls_of(pod, "EmbedImage") for pod in (first, second)]
        shares = [b - a for a, b in zip(before, after, strict=True)]
        figures.append(
            Figure(
                "two embedders: the busier one's photos beyond its half",
                max(shares) / (sum(shares) / 2) - 1,
                "ratio",
                at_most=0.1,
                note=f"{shares[0]} and {shares[1]}",
            )
        )
        rounds = max(2, effort.rounds // 2)
        figures += bulk.measure(first.address, photos, rounds=rounds, count=effort.bulk)
        figures.append(first_view(gateway))
    return figures


def unseen(photos: Sequence[bytes]) -> Iterator[bytes]:
    """Yields photos of bytes that never came before, and that decode to the same pixels."""
    for number in itertools.count():
        # What follows a JPEG's end is not looked at.
        yield photos[number % len(photos)] + b"unseen" + number.to_bytes(8)


def _one_query(
    effort: Effort, photos: Sequence[bytes], embedder: str, index: str, gateway: str
) -> list[Figure]:
    fresh = unseen(photos)
    with (
        grpc.insecure_channel(embedder) as to_embedder,
        grpc.insecure_channel(index) as to_index,
        grpc.insecure_channel(gateway) as to_gateway,
    ):
        embedders, indexes = EmbedderServiceStub(to_embedder), IndexServiceStub(to_index)
        gateways = GatewayServiceStub(to_gateway)

        def embed() -> embedder_pb2.Embedding:
            request = embedder_pb2.EmbedImageRequest(image=next(fresh))
            return embedders.EmbedImage(request).embeddings[0]

        def search(near: embedder_pb2.Embedding) -> None:
            vector = index_pb2.Vector(values=near.values, embedding_space=near.embedding_space)
            query = index_pb2.Query(vector=vector)
            request = index_pb2.FindNeighborsRequest(
                collection=ALIAS, queries=[query], k=K, distinct_products=True
            )
            indexes.FindNeighbors(request)

        def ask(photo: bytes) -> gateway_pb2.FindSimilarListingsResponse:
            request = gateway_pb2.FindSimilarListingsRequest(image=photo, k=K)
            return gateways.FindSimilarListings(request)

        found = embed()
        whole, both, embedded, searched, cached = latencies(
            [
                lambda _: ask(next(fresh)),
                lambda _: search(embed()),
                lambda _: embed(),
                lambda _: search(found),
                lambda _: ask(photos[0]),
            ],
            rounds=effort.rounds,
            calls=effort.calls,
        )
        if len(ask(photos[0]).listings) != K or not ask(photos[0]).cached:
            raise RuntimeError("the gateway did not answer as it should")
    parts = [embedded.ms(), searched.ms()]
    return [
        Figure("FindSimilarListings by a photo, p50", whole.ms(), "ms"),
        Figure("EmbedImage alone, p50", parts[0], "ms"),
        Figure("FindNeighbors alone, p50", parts[1], "ms"),
        Figure("that less both", whole.ms() - sum(parts), "ms", at_most=2),
        Figure(
            "that less a caller's own calls of both, one after the other",
            whole.beyond_ms(both),
            "ms",
            at_most=2,
            note="a search is slower after an embedding than after a search",
        ),
        Figure("by a photo that is cached, p50", cached.ms(), "ms", at_most=3),
    ]


def _classify(gateway: str, photos: Iterator[bytes]) -> None:
    with grpc.insecure_channel(gateway) as channel, ThreadPoolExecutor(CALLERS) as pool:
        stub = GatewayServiceStub(channel)

        def ask(photo: bytes) -> None:
            stub.ClassifyImage(gateway_pb2.ClassifyImageRequest(image=photo))

        list(pool.map(ask, photos))
