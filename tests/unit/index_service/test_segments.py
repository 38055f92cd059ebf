"""Segments: what a write makes of them, and what whoever holds the last ones sees."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index_service.native.memory import segments as segments_module
from index_service.native.memory.segments import Segments
from tests.examples import examples
from tests.indexes import LISTINGS, rows, segments_of

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments_module, "MOST_ROWS", 4)


def numbered(count: int, first_key: int = 1) -> np.ndarray:
    return np.arange(first_key, first_key + count, dtype=np.float32)[:, None] * [1, 0]


def live_keys(segments: Segments) -> list[int]:
    return [key for part in segments.parts for key in part.live().keys.tolist()]


def test_rows_fill_one_segment_after_the_other(small_segments: None) -> None:
    segments = segments_of(LISTINGS, numbered(3))
    more = segments.with_rows(rows(LISTINGS, numbered(7, 4), first_key=4))
    assert [part.size for part in segments.parts] == [3]
    assert [part.size for part in more.parts] == [4, 4, 2]
    assert more.starts == (0, 4, 8, 10)
    assert (len(more), more.row_count) == (10, 10)
    assert live_keys(more) == list(range(1, 11))


def test_row_is_found_by_its_key_until_it_is_dead(small_segments: None) -> None:
    segments = segments_of(LISTINGS, numbered(10), first_key=11)
    assert [segments.row_of(key) for key in (11, 15, 20, 10, 21)] == [0, 4, 9, None, None]
    after = segments.without(np.array([15]))
    assert after.row_of(15) is None
    assert segments.row_of(15) == 4


def test_columns_are_taken_across_segments_in_any_shape(small_segments: None) -> None:
    segments = segments_of(LISTINGS, numbered(10), products=range(100, 110))
    wanted = np.array([[9, 0, 4], [3, 8, 8]])
    assert segments.take("keys", wanted).tolist() == [[10, 1, 5], [4, 9, 9]]
    assert segments.take("products", wanted).tolist() == [[109, 100, 104], [103, 108, 108]]
    assert segments.vectors(wanted).shape == (2, 3, 2)
    assert segments.vectors(wanted)[..., 0].tolist() == [[10, 1, 5], [4, 9, 9]]
    dead = segments.without(np.array([1, 9]))
    assert dead.dead(wanted).tolist() == [[False, True, False], [False, True, True]]


@pytest.mark.parametrize("column", ["keys", "vectors", "codes0"])
def test_no_rows_can_be_taken_where_there_are_none(column: str) -> None:
    nothing = np.empty(0, np.int64)
    taken = Segments(LISTINGS).take(column, nothing)
    assert taken.dtype == segments_of(LISTINGS, numbered(1)).take(column, nothing).dtype
    assert len(taken) == 0


def test_earlier_segments_stay_as_they_were(small_segments: None) -> None:
    before = segments_of(LISTINGS, numbered(6))
    held = [(part.live().keys.tolist(), part.longest, part.dead_count) for part in before.parts]
    middle = before.without(np.array([2, 6]))
    after = middle.with_rows(rows(LISTINGS, numbered(9, 7), first_key=7)).without(np.array([7, 1]))
    assert live_keys(after) == [3, 4, 5, *range(8, 16)]
    assert live_keys(middle) == [1, 3, 4, 5]
    assert held == [
        (part.live().keys.tolist(), part.longest, part.dead_count) for part in before.parts
    ]


def test_write_that_was_given_up_leaves_no_trace_in_the_next(small_segments: None) -> None:
    before = segments_of(LISTINGS, numbered(2))
    before.with_rows(rows(LISTINGS, numbered(5, 3) * 100, first_key=3)).without(np.array([3, 4]))
    after = before.with_rows(rows(LISTINGS, numbered(2, 8), first_key=8))
    assert live_keys(after) == [1, 2, 8, 9]
    assert after.vectors(np.arange(4))[:, 0].tolist() == [1, 2, 8, 9]
    assert after.longest == 9


def test_keys_that_are_not_there_or_dead_already_are_skipped() -> None:
    segments = segments_of(LISTINGS, numbered(3), first_key=5)
    once = segments.without(np.array([1, 6, 99]))
    twice = once.without(np.array([6]))
    assert (len(once), len(twice), twice.parts[0].dead_count) == (2, 2, 1)
    assert twice.parts[0] is once.parts[0]


def test_longest_vector_is_known_even_where_float32_overflows_in_the_square() -> None:
    segments = segments_of(LISTINGS, np.array([[3e30, 4e30], [1, 0]]))
    assert segments.longest == pytest.approx(5e30)
    assert Segments(LISTINGS).longest == 0


@settings(max_examples=examples(35), deadline=None)
@given(
    st.lists(st.integers(1, 9) | st.lists(st.integers(1, 40), unique=True, max_size=8), max_size=12)
)
def test_any_sequence_of_writes_leaves_what_a_dict_would_hold(
    writes: list[int | list[int]],
) -> None:
    segments, expected, following = Segments(LISTINGS), dict[int, float](), 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments_module, "MOST_ROWS", 4)
        for write in writes:
            if isinstance(write, int):
                new = rows(LISTINGS, numbered(write, following), first_key=following)
                segments = segments.with_rows(new)
                expected |= {key: float(key) for key in range(following, following + write)}
                following += write
            else:
                segments = segments.without(np.array(sorted(write), np.int64))
                expected = {key: kept for key, kept in expected.items() if key not in write}
    assert len(segments) == len(expected)
    assert live_keys(segments) == sorted(expected)
    found = {key: segments.row_of(key) for key in range(1, following)}
    assert {key for key, row in found.items() if row is not None} == set(expected)
    for key, row in found.items():
        if row is not None:
            assert segments.vectors(np.array([row]))[0, 0] == expected[key]


def test_search_takes_one_openmp_thread_in_whatever_thread_it_runs() -> None:
    # In a process of its own: OpenMP decides when it is loaded, which another test may have done.
    program = (
        "import concurrent.futures, index_service.native.search.candidates, faiss\n"
        "with concurrent.futures.ThreadPoolExecutor(1) as pool:\n"
        "    print(pool.submit(faiss.omp_get_max_threads).result())\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        check=True,
        cwd=REPOSITORY,
        env=environment,
        text=True,
    )
    assert done.stdout.strip() == "1"
