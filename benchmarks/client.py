"""The client's `embed_many` beside a bare stream to the same embedder, in turns within one run."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.embedder.clients import stream
from benchmarks.embedder.model import SMALL, photos_of, served_bundle
from benchmarks.embedder.rounds import BUNDLE
from benchmarks.embedder.servers import Servers
from benchmarks.report import Figure
from lookalike import AsyncClient, Client, Embedding
from lookalike.channel import open_channel

AT_LEAST = 0.9


def measure(*, quick: bool) -> list[Figure]:
    """Returns the figures; callers and embedder share the machine's cores."""
    rounds, count = (1, 96) if quick else (9, 768)
    some = photos_of(SMALL, 64)
    photos = list(itertools.islice(itertools.cycle(some), count))
    bundle = served_bundle(BUNDLE, some[:32])
    bare, blocking, tasks = [], [], []
    with tempfile.TemporaryDirectory() as folder, Servers(bundle.path, Path(folder)) as servers:
        address = servers.embedder()
        asyncio.run(_bare(address, some))  # warms up
        for _ in range(rounds):
            bare.append(asyncio.run(_bare(address, photos)))
            blocking.append(_blocking(address, photos))
            tasks.append(asyncio.run(_tasks(address, photos)))
    return [
        Figure("bare stream, 64 in flight", statistics.median(bare), "photos/s"),
        Figure("Client.embed_many", statistics.median(blocking), "photos/s"),
        Figure("AsyncClient.embed_many", statistics.median(tasks), "photos/s"),
        _ratio("Client / bare stream", blocking, bare),
        _ratio("AsyncClient / bare stream", tasks, bare),
    ]


async def _bare(address: str, photos: Sequence[bytes]) -> float:
    async with open_channel(address) as channel:
        return (await stream(channel, photos)).rate


def _blocking(address: str, photos: Sequence[bytes]) -> float:
    started = time.perf_counter()
    with Client(embedder=address) as client:
        outcomes = [outcome for _, outcome in client.embed_many(enumerate(photos))]
    return _rate(outcomes, started)


async def _tasks(address: str, photos: Sequence[bytes]) -> float:
    started = time.perf_counter()
    async with AsyncClient(embedder=address) as client:
        outcomes = [outcome async for _, outcome in client.embed_many(enumerate(photos))]
    return _rate(outcomes, started)


def _rate(outcomes: Sequence[object], started: float) -> float:
    seconds = time.perf_counter() - started
    failed = [outcome for outcome in outcomes if not isinstance(outcome, Embedding)]
    if failed:
        raise RuntimeError(f"{len(failed)} of {len(outcomes)} failed: {failed[0]}")
    return len(outcomes) / seconds


def _ratio(name: str, rates: Sequence[float], of: Sequence[float]) -> Figure:
    ratio = statistics.median(rate / other for rate, other in zip(rates, of, strict=True))
    return Figure(name, ratio, "ratio", at_least=AT_LEAST)
