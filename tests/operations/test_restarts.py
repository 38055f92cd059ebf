"""Services are restarted and killed while they are called."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from benchmarks.operations.fleet import Fleet
from benchmarks.operations.kills import killed
from benchmarks.operations.restarts import restarted
from benchmarks.report import Figure

Counted = Callable[[Sequence[Figure]], dict[str, float]]


def test_no_call_fails_while_each_service_is_restarted(
    fleet: Fleet, photos: Sequence[bytes], counted: Counted
) -> None:
    figures = restarted(fleet, photos, rounds=1)
    assert counted(figures) == {
        "two embedders restarted: failed": 0,
        "the index restarted: failed": 0,
        "two gateways restarted: failed": 0,
        "lost writes": 0,
    }, "; ".join(figure.note for figure in figures)


def test_no_call_fails_and_no_write_is_lost_while_each_service_is_killed(
    fleet: Fleet, photos: Sequence[bytes], counted: Counted
) -> None:
    figures = killed(fleet, photos, rounds=1)
    assert counted(figures) == {
        "one of two embedders killed and started: failed": 0,
        "the index killed and started: failed": 0,
        "one of two gateways killed and started: failed": 0,
        "lost writes": 0,
    }, "; ".join(figure.note for figure in figures)


@pytest.mark.long
def test_index_that_stays_away_costs_calls_but_no_write(
    fleet: Fleet, photos: Sequence[bytes], counted: Counted
) -> None:
    figures = killed(fleet, photos, rounds=3, away_s=10)
    counts = counted(figures)
    assert counts.pop("the index killed and away for 10 s: failed") > 0
    assert set(counts.values()) == {0}, figures
