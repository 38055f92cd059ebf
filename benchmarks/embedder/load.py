"""Throughput and latency against offered load, as a picture."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

from benchmarks.embedder.clients import Served, arrivals, unary
from lookalike.channel import open_channel

mpl.use("agg")
from matplotlib import pyplot as plt

SHARES = (0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 2.0)
DEADLINE_S = 2.0


async def load_curve(
    address: str, photos: Sequence[bytes], ceiling: float, file: Path, *, quick: bool
) -> None:
    """Offers shares of the ceiling one after the other, and draws what came of them.

    Args:
        address: The embedder's.
        photos: What is sent.
        ceiling: Photos/s of the loop in process.
        file: The PNG.
        quick: For two seconds each instead of ten.
    """
    offered, found = [], list[Served]()
    async with open_channel(address) as channel:
        for share in SHARES[::4] if quick else SHARES:
            rate = share * ceiling
            count = max(8, round(rate * (2 if quick else 10)))
            some = list(itertools.islice(itertools.cycle(photos), count))
            offered.append(rate)
            found.append(await arrivals(unary(channel, DEADLINE_S), some, rate))
    figure, (above, below) = plt.subplots(2, 1, figsize=(7, 6), sharex=True, layout="constrained")
    above.plot(offered, [served.rate for served in found], "o-", label="embedded")
    above.plot(offered, offered, ":", color="grey", label="offered")
    above.axhline(ceiling, color="black", linewidth=0.8, label="ceiling: loop in process")
    above.set_ylabel("photos/s")
    above.set_ylim(0, ceiling * 1.3)
    above.legend()
    for share in (50, 99):
        below.plot(
            offered, [served.percentile_ms(share) for served in found], "o-", label=f"p{share}"
        )
    below.axhline(DEADLINE_S * 1e3, color="black", linewidth=0.8, label="deadline")
    below.set_ylabel("milliseconds")
    below.set_yscale("log")
    below.set_xlabel("photos offered a second")
    below.legend()
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=120)
    plt.close(figure)
