"""What is measured in which order, and what becomes of it."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from benchmarks.index import large, ranking, sizes, small, words, writes
from benchmarks.index.effort import FULL, QUICK, Effort
from benchmarks.index.photos import Photos, base_vectors
from benchmarks.report import Figure

# Under the repository, because a system's temporary files may be in memory, where a durable write
# costs nothing.
FOLDER = Path("var/bench")

T = TypeVar("T")


def measure(*, quick: bool) -> list[Figure]:
    """Returns the figures; writes var/bench/index.png."""
    # Not at the top: the process that writes would wait for all that it needs.
    from benchmarks.index.plot import draw

    effort = QUICK if quick else FULL
    base, what = base_vectors()
    photos = Photos(base)
    print(f"{what}, and others like them", file=sys.stderr)
    FOLDER.mkdir(parents=True, exist_ok=True)
    figures = []
    for part in (small.measure, writes.measure, ranking.measure, words.measure, large.measure):
        with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
            figures += _timed(part, effort, photos, Path(folder))
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        found, costs = _timed(sizes.measure, effort, photos, Path(folder))
    empty_ms = next(figure.value for figure in figures if figure.name == small.EMPTY_CALL)
    draw(costs, empty_ms, FOLDER / "index.png")
    return figures + found


def _timed(
    part: Callable[[Effort, Photos, Path], T], effort: Effort, photos: Photos, folder: Path
) -> T:
    """Returns what the part measures; says how long that took, as the whole takes a while."""
    started = time.monotonic()
    found = part(effort, photos, folder)
    print(f"{part.__module__}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    return found
