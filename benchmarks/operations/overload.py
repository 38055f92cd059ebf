"""Ten times the callers that an embedder can serve: it serves as many as before."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.embedder.clients import Served, patient_callers
from benchmarks.embedder.model import SMALL, photos_of, served_bundle
from benchmarks.embedder.rounds import BUNDLE, CALLERS, DEADLINE_S
from benchmarks.embedder.servers import Servers
from benchmarks.report import Figure
from lookalike.channel import open_channel

TIMES = 10


def measure(*, quick: bool) -> list[Figure]:
    """Overloads for a minute; for eight seconds if `quick`."""
    photos = photos_of(SMALL, 64)
    bundle = served_bundle(BUNDLE, photos[:32])
    with tempfile.TemporaryDirectory() as folder, Servers(bundle.path, Path(folder)) as servers:
        return overloaded(servers.embedder(), photos, seconds=8.0 if quick else 60.0)


def overloaded(address: str, photos: Sequence[bytes], *, seconds: float) -> list[Figure]:
    """Compares the goodput with the mean of the peaks before and after."""

    def run(callers: int, seconds: float) -> Served:
        async def on_channel() -> Served:
            async with open_channel(address) as channel:
                return await patient_callers(
                    channel, photos, callers, deadline_s=DEADLINE_S, seconds=seconds
                )

        return asyncio.run(on_channel())

    run(CALLERS, 2)  # warm
    before = run(CALLERS, seconds / 2)
    over = run(TIMES * CALLERS, seconds)
    after = run(CALLERS, seconds / 2)
    peak = (before.rate + after.rate) / 2
    expected = ("RESOURCE_EXHAUSTED ", "DEADLINE_EXCEEDED ")
    others = sum(n for reason, n in over.refused.items() if not reason.startswith(expected))
    told = ", ".join(f"{count:,} {reason}" for reason, count in sorted(over.refused.items()))
    return [
        Figure(f"peak: {CALLERS} callers", peak, "photos/s"),
        Figure(
            f"goodput of {TIMES * CALLERS} callers for {seconds:g} s / peak",
            over.rate / peak,
            "ratio",
            at_least=0.95,
        ),
        Figure("  p99 of what was accepted", over.percentile_ms(99), "ms", DEADLINE_S * 1e3),
        Figure("  failed but for lack of time or room", others, "calls", 0, note=told),
    ]
