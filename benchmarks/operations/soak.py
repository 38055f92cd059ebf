"""Half an hour of calls: memory and file descriptors of each service stay as they are."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.operations.fleet import Fleet, benchmark_fleet
from benchmarks.operations.load import Load
from benchmarks.processes import resident_bytes
from benchmarks.report import Figure
from lookalike.serving.local_stack import ServiceProcess

Numbers: TypeAlias = NDArray[np.float64]

# Of the time, before what counts: caches fill, allocators grow to what they need.
_WARMING = 1 / 3
_EVERY_S = 1.0
# The gateway's cache of vectors, and the index's of items; by default they would fill up for hours.
_CACHE_BYTES, _CACHED_ITEMS = 1 << 20, 2000


def measure(*, quick: bool) -> list[Figure]:
    """Soaks for thirty minutes; for one if `quick`."""
    with benchmark_fleet() as (fleet, photos):
        return soaked(fleet, photos, seconds=60.0 if quick else 1800.0)


def soaked(
    fleet: Fleet, photos: Sequence[bytes], *, seconds: float, rate: float = 40.0
) -> list[Figure]:
    """Calls for so long; fits a line through what each process holds after the warm-up."""
    embedder, index = fleet.embedder(), fleet.index(max_cached_items=_CACHED_ITEMS)
    gateway = fleet.gateway(embedder.address, index.address, cache_bytes=_CACHE_BYTES)
    services = (embedder, index, gateway)
    with Load(gateway.address, photos, rate=rate, listings=500) as load:
        began = time.monotonic()
        samples = list(_samples(services, began, seconds))
        outcome = load.since(began)
    figures = [
        Figure(
            f"{seconds / 60:g} minutes: failed",
            len(outcome.failed),
            "calls",
            at_most=0,
            note=str(outcome),
        )
    ]
    measured_s = seconds * (1 - _WARMING)
    moments, values = np.array([at for at, _ in samples]), np.array([row for _, row in samples])
    settled = moments >= seconds * _WARMING
    for service, columns in zip(services, values[settled].transpose(1, 2, 0), strict=True):
        megabytes, descriptors = columns[0] / 1e6, columns[1]
        grown = _slope(moments[settled], megabytes) * measured_s
        more = _slope(moments[settled], descriptors) * measured_s
        figures += [
            Figure(f"  {service.module}: resident at the end", float(megabytes[-1]), "MB"),
            Figure(
                "    growth after the warm-up, by regression",
                100 * grown / float(megabytes.mean()),
                "%",
                at_most=2,
                note=f"{grown:+.1f} MB in {measured_s / 60:.2g} minutes",
            ),
            Figure(
                "    file descriptors, likewise",
                more,
                "descriptors",
                at_most=1,
                note=f"{descriptors.min():g} to {descriptors.max():g}",
            ),
        ]
    return figures


def _samples(
    services: Sequence[ServiceProcess], began: float, seconds: float
) -> Iterator[tuple[float, list[tuple[int, int]]]]:
    """Yields bytes and descriptors of each service, with the seconds since the beginning."""
    while (at := time.monotonic() - began) < seconds:
        yield at, [(resident_bytes(one.pid), _descriptors(one.pid)) for one in services]
        time.sleep(_EVERY_S)


def _descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _slope(moments: Numbers, values: Numbers) -> float:
    """Returns the growth a second of the line with the least squares."""
    return float(np.polyfit(moments, values, 1)[0])
