"""Counts what one model did since it was loaded. Knows nothing of protos.

The counts are those of Triton's statistics extension, for whose clients they are kept:
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_statistics.md
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol


class Timed(Protocol):
    """A photo with the time of each of its stages, in nanoseconds."""

    @property
    def decode_ns(self) -> int: ...
    @property
    def queue_ns(self) -> int: ...
    @property
    def inference_ns(self) -> int: ...


@dataclass
class Total:
    """How often something was done, and how long that took together."""

    count: int = 0
    ns: int = 0

    def add(self, ns: int) -> None:
        """Adds one more."""
        self.count += 1
        self.ns += ns


@dataclass
class ModelStatistics:
    """Totals of requests, of the stages of those that succeeded, and of batches by their size.

    A request is a call, or a photo of a batch or stream that has its own outcome. Photos of one
    request are embedded side by side: each stage counts as long as it took the slowest.
    """

    photos: int = 0
    last_s: float = 0.0  # since the epoch; of the last request that succeeded
    success: Total = field(default_factory=Total)
    fail: Total = field(default_factory=Total)
    queue: Total = field(default_factory=Total)
    decode: Total = field(default_factory=Total)
    inference: Total = field(default_factory=Total)
    # Written by the engine's thread alone.
    batches: dict[int, Total] = field(default_factory=lambda: defaultdict(Total))

    @property
    def executions(self) -> int:
        """The number of batches that were run."""
        return sum(total.count for total in self.batches.copy().values())

    @contextmanager
    def request(self) -> Iterator[list[Timed]]:
        """Counts a request unless it is cancelled; its embedded photos are put into the list."""
        started, done = time.monotonic_ns(), list[Timed]()
        try:
            yield done
        except Exception:
            self.fail.add(time.monotonic_ns() - started)
            raise
        self.success.add(time.monotonic_ns() - started)
        self.last_s = time.time()
        self.photos += len(done)
        self.queue.add(max(photo.queue_ns for photo in done))
        self.decode.add(max(photo.decode_ns for photo in done))
        self.inference.add(max(photo.inference_ns for photo in done))
