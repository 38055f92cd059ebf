"""One request's time: how much is left, and where it went."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Budget:
    """Counts down from the caller's deadline and times each hop.

    Args:
        seconds: Time for the whole request.
    """

    def __init__(self, seconds: float) -> None:
        self._started_ns = time.perf_counter_ns()
        self._seconds = seconds
        self._spent_ns: dict[str, int] = {}

    @property
    def remaining_s(self) -> float:
        """Seconds left; never below 0."""
        return max(0.0, self._seconds - self.total_ns / 1e9)

    @property
    def total_ns(self) -> int:
        """Nanoseconds since the request came."""
        return time.perf_counter_ns() - self._started_ns

    def spent_ns(self, hop: str) -> int:
        """Nanoseconds spent in a hop; 0 if it was not needed."""
        return self._spent_ns.get(hop, 0)

    @contextmanager
    def hop(self, name: str) -> Iterator[None]:
        """Adds the time of its block to a hop."""
        started = time.perf_counter_ns()
        try:
            yield
        finally:
            self._spent_ns[name] = self.spent_ns(name) + time.perf_counter_ns() - started
