"""Measures several things in turns, because a machine's speed drifts. Knows nothing of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Call = Callable[[int], object]  # gets the number of the call in its round


@dataclass(frozen=True)
class Latencies:
    """What calls took.

    Attributes:
        rounds: Seconds of each call, one sequence a round.
    """

    rounds: Sequence[Sequence[float]]

    def ms(self, percentile: float = 50) -> float:
        """Returns the median over the rounds of a percentile, in milliseconds."""
        return statistics.median(self._percentiles(percentile)) * 1e3

    def over(self, other: Latencies, percentile: float = 50) -> float:
        """Returns the median over the rounds of a percentile's ratio to that of another."""
        return median_ratio(self._percentiles(percentile), other._percentiles(percentile))

    def beyond_ms(self, other: Latencies, percentile: float = 50) -> float:
        """Returns the median over the rounds of a percentile less that of another."""
        pairs = zip(self._percentiles(percentile), other._percentiles(percentile), strict=True)
        return statistics.median(one - two for one, two in pairs) * 1e3

    def _percentiles(self, percentile: float) -> list[float]:
        return [float(np.percentile(seconds, percentile)) for seconds in self.rounds]


def latencies(works: Sequence[Call], *, rounds: int, calls: int) -> list[Latencies]:
    """Calls each so many times a round, one after the other; returns what each took.

    Every other round goes backwards, so that none is always the one that comes first. A round
    before them does not count: it connects, and has what is asked for read from the disk.
    """
    for work in works:
        _seconds(work, calls)
    taken: list[list[list[float]]] = [[] for _ in works]
    for number in range(rounds):
        places = range(len(works)) if number % 2 == 0 else reversed(range(len(works)))
        for place in places:
            taken[place].append(_seconds(works[place], calls))
    return [Latencies(of_one) for of_one in taken]


def rates(works: Sequence[Callable[[], float]], *, rounds: int) -> list[list[float]]:
    """Has each measure its rate once a round, likewise; returns the rates of each."""
    taken: list[list[float]] = [[] for _ in works]
    for number in range(rounds):
        places = range(len(works)) if number % 2 == 0 else reversed(range(len(works)))
        for place in places:
            taken[place].append(works[place]())
    return taken


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Returns the median of the ratios of neighbours."""
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=True))


def paced(work: Call, rate: float, going: Callable[[], bool]) -> list[float]:
    """Returns the seconds of calls that come at a rate, for as long as `going` says so.

    A call that could not begin when it was due, because the one before took too long, counts from
    when it was due: callers who do not wait for each other would have felt that.
    """
    taken: list[float] = []
    due = time.perf_counter()
    while going():
        late = time.perf_counter() > due
        if not late:
            time.sleep(due - time.perf_counter())
        begun = due if late else time.perf_counter()
        work(len(taken))
        taken.append(time.perf_counter() - begun)
        due += 1 / rate
    return taken


def _seconds(work: Call, calls: int) -> list[float]:
    taken = []
    for number in range(calls):
        started = time.perf_counter()
        work(number)
        taken.append(time.perf_counter() - started)
    return taken
