"""The ceiling: the same engine and decode in a loop of one process, without a server."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence

import numpy as np

from lookalike.catalogue.images import ImageLimits
from lookalike.model.engines import Engine
from lookalike.model.preprocessing import preprocess
from training.images import in_threads

BATCH = 8
_LIMITS = ImageLimits()


def overlapped_rate(engine: Engine, photos: Sequence[bytes], size: int) -> float:
    """Returns photos/s with photos decoded in threads while the engine runs."""
    started = time.perf_counter()
    pixels = in_threads(lambda photo: preprocess(photo, size, _LIMITS), photos)
    while batch := list(itertools.islice(pixels, BATCH)):
        engine.infer(np.stack(batch))
    return len(photos) / (time.perf_counter() - started)


def inference_rate(engine: Engine, photos: int, size: int) -> float:
    """Returns photos/s of the engine alone, on pixels that are there already."""
    batch = np.random.default_rng(7).integers(0, 256, (BATCH, size, size, 3), np.uint8)
    started = time.perf_counter()
    for _ in range(photos // BATCH):
        engine.infer(batch)
    return photos // BATCH * BATCH / (time.perf_counter() - started)


def seconds_of_one(engine: Engine, photo: bytes, size: int) -> float:
    """Returns the seconds of decoding and embedding one photo."""
    started = time.perf_counter()
    engine.infer(preprocess(photo, size, _LIMITS)[None])
    return time.perf_counter() - started
