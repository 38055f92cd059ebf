"""Searches for the photos that take longest, and measures them as large as they are permitted."""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.outside.photos import CHOICES, Recipe
from lookalike.catalogue.images import ImageLimits, decode, survey
from lookalike.errors import LookalikeError

LIMITS = ImageLimits()
FIT = 224
_SEARCHED_PIXELS = 1_000_000
# Of photos that one holds beside the pixels; see `docs/embedder.md`.
_ALONE = """\
import sys, time
from pathlib import Path
from lookalike.catalogue.images import ImageLimits, decode, survey

def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024

data = Path(sys.argv[1]).read_bytes()
decode(Path(sys.argv[2]).read_bytes(), ImageLimits(), fit=224)  # what is loaded once
Path("/proc/self/clear_refs").write_text("5")
before, started = peak(), time.process_time()
try:
    decode(data, ImageLimits(), fit=224)
except Exception:
    pass  # refused after its decoder had worked: as dear
seconds, taken = time.process_time() - started, peak() - before - len(data)
print(seconds, taken, survey(data, ImageLimits()).pixels)
"""


@dataclass(frozen=True)
class Found:
    """The costliest photo of a format: what it took as large as the bounds let it be."""

    recipe: Recipe
    photo: bytes
    seconds: float
    told_seconds: float
    bytes_per_pixel: float
    told_bytes_per_pixel: float


def search(kind: str, seconds: float, seed: int = 7) -> Recipe:
    """Returns the recipe whose photo takes most of the time that it is told to, by climbing.

    Args:
        kind: Format.
        seconds: How long to search.
        seed: Of its choices.
    """
    dice = random.Random(seed)
    until = time.monotonic() + seconds
    best, most = Recipe(kind, CHOICES[kind][0][-1]), -1.0
    here, reached = best, -1.0
    while time.monotonic() < until:
        there = here.changed(dice)
        share = _share(there)
        # Now and then from elsewhere: the hill that one stands on may be a low one.
        if share > reached or dice.random() < 0.05:
            here, reached = there, share
        if share > most:
            best, most = there, share
    return best


def measured(recipe: Recipe) -> Found:
    """Measures a recipe's photo, in a process of its own, as large as it is taken."""
    photo = largest(recipe)
    told = survey(photo, LIMITS)
    with tempfile.TemporaryDirectory() as folder:
        file, small = Path(folder) / "photo", Path(folder) / "small"
        file.write_bytes(photo)
        small.write_bytes(recipe.make(1000))
        command = [sys.executable, "-c", _ALONE, str(file), str(small)]
        ran = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, taken, pixels = map(float, ran.stdout.split())
    return Found(recipe, photo, seconds, told.seconds, taken / pixels, told.bytes_per_pixel)


def largest(recipe: Recipe) -> bytes:
    """Returns a recipe's photo about as large as the limits let it be."""
    photo = recipe.make(_SEARCHED_PIXELS)
    told = survey(photo, ImageLimits(max_seconds=100))
    share = max(
        told.pixels / LIMITS.max_pixels,
        told.memory / LIMITS.max_memory,
        told.seconds / LIMITS.max_seconds,
        told.size / LIMITS.max_bytes,
    )
    pixels = told.pixels / share
    while pixels > _SEARCHED_PIXELS:
        larger = recipe.make(int(pixels * 0.98))
        with suppress(LookalikeError):
            survey(larger, LIMITS)
            return larger
        pixels *= 0.9
    return photo


def _share(recipe: Recipe) -> float:
    """Returns what share of the time that it is told to take a small photo takes."""
    try:
        photo = recipe.make(_SEARCHED_PIXELS)
        told = survey(photo, ImageLimits(max_seconds=100)).seconds
    except (LookalikeError, ValueError, OSError):
        return 0.0  # no such photo can be made, or it is refused
    started = time.process_time()
    with suppress(LookalikeError):
        decode(photo, ImageLimits(max_seconds=100), fit=FIT)
    return (time.process_time() - started) / told
