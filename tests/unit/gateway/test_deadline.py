"""How a request's time is counted down and told apart by hop, by a clock of the test's own."""

from __future__ import annotations

from contextlib import suppress

import pytest

from gateway.deadline import Deadline, LatencyWindow
from lookalike.errors import DeadlineUnreachableError


class Clock:
    """Stands still until told."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000_000_000

    def __call__(self) -> int:
        return self.now_ns

    def go(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("gateway.deadline.time.perf_counter_ns", clock)
    return clock


def test_time_left_counts_down_from_the_start_and_ends_at_zero(clock: Clock) -> None:
    deadline = Deadline(2)
    assert (deadline.remaining_s, deadline.total_ns) == (2, 0)
    clock.go(0.5)
    assert (deadline.remaining_s, deadline.total_ns) == (1.5, 500_000_000)
    clock.go(1.5)
    assert deadline.remaining_s == 0
    clock.go(3)
    assert (deadline.remaining_s, deadline.total_ns) == (0, 5_000_000_000)


def test_deadline_that_has_passed_already_leaves_no_time(clock: Clock) -> None:
    assert Deadline(-1).remaining_s == 0
    assert Deadline(0).remaining_s == 0


def test_each_hop_has_its_own_time_and_several_visits_add_up(clock: Clock) -> None:
    deadline = Deadline(60)
    for seconds in (1, 2):
        with deadline.hop("embed"):
            clock.go(seconds)
        clock.go(10)
    with deadline.hop("search"):
        clock.go(5)
    assert deadline.spent_ns("embed") == 3_000_000_000
    assert deadline.spent_ns("search") == 5_000_000_000
    assert deadline.total_ns == 28_000_000_000


def test_hop_that_was_not_needed_took_no_time(clock: Clock) -> None:
    assert Deadline(60).spent_ns("search") == 0


def test_hop_that_fails_counts_too(clock: Clock) -> None:
    deadline = Deadline(60)
    with suppress(KeyError), deadline.hop("search"):
        clock.go(4)
        raise KeyError
    assert deadline.spent_ns("search") == 4_000_000_000


def test_hop_that_several_are_in_at_once_counts_once(clock: Clock) -> None:
    deadline = Deadline(60)
    first, second = deadline.hop("embed"), deadline.hop("embed")
    first.__enter__()
    clock.go(1)
    second.__enter__()
    clock.go(2)
    first.__exit__(None, None, None)
    clock.go(4)
    second.__exit__(None, None, None)
    assert deadline.spent_ns("embed") == 7_000_000_000


def test_of_what_another_service_says_of_several_photos_the_longest_is_kept() -> None:
    deadline = Deadline(60)
    for nanoseconds in (3, 9, 5):
        deadline.record("decode", nanoseconds)
    assert deadline.spent_ns("decode") == 9


def recent(clock: Clock, *seconds: float) -> LatencyWindow:
    times = LatencyWindow(clock=lambda: clock.now_ns / 1e9)
    for each in seconds:
        times.add(each)
    return times


def test_call_may_take_what_is_left_but_for_what_is_kept_back(clock: Clock) -> None:
    deadline = Deadline(10)
    clock.go(2)
    assert deadline.allow_s("embed", recent(clock)) == 8
    assert deadline.allow_s("embed", recent(clock, 1, 7), kept_s=3) == 5


@pytest.mark.parametrize(("seconds", "kept_s"), [(0, 0), (-1, 0), (2, 0), (4, 1.5), (3, 3)])
def test_call_that_cannot_make_it_is_refused_at_once(
    clock: Clock, seconds: float, kept_s: float
) -> None:
    with pytest.raises(DeadlineUnreachableError) as caught:
        Deadline(seconds).allow_s("embed", recent(clock, 9, 3, 5), kept_s)
    assert "ms to embed; of the last calls the fastest took 3000 ms" in caught.value.message
    assert caught.value.retry_after_ms == 3000


def test_call_without_time_is_refused_even_if_nothing_is_known_of_such_calls(clock: Clock) -> None:
    with pytest.raises(DeadlineUnreachableError):
        Deadline(0).allow_s("search", recent(clock))


def test_what_calls_took_is_forgotten_so_that_a_service_gets_another_chance(clock: Clock) -> None:
    times = recent(clock, 9, 3, 5)
    assert (times.fastest_s, times.median_s) == (3, 5)
    clock.go(20)
    times.add(40)
    clock.go(20)
    assert (times.fastest_s, times.median_s) == (40, 40)
    clock.go(20)
    assert (times.fastest_s, times.median_s) == (0, 0)


def test_twice_what_the_search_usually_takes_is_kept_back_for_it_but_not_most(
    clock: Clock,
) -> None:
    assert Deadline(10).reserve_s(recent(clock)) == 0
    assert Deadline(10).reserve_s(recent(clock, 1, 1, 5)) == 2
    assert Deadline(3).reserve_s(recent(clock, 1, 1, 5)) == 1.5
