"""Decodes photos in threads: costly ones in threads of their own, where they hold up no others."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from embedder_service.scheduling import FairSlots, Priority, SchedulingKey
from lookalike.catalogue.images import Header, ImageLimits, survey
from lookalike.errors import QueueFullError
from lookalike.model.preprocessing import preprocess_surveyed

# A photo of a phone takes a tenth of either.
_COSTLY_SECONDS = 0.5
_COSTLY_BYTES = 128_000_000
# Each holds its bytes.
_MOST_WAITING = 32
# Larger files are surveyed in a thread, of its own, so that who has no time left is told at once:
# looking through one takes a millisecond for a megabyte.
_SURVEYED_AT_ONCE = 256 << 10

T = TypeVar("T")


class Decoded(NamedTuple):
    """A photo's pixels as the network takes them, and the time of decoding in nanoseconds."""

    pixels: NDArray[np.uint8]
    decode_ns: int


class PhotoDecoder:
    """Decodes photos; the caller closes it.

    Args:
        threads: Ordinary photos decoded at a time; half as many costly ones, at least one, are
            decoded beside them.
        limits: Largest photos accepted.
    """

    def __init__(self, threads: int, limits: ImageLimits) -> None:
        self._limits = limits
        costly = max(1, threads // 2)
        self._ordinary = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._costly = ThreadPoolExecutor(costly, thread_name_prefix="decode-costly")
        self._surveys = ThreadPoolExecutor(1, thread_name_prefix="survey")
        self._turns = FairSlots(costly)
        self._waiting = 0
        self._began: dict[int, float] = {}

    @property
    def running_s(self) -> float:
        """Run time of the longest decode that goes on, in seconds; 0 if there is none."""
        now = time.monotonic()
        return now - min(list(self._began.values()), default=now)

    def close(self) -> None:
        """Ends the threads once what they decode is done; what waits is given up."""
        for threads in (self._ordinary, self._costly, self._surveys):
            threads.shutdown(cancel_futures=True)

    async def survey(self, image: bytes) -> Header:
        """Returns what a photo will cost; raises as `images.survey` does."""
        if len(image) <= _SURVEYED_AT_ONCE:
            return survey(image, self._limits)
        return await self._in(self._surveys, lambda: survey(image, self._limits))

    @staticmethod
    def is_costly(photo: Header) -> bool:
        """Whether a photo is decoded beside the ordinary ones."""
        return photo.seconds > _COSTLY_SECONDS or photo.memory > _COSTLY_BYTES

    async def decode(self, photo: Header, size: int) -> Decoded:
        """Returns an ordinary photo's pixels; see `preprocess`."""
        return await self._in(self._ordinary, lambda: _decoded(photo, size))

    async def decode_costly(self, photo: Header, size: int, key: SchedulingKey) -> Decoded:
        """Returns a costly photo's pixels, when its source has its turn.

        Raises:
            QueueFullError: Too many of them wait; interactive ones only.
        """
        if key.priority is Priority.INTERACTIVE and self._waiting >= _MOST_WAITING:
            raise QueueFullError(
                f"{self._waiting} photos that take long to decode are in the service; the limit "
                f"is {_MOST_WAITING}",
                retry_after_ms=round(1e3 * self._limits.max_seconds),
            )
        self._waiting += 1
        try:
            async with self._turns.slot(key):
                return await self._in(self._costly, lambda: _decoded(photo, size))
        finally:
            self._waiting -= 1

    async def _in(self, threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        def watched() -> T:
            thread = threading.get_ident()
            self._began[thread] = time.monotonic()
            try:
                return work()
            finally:
                del self._began[thread]

        return await asyncio.get_running_loop().run_in_executor(threads, watched)


def _decoded(photo: Header, size: int) -> Decoded:
    started = time.perf_counter_ns()
    pixels = preprocess_surveyed(photo, size)
    return Decoded(pixels, time.perf_counter_ns() - started)
