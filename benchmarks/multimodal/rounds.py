"""What is measured in which order, and what becomes of it."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc

from benchmarks.embedder.clients import callers, unary
from benchmarks.embedder.model import SMALL, photos_of, served_bundle
from benchmarks.gateway.rounds import BUNDLE, unseen
from benchmarks.gateway.services import ALIAS, COLLECTION, Services
from benchmarks.multimodal.model import hostile_texts, listings, reading_bundle, titles, without
from benchmarks.processes import resident_bytes
from benchmarks.report import Figure
from benchmarks.turns import latencies, median_ratio, rates
from lookalike.catalogue.schema import TEXT_ATTRIBUTES
from lookalike.catalogue.words import cleaned
from lookalike.channel import open_channel
from lookalike.embedder.v1 import embedder_pb2
from lookalike.embedder.v1.embedder_pb2_grpc import EmbedderServiceStub
from lookalike.gateway.v1 import gateway_pb2
from lookalike.gateway.v1.gateway_pb2_grpc import GatewayServiceStub
from lookalike.index.v1 import index_pb2
from lookalike.index.v1.index_pb2_grpc import IndexServiceStub
from lookalike.serving.local_stack import ServiceProcess

READING = Path("var/bench/reading-bundle")
CALLERS = 16
_BATCH = 1000
_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Effort:
    """How much of everything."""

    rounds: int
    calls: int  # a round
    photos: int  # of each measurement of throughput
    listings: int


FULL = Effort(rounds=9, calls=60, photos=384, listings=10_000)
QUICK = Effort(rounds=2, calls=12, photos=64, listings=1_000)


def measure(*, quick: bool) -> list[Figure]:
    """Returns the figures."""
    effort = QUICK if quick else FULL
    photos = photos_of(SMALL, 64)
    plain = served_bundle(BUNDLE, photos[:32])
    reading = reading_bundle(READING, plain)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bf16 = without(reading, "int8", folder / "bf16")
        with (
            Services(plain.path, folder / "plain") as seeing,
            Services(reading.path, folder / "reading") as both,
            Services(bf16.path, folder / "halved") as halved,
        ):
            before = seeing.embedder("embedder")
            now, slower = both.embedder("embedder"), halved.embedder("embedder")
            figures = _throughput(effort, photos, before, now)
            figures += _reading(effort, now.address, slower.address)
            index = both.empty_index()
            _fill(index, now.address, effort.listings)
            gateway = both.gateway(now.address, index, "gateway").address
            figures += _through_the_gateway(effort, photos, gateway)
            figures.append(_cleaning(effort))
            figures.append(
                Figure(
                    "resident memory of the embedder after all that",
                    resident_bytes(now.pid) / 1e6,
                    "MB",
                    at_most=900,
                    note=f"without words {resident_bytes(before.pid) / 1e6:.0f}",
                )
            )
    return figures


def _throughput(
    effort: Effort, photos: Sequence[bytes], before: ServiceProcess, now: ServiceProcess
) -> list[Figure]:
    some = list(itertools.islice(itertools.cycle(photos), effort.photos))

    def rate(address: str) -> float:
        async def run() -> float:
            async with open_channel(address) as channel:
                return (await callers(unary(channel, _TIMEOUT_S), some, CALLERS)).rate

        return asyncio.run(run())

    seen, both = rates(
        [lambda: rate(before.address), lambda: rate(now.address)], rounds=max(3, effort.rounds)
    )
    return [
        Figure(f"EmbedImage, {CALLERS} callers, without a text tower", _median(seen), "photos/s"),
        Figure("the same beside a text tower / without", median_ratio(both, seen), "ratio",
               at_least=0.98),
    ]  # fmt: skip


def _reading(effort: Effort, int8: str, bf16: str) -> list[Figure]:
    texts, short = listings(1), titles(2)
    with grpc.insecure_channel(int8) as one, grpc.insecure_channel(bf16) as other:
        stub, slower = EmbedderServiceStub(one), EmbedderServiceStub(other)

        def read(reader: EmbedderServiceStub, text: str) -> object:
            outputs = ["category", "features"]
            return reader.EmbedText(embedder_pb2.EmbedTextRequest(title=text, outputs=outputs))

        empty, whole, halved, query = latencies(
            [
                lambda _: stub.GetModel(embedder_pb2.GetModelRequest()),
                lambda _: read(stub, next(texts)),
                lambda _: read(slower, next(texts)),
                lambda _: read(stub, next(short)),
            ],
            rounds=effort.rounds,
            calls=effort.calls,
        )
    return [
        Figure("EmbedText of 128 tokens less an empty call, int8, p50", whole.beyond_ms(empty),
               "ms", at_most=6),
        Figure("the same, bf16 (fp32 where a CPU has no bf16)", halved.beyond_ms(empty), "ms"),
        Figure("EmbedText of a few words less an empty call, p50", query.beyond_ms(empty), "ms"),
    ]  # fmt: skip


def _cleaning(effort: Effort) -> Figure:
    """Returns what the costliest text costs before it is read: others wait for it."""

    def taken_s(text: str) -> float:
        started = time.thread_time()
        cleaned(text, text)
        return time.thread_time() - started

    texts = hostile_texts()
    least = [min(taken_s(text) for _ in range(effort.rounds)) for text in texts]
    worst = max(range(len(texts)), key=least.__getitem__)
    name = f"cleaning the costliest of {len(texts)} hostile texts, title and description"
    return Figure(name, least[worst] * 1e3, "ms", note=repr(texts[worst][:16]))


def _through_the_gateway(effort: Effort, photos: Sequence[bytes], gateway: str) -> list[Figure]:
    fresh, texts, short = unseen(photos), listings(3), titles(4)
    with grpc.insecure_channel(gateway) as channel:
        stub = GatewayServiceStub(channel)

        def classify(title: str = "") -> object:
            request = gateway_pb2.ClassifyListingRequest(images=[next(fresh)], title=title)
            return stub.ClassifyListing(request)

        asked = gateway_pb2.FindSimilarListingsRequest
        find = stub.FindSimilarListings

        mix = gateway_pb2.Mix(
            parts=[
                gateway_pb2.MixPart(image=photos[0]),
                gateway_pb2.MixPart(text="blue", weight=0.5),
                gateway_pb2.MixPart(text="damaged", weight=-0.5),
            ]
        )
        first = find(asked(text="green velvet armchair"))
        if first.ranking != gateway_pb2.RANKING_METHOD_HYBRID or len(first.listings) != 10:
            raise RuntimeError("the gateway did not answer as it should")
        words = gateway_pb2.RANKING_METHOD_WORDS
        by_photo, by_both, by_item, by_words, by_title, by_mix = latencies(
            [
                lambda _: classify(),
                lambda _: classify(next(texts)),
                lambda _: find(asked(item_id="photo-7")),
                lambda _: find(asked(text=next(short))),
                lambda _: find(asked(text=next(short), ranking=words)),
                lambda _: find(asked(mix=mix)),
            ],
            rounds=effort.rounds,
            calls=effort.calls,
        )
    return [
        Figure("ClassifyListing by a photo, p50", by_photo.ms(), "ms"),
        Figure("128 tokens of words beside it add, p50", by_both.beyond_ms(by_photo), "ms",
               at_most=6),
        Figure(f"FindSimilarListings by item, {effort.listings:,} photos, p50", by_item.ms(),
               "ms"),
        Figure("by words, p50", by_words.ms(), "ms"),
        Figure("by words of titles and descriptions alone, p50", by_title.ms(), "ms"),
        Figure("by a known photo, one word more and one less, p50", by_mix.ms(), "ms"),
    ]  # fmt: skip


def _fill(address: str, embedder: str, count: int) -> None:
    """Adds listings whose vectors are those of their titles, and whose words can be found."""
    with grpc.insecure_channel(address) as channel, grpc.insecure_channel(embedder) as other:
        stub, reader = IndexServiceStub(channel), EmbedderServiceStub(other)
        model = reader.GetModel(embedder_pb2.GetModelRequest()).model
        collection = index_pb2.Collection(
            name=COLLECTION,
            embedding_space=model.embedding_space,
            dimension=model.outputs[0].dimension,
            features_dimension=model.outputs[1].dimension,
            text_attributes=TEXT_ATTRIBUTES,
        )
        stub.CreateCollection(index_pb2.CreateCollectionRequest(collection=collection))
        named = titles(5)
        outputs = [output.name for output in model.outputs]
        known = []
        for _ in range(min(count, 500)):
            title = next(named)
            request = embedder_pb2.EmbedTextRequest(title=title, outputs=outputs)
            known.append((title, reader.EmbedText(request).embeddings))
        items = [_item(number, *known[number % len(known)]) for number in range(count)]
        for start in range(0, count, _BATCH):
            some = items[start : start + _BATCH]
            stub.BatchUpsertItems(
                index_pb2.BatchUpsertItemsRequest(collection=COLLECTION, items=some)
            )
        stub.SetAlias(index_pb2.SetAliasRequest(name=ALIAS, collection=COLLECTION))


def _item(number: int, title: str, embeddings: Sequence[embedder_pb2.Embedding]) -> index_pb2.Item:
    first, features = embeddings
    return index_pb2.Item(
        id=f"photo-{number}",
        product_id=f"listing-{number // 2}",
        attributes={"title": title, "description": f"No longer needed, number {number}."},
        vector=index_pb2.Vector(values=first.values, embedding_space=first.embedding_space),
        features=features.values,
    )


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]
