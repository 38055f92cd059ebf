"""How likely what was found is the item of the query."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.likeness import Likeness, in_crowds, likeness_words

CURVE = Likeness(intercept=1, distance=4, margin=7, crowd=2.0)
DISTANCES = st.lists(st.floats(0, 1e6), min_size=1, max_size=40).map(sorted)


def names(count: int) -> list[str]:
    return [f"listing-{number}" for number in range(count)]


def test_distances_are_measured_in_those_of_the_eleventh_to_twentieth_listing() -> None:
    distances = [1.0] * 10 + [4.0] * 10 + [9.0]
    found = in_crowds(distances, names(21), usual=100)
    assert found[0] == (0.25, 0.0)
    assert found[10] == (1.0, -0.75)
    # Of so few, a usual crowd stands in.
    assert in_crowds([1.0, 5.0], names(2), usual=10) == [(0.1, 0.4), (0.5, -0.4)]
    assert in_crowds([1.0], names(1), usual=10) == [(0.1, 0.9)]


def test_photos_of_one_listing_are_no_rivals_and_one_of_the_crowd() -> None:
    distances = [1.0, 2.0, 5.0]
    assert in_crowds(distances, ["a", "a", "b"], usual=10) == [(0.1, 0.4), (0.2, 0.3), (0.5, -0.4)]
    twins = [0.5] * 20 + [1.0] * 19
    listings = ["a"] * 20 + names(19)
    assert in_crowds(twins, listings, usual=3)[0] == (0.5, 0.5)


def test_the_query_s_own_photo_is_certain_and_hides_no_other() -> None:
    distances = [0.001, 0.5, 1.5]
    own, next_one, _ = CURVE.of(distances, names(3))
    assert own == pytest.approx(0.99, abs=0.01)
    assert next_one == CURVE.of(distances[1:], names(3)[1:])[0]
    assert min(CURVE.of([0.0] * 25, names(25))) >= 0.99


def test_what_stands_out_is_likelier_than_what_is_as_near_among_others() -> None:
    alone, _ = CURVE.of([0.5, 1.5], names(2))
    among, _ = CURVE.of([0.5, 0.55], names(2))
    assert alone > 0.9 > among


@given(DISTANCES)
def test_likeness_is_a_probability_that_never_rises_with_distance(distances: list[float]) -> None:
    found = CURVE.of(distances, names(len(distances)))
    assert all(0 <= each <= 1 for each in found)
    assert found == sorted(found, reverse=True)


def test_nothing_found_has_no_likeness() -> None:
    assert CURVE.of([], []) == []


@pytest.mark.parametrize(
    ("likeness", "words"),
    [
        (None, ""),
        (0.0, "another item"),
        (0.0999, "another item"),
        (0.1, "possibly the same item"),
        (0.5, "probably the same item"),
        (0.9, "almost certainly the same item"),
        (1.0, "almost certainly the same item"),
    ],
)
def test_likeness_has_words(likeness: float | None, words: str) -> None:
    assert likeness_words(likeness) == words
