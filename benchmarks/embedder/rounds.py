"""What is measured in which order, and what becomes of it."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.embedder import in_process
from benchmarks.embedder.clients import (
    Served,
    callers,
    patient_callers,
    stream,
    unary,
)
from benchmarks.embedder.load import load_curve
from benchmarks.embedder.model import LARGE, SIZE, SMALL, photos_of, served_bundle
from benchmarks.embedder.servers import Servers
from benchmarks.http_client import poster
from benchmarks.processes import resident_bytes
from benchmarks.report import Figure
from lookalike.channel import open_channel
from lookalike.cpu import available_cores
from lookalike.model.engines import Engine, load_engine

CALLERS = 32
DEADLINE_S = 2.0
BUNDLE = Path("var/bench/bundle")


@dataclass(frozen=True)
class Effort:
    """How much of everything."""

    rounds: int
    photos: int  # of each measurement
    single: int  # calls of a lone caller
    overload_s: float
    soak: int  # requests


FULL = Effort(rounds=5, photos=768, single=150, overload_s=20, soak=100_000)
QUICK = Effort(rounds=1, photos=96, single=20, overload_s=4, soak=400)


def measure(*, quick: bool) -> list[Figure]:
    """Returns the figures; writes var/bench/embedder.png."""
    effort = QUICK if quick else FULL
    small = photos_of(SMALL, 64)
    bundle = served_bundle(BUNDLE, small[:32])
    cores = available_cores()
    engine = load_engine(bundle, name="openvino", precision="int8", threads=cores)
    with tempfile.TemporaryDirectory() as folder, Servers(bundle.path, Path(folder)) as servers:
        servers.embedder()  # compiles
        started = time.perf_counter()
        embedder = servers.embedder()
        restart_s = time.perf_counter() - started
        figures = _rates(effort, engine, embedder, small, "")
        figures += _rates(effort, engine, embedder, photos_of(LARGE, 8), ", 12 megapixels")
        figures += _single_caller(effort, engine, embedder, small)
        figures += _against(effort, servers, embedder, small)
        figures += _overload(effort, embedder, small)
        curve = Path("var/bench/embedder.png")
        asyncio.run(load_curve(embedder, small, figures[1].value, curve, quick=quick))
        figures += _soak(effort, servers, embedder, small)
        figures.append(Figure("stopped and ready again", restart_s, "s", at_most=3))
    return figures


def _rates(
    effort: Effort, engine: Engine, address: str, some: Sequence[bytes], what: str
) -> list[Figure]:
    count = effort.photos if not what else max(16, effort.photos // 8)
    photos = list(itertools.islice(itertools.cycle(some), count))
    alone, ceiling, streamed, called = [], [], [], []
    for _ in range(effort.rounds):
        alone.append(in_process.inference_rate(engine, count, SIZE))
        ceiling.append(in_process.overlapped_rate(engine, photos, SIZE))
        streamed.append(_on_channel(address, lambda channel: stream(channel, photos)).rate)
        called.append(_unary(address, photos).rate)
    small = not what
    return [
        Figure(f"engine alone, int8{what}", statistics.median(alone), "photos/s"),
        Figure(f"ceiling: loop in process{what}", statistics.median(ceiling), "photos/s"),
        Figure(f"stream, 64 in flight{what}", statistics.median(streamed), "photos/s"),
        Figure(f"EmbedImage, {CALLERS} callers{what}", statistics.median(called), "photos/s"),
        Figure(
            f"ceiling / engine alone{what}",
            _ratio(ceiling, alone),
            "ratio",
            at_least=0.85 if small else None,
        ),
        Figure(f"stream / ceiling{what}", _ratio(streamed, ceiling), "ratio", at_least=0.96),
        Figure(f"EmbedImage / ceiling{what}", _ratio(called, ceiling), "ratio", at_least=0.93),
    ]


def _single_caller(
    effort: Effort, engine: Engine, address: str, photos: Sequence[bytes]
) -> list[Figure]:
    differences, medians = [], []
    for _ in range(effort.rounds):
        chosen = list(itertools.islice(itertools.cycle(photos), effort.single))
        alone = statistics.median(
            in_process.seconds_of_one(engine, photo, SIZE) for photo in chosen
        )
        called = _unary(address, chosen, 1)
        medians.append(called.percentile_ms(50))
        differences.append(called.percentile_ms(50) - alone * 1e3)
    return [
        Figure("a single caller, p50", statistics.median(medians), "ms"),
        Figure("that less decode and inference", statistics.median(differences), "ms", at_most=1.2),
    ]


def _against(effort: Effort, servers: Servers, address: str, some: Sequence[bytes]) -> list[Figure]:
    photos = list(itertools.islice(itertools.cycle(some), effort.photos))
    mosec = servers.mosec()
    ours, theirs, ours_alone, theirs_alone = [], [], [], []
    for _ in range(effort.rounds):
        ours.append(_unary(address, photos))
        theirs.append(_posted(mosec, "/inference", photos))
        ours_alone.append(_unary(address, photos[: effort.single], 1))
        theirs_alone.append(_posted(mosec, "/inference", photos[: effort.single], 1))
    servers.stop_mosec()
    fastapi, slow, beside = servers.fastapi(), [], []
    for _ in range(effort.rounds):
        slow.append(_posted(fastapi, "/embed", photos[: len(photos) // 4]))
        beside.append(_unary(address, photos))
    servers.stop_fastapi()

    def of(figure: Callable[[Served], float], runs: Sequence[Served]) -> list[float]:
        return [figure(run) for run in runs]

    def rate(run: Served) -> float:
        return run.rate

    def p50(run: Served) -> float:
        return run.percentile_ms(50)

    def p99(run: Served) -> float:
        return run.percentile_ms(99)

    return [
        Figure("FastAPI and torch eager", statistics.median(of(rate, slow)), "photos/s"),
        Figure(
            "ours / FastAPI and torch",
            _ratio(of(rate, beside), of(rate, slow)),
            "ratio",
            at_least=7,
        ),
        Figure("mosec, the same engine", statistics.median(of(rate, theirs)), "photos/s"),
        Figure("ours / mosec", _ratio(of(rate, ours), of(rate, theirs)), "ratio", at_least=1.08),
        Figure("p99, ours / mosec", _ratio(of(p99, ours), of(p99, theirs)), "ratio", at_most=1),
        Figure(
            "a single caller's p50, ours / mosec",
            _ratio(of(p50, ours_alone), of(p50, theirs_alone)),
            "ratio",
            at_most=0.7,
        ),
    ]


def _overload(effort: Effort, address: str, photos: Sequence[bytes]) -> list[Figure]:
    def run(count: int) -> Served:
        return _on_channel(
            address,
            lambda channel: patient_callers(
                channel, photos, count, deadline_s=DEADLINE_S, seconds=effort.overload_s
            ),
        )

    pairs = [(run(CALLERS), run(10 * CALLERS)) for _ in range(effort.rounds)]
    ratio = statistics.median(over.rate / peak.rate for peak, over in pairs)
    p99 = statistics.median(over.percentile_ms(99) for _, over in pairs)
    refused = sum(sum(over.refused.values()) for _, over in pairs)
    asked = refused + sum(len(over.latencies) for _, over in pairs)
    return [
        Figure(f"goodput at {10 * CALLERS} callers / at {CALLERS}", ratio, "ratio", at_least=0.95),
        Figure("p99 of what was accepted then", p99, "ms", at_most=DEADLINE_S * 1e3),
        Figure("refused then, of all calls", refused / asked, "ratio"),
    ]


def _soak(effort: Effort, servers: Servers, address: str, some: Sequence[bytes]) -> list[Figure]:
    quarter = list(itertools.islice(itertools.cycle(some), effort.soak // 4))
    memory = []
    for _ in range(4):
        _unary(address, quarter)
        memory.append(resident_bytes(servers.embedder_pid) / 1e6)
    growth = memory[3] - memory[1]
    return [
        Figure(f"resident after {effort.soak:,} calls", memory[3], "MB", at_most=600),
        Figure("growth in the second half of them", growth, "MB", at_most=5),
    ]


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=True))


def _unary(address: str, photos: Sequence[bytes], count: int = CALLERS) -> Served:
    return _on_channel(address, lambda channel: callers(unary(channel), photos, count))


def _posted(address: str, path: str, photos: Sequence[bytes], count: int = CALLERS) -> Served:
    async def run() -> Served:
        return await callers(poster(address, path, count), photos, count)

    return asyncio.run(run())


def _on_channel(address: str, work: Callable[..., object]) -> Served:
    async def run() -> Served:
        async with open_channel(address) as channel:
            served: Served = await work(channel)  # type: ignore[misc]
            return served

    return asyncio.run(run())
