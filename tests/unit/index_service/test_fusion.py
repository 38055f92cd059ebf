"""Orders are fused by reciprocal rank."""

from __future__ import annotations

import pytest

from index_service.ranking.fusion import MOST_PLACES, best, fused, places, reciprocal


def test_each_place_adds_the_reciprocal_of_sixty_and_itself() -> None:
    scores = fused([[3, 1], [1, 2]])
    assert scores == pytest.approx({3: 1 / 61, 1: 1 / 62 + 1 / 61, 2: 1 / 62})
    assert best(scores, 2) == [1, 3]


def test_equal_scores_come_by_number() -> None:
    assert best(fused([[9, 4], [4, 9]]), 5) == [4, 9]
    assert best(fused([[9], [4]]), 1) == [4]


def test_order_without_anything_changes_nothing() -> None:
    assert best(fused([[5, 2], []]), 3) == [5, 2]
    assert fused([]) == {}


def test_a_hundred_places_count_or_as_many_as_are_wanted() -> None:
    assert (places(1), places(MOST_PLACES), places(1000)) == (100, 100, 1000)
    assert reciprocal(1) == 1 / 61
