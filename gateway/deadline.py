"""One request's time: how much is left, how it is split, and where it went."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lookalike.errors import DeadlineUnreachableError

# Largest share of the remaining time to reserve for a later hop.
_MOST_KEPT = 0.5
# Multiple of a later hop's median latency to reserve for it.
_MARGIN = 2
_LEAST_RETRY_MS = 50


class LatencyWindow:
    """Latencies of the last calls of a kind.

    Calls older than half a minute do not count, so a service that was slow recovers its credit.
    """

    def __init__(
        self,
        *,
        calls: int = 32,
        age_s: float = 30,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._times: deque[tuple[float, float]] = deque(maxlen=calls)
        self._age_s = age_s
        self._clock = clock

    def add(self, seconds: float) -> None:
        """Records the latency of a call that succeeded."""
        self._times.append((self._clock(), seconds))

    @property
    def fastest_s(self) -> float:
        """Latency of the fastest call; 0 if there was none."""
        return min(self._recent(), default=0.0)

    @property
    def median_s(self) -> float:
        """Median latency; 0 if there was no call."""
        return statistics.median(self._recent() or [0.0])

    def _recent(self) -> list[float]:
        oldest = self._clock() - self._age_s
        return [seconds for when, seconds in self._times if when >= oldest]


class Deadline:
    """Counts down from the caller's deadline and times each hop.

    Args:
        seconds: Time for the whole request.
    """

    def __init__(self, seconds: float) -> None:
        self._started_ns = time.perf_counter_ns()
        self._seconds = seconds
        self._spent_ns: dict[str, int] = {}
        self._open: dict[str, tuple[int, int]] = {}  # blocks open, and since when

    @property
    def remaining_s(self) -> float:
        """Seconds left; never below 0."""
        return max(0.0, self._seconds - self.total_ns / 1e9)

    @property
    def total_ns(self) -> int:
        """Nanoseconds since the request arrived."""
        return time.perf_counter_ns() - self._started_ns

    def spent_ns(self, *hops: str) -> int:
        """Returns the nanoseconds spent in hops; 0 for a hop that was not needed."""
        return sum(self._spent_ns.get(hop, 0) for hop in hops)

    def reserve_s(self, later: LatencyWindow) -> float:
        """Returns the seconds to reserve for a later hop: twice its median latency."""
        return min(_MARGIN * later.median_s, _MOST_KEPT * self.remaining_s)

    def allow_s(self, hop: str, recent: LatencyWindow, kept_s: float = 0.0) -> float:
        """Returns the seconds that a call may take.

        Args:
            hop: Name of the hop, for the error.
            recent: Latencies of such calls.
            kept_s: Seconds reserved for later hops.

        Raises:
            DeadlineUnreachableError: The fastest recent call took longer, or no time is left.
        """
        allowed, least = self.remaining_s - kept_s, recent.fastest_s
        if allowed <= 0 or allowed < least:
            raise DeadlineUnreachableError(
                f"the deadline leaves {max(0.0, allowed) * 1e3:.0f} ms to {hop}; of the last calls "
                f"the fastest took {least * 1e3:.0f} ms; set a later deadline",
                retry_after_ms=max(_LEAST_RETRY_MS, round(least * 1e3)),
            )
        return allowed

    @contextmanager
    def hop(self, name: str) -> Iterator[None]:
        """Adds the duration of its block to a hop; overlapping blocks count once."""
        inside, since = self._open.get(name, (0, 0))
        self._open[name] = inside + 1, since if inside else time.perf_counter_ns()
        try:
            yield
        finally:
            inside, since = self._open[name]
            self._open[name] = inside - 1, since
            if inside == 1:
                self._spent_ns[name] = self.spent_ns(name) + time.perf_counter_ns() - since

    def record(self, hop: str, nanoseconds: int) -> None:
        """Records a hop's duration as another service reports it; keeps the longest of several."""
        self._spent_ns[hop] = max(self.spent_ns(hop), nanoseconds)
