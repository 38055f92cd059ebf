"""The client's `embed_many` beside a bare stream to the same embedder."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from collections.abc import Sequence

from benchmarks.embedder.clients import stream
from benchmarks.report import Figure
from benchmarks.turns import median_ratio, rates
from lookalike import AsyncClient, Client, Embedding
from lookalike.channel import open_channel


def measure(embedder: str, some: Sequence[bytes], *, rounds: int, count: int) -> list[Figure]:
    """Returns rates and their ratios; connecting is within each client's time."""
    photos = list(itertools.islice(itertools.cycle(some), count))
    bare, blocking, tasks = rates(
        [
            lambda: asyncio.run(_bare(embedder, photos)),
            lambda: _blocking(embedder, photos),
            lambda: asyncio.run(_tasks(embedder, photos)),
        ],
        rounds=rounds,
    )
    return [
        Figure("bare stream, 64 in flight", statistics.median(bare), "photos/s"),
        Figure("Client.embed_many", statistics.median(blocking), "photos/s"),
        Figure("AsyncClient.embed_many", statistics.median(tasks), "photos/s"),
        Figure(
            "Client.embed_many / bare stream", median_ratio(blocking, bare), "ratio", at_least=0.9
        ),
        Figure(
            "AsyncClient.embed_many / bare stream",
            median_ratio(tasks, bare),
            "ratio",
            at_least=0.9,
        ),
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
