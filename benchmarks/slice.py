"""The whole way through once: the demo's steps, one query, and a stream of photos.

Query and stream are measured beside an in-process loop of the same decode and inference, in turns
within one run, because a machine's speed drifts; the ratio is what to compare.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc
import numpy as np

from benchmarks.report import Figure
from demo.catalogue import fill
from demo.files import DemoFiles
from demo.pipeline import make_bundle
from demo.timing import Stopwatch
from lookalike.catalogue.images import ImageLimits
from lookalike.channel import open_channel
from lookalike.cpu import available_cores
from lookalike.embedder.v1 import embedder_pb2 as embedder
from lookalike.embedder.v1.embedder_pb2_grpc import EmbedderServiceStub
from lookalike.gateway.v1 import gateway_pb2 as gateway
from lookalike.gateway.v1.gateway_pb2_grpc import GatewayServiceStub
from lookalike.model import bundle as bundles
from lookalike.model.engines import Engine, load_engine
from lookalike.model.preprocessing import preprocess
from lookalike.serving.local_stack import LocalStack
from training.images import in_threads

BATCH = 8
DEMO_TARGET_S = 240


def measure(*, quick: bool) -> list[Figure]:
    """Returns the figures; `quick` trains for one epoch on a small sample."""
    with tempfile.TemporaryDirectory() as folder:
        files = DemoFiles(Path(folder))
        stopwatch = Stopwatch()
        started = time.monotonic()
        if quick:
            make_bundle(files, stopwatch, listings=60, epochs=1)
        else:
            make_bundle(files, stopwatch)
        stack = LocalStack(bundle=files.bundle, index_dir=files.index, log_dir=files.logs)
        with stopwatch.step("start services"):
            stack.start()
        try:
            with stopwatch.step("fill index"):
                fill(stack.address("gateway"), files.marketplace, files.ingest_journal)
            seconds = time.monotonic() - started
            figures = [Figure(f"demo: {name}", s, "s") for name, s in stopwatch.seconds.items()]
            figures.append(
                Figure("demo: in all", seconds, "s", at_most=None if quick else DEMO_TARGET_S)
            )
            return figures + _serving(stack, files, rounds=3 if quick else 7)
        finally:
            stack.stop()


def _serving(stack: LocalStack, files: DemoFiles, rounds: int) -> list[Figure]:
    bundle = bundles.load(files.bundle)
    threads = available_cores()
    engine = load_engine(bundle, name="openvino", precision="auto", threads=threads)
    size = bundle.manifest.preprocessing.size
    queries = [file.read_bytes() for file in sorted((files.marketplace / "queries").glob("*.jpg"))]
    photos = list(itertools.islice(itertools.cycle(queries), 512))
    single, over_gateway, loop, stream = [], [], [], []
    for _ in range(rounds):
        single.append(_median_ms(lambda photo: _embed_one(engine, photo, size), queries))
        over_gateway.append(_query_ms(stack.address("gateway"), queries))
        loop.append(_rate(lambda: _embed_in_process(engine, photos, size), len(photos)))
        stream.append(_rate(lambda: asyncio.run(_stream(stack, photos)), len(photos)))
    in_process, query = statistics.median(single), statistics.median(over_gateway)
    ratio = statistics.median(s / p for s, p in zip(stream, loop, strict=True))
    return [
        Figure("one query over the gateway, p50", query, "ms"),
        Figure("decode and inference of one photo in process, p50", in_process, "ms"),
        Figure("stream of photos, 64 in flight", statistics.median(stream), "photos/s"),
        Figure("loop in process, decode overlapped", statistics.median(loop), "photos/s"),
        Figure("stream / loop", ratio, "ratio"),
    ]


def _embed_in_process(engine: Engine, photos: list[bytes], size: int) -> None:
    limits = ImageLimits()
    pixels = in_threads(lambda photo: preprocess(photo, size, limits), photos)
    while batch := list(itertools.islice(pixels, BATCH)):
        engine.infer(np.stack(batch))


def _embed_one(engine: Engine, photo: bytes, size: int) -> None:
    engine.infer(preprocess(photo, size, ImageLimits())[None])


def _query_ms(address: str, photos: list[bytes]) -> float:
    with grpc.insecure_channel(address) as channel:
        stub = GatewayServiceStub(channel)

        def ask(photo: bytes) -> None:
            stub.FindSimilarListings(gateway.FindSimilarListingsRequest(image=photo, k=5))

        ask(photos[0])  # connects
        return _median_ms(ask, photos)


async def _stream(stack: LocalStack, photos: list[bytes]) -> None:
    async with open_channel(stack.address("embedder_service")) as channel:

        async def requests() -> AsyncIterator[embedder.StreamEmbedImagesRequest]:
            for number, photo in enumerate(photos):
                request = embedder.EmbedImageRequest(image=photo)
                yield embedder.StreamEmbedImagesRequest(id=str(number), request=request)

        answers = [
            answer async for answer in EmbedderServiceStub(channel).StreamEmbedImages(requests())
        ]
    failed = [answer for answer in answers if answer.HasField("error")]
    if failed or len(answers) != len(photos):
        raise RuntimeError(f"{len(answers)} of {len(photos)} answered, {len(failed)} failed")


def _median_ms(work: Callable[[bytes], None], photos: list[bytes]) -> float:
    times = []
    for photo in photos:
        started = time.perf_counter()
        work(photo)
        times.append((time.perf_counter() - started) * 1e3)
    return statistics.median(times)


def _rate(work: Callable[[], None], photos: int) -> float:
    started = time.perf_counter()
    work()
    return photos / (time.perf_counter() - started)
