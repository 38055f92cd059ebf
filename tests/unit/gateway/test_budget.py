"""How a request's time is counted down and told apart by hop, by a clock of the test's own."""

from __future__ import annotations

from contextlib import suppress

import pytest

from gateway.budget import Budget


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
    monkeypatch.setattr("gateway.budget.time.perf_counter_ns", clock)
    return clock


def test_time_left_counts_down_from_the_start_and_ends_at_zero(clock: Clock) -> None:
    budget = Budget(2)
    assert (budget.remaining_s, budget.total_ns) == (2, 0)
    clock.go(0.5)
    assert (budget.remaining_s, budget.total_ns) == (1.5, 500_000_000)
    clock.go(1.5)
    assert budget.remaining_s == 0
    clock.go(3)
    assert (budget.remaining_s, budget.total_ns) == (0, 5_000_000_000)


def test_deadline_that_has_passed_already_leaves_no_time(clock: Clock) -> None:
    assert Budget(-1).remaining_s == 0
    assert Budget(0).remaining_s == 0


def test_each_hop_has_its_own_time_and_several_visits_add_up(clock: Clock) -> None:
    budget = Budget(60)
    for seconds in (1, 2):
        with budget.hop("embed"):
            clock.go(seconds)
        clock.go(10)
    with budget.hop("search"):
        clock.go(5)
    assert budget.spent_ns("embed") == 3_000_000_000
    assert budget.spent_ns("search") == 5_000_000_000
    assert budget.total_ns == 28_000_000_000


def test_hop_that_was_not_needed_took_no_time(clock: Clock) -> None:
    assert Budget(60).spent_ns("search") == 0


def test_hop_that_fails_counts_too(clock: Clock) -> None:
    budget = Budget(60)
    with suppress(KeyError), budget.hop("search"):
        clock.go(4)
        raise KeyError
    assert budget.spent_ns("search") == 4_000_000_000
