from __future__ import annotations

import time

import pytest

from benchmarks.turns import Latencies, latencies, median_ratio, paced, rates


def test_latencies_compare_rounds_with_their_neighbours_not_with_the_whole() -> None:
    # The machine got ten times slower in the last round, for both.
    ours = Latencies([[0.002] * 3, [0.003] * 3, [0.020] * 3])
    theirs = Latencies([[0.001] * 3, [0.001] * 3, [0.010] * 3])

    assert ours.ms() == pytest.approx(3)
    assert ours.over(theirs) == pytest.approx(2)
    assert ours.beyond_ms(theirs) == pytest.approx(2)


def test_percentile_is_taken_within_each_round() -> None:
    rounds = Latencies([[0.001] * 99 + [1.0], [0.001] * 100, [0.001] * 100])
    assert rounds.ms(100) == pytest.approx(1)
    assert Latencies([[0.001] * 98 + [1.0] * 2]).ms(99) == pytest.approx(1000)


def test_each_is_called_equally_often_and_first_in_every_other_round() -> None:
    calls: list[tuple[str, int]] = []
    works = [
        lambda number: calls.append(("one", number)),
        lambda number: calls.append(("two", number)),
    ]

    found = latencies(works, rounds=2, calls=2)

    measured = calls[4:]  # the first round does not count
    assert [name for name, _ in measured] == ["one", "one", "two", "two"] + ["two", "two"] + [
        "one"
    ] * 2
    assert [number for name, number in measured if name == "two"] == [0, 1, 0, 1]
    assert [len(seconds) for one in found for seconds in one.rounds] == [2, 2, 2, 2]


def test_rates_come_back_to_whom_they_are_of() -> None:
    assert rates([lambda: 1.0, lambda: 2.0], rounds=3) == [[1.0] * 3, [2.0] * 3]


def test_median_ratio_is_of_neighbours() -> None:
    assert median_ratio([1, 10, 100], [2, 20, 25]) == 0.5


def test_paced_calls_keep_their_rate() -> None:
    begun: list[float] = []

    paced(lambda _: begun.append(time.perf_counter()), 100, lambda: len(begun) < 11)

    assert begun[-1] - begun[0] >= 0.09


def test_calls_that_a_slow_one_held_up_count_from_when_they_were_due() -> None:
    count = 0

    def work(number: int) -> None:
        nonlocal count
        count += 1
        if number == 0:
            time.sleep(0.1)

    taken = paced(work, 100, lambda: count < 6)

    # Due after 10, 20, … ms, and begun after 100.
    for number in range(1, 6):
        assert taken[number] >= 0.1 - 0.01 * number - 0.001
