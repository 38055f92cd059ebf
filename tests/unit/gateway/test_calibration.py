"""What distances say of how likely two photos show the same item."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.calibration import Likeness, Ranking
from gateway.listings import RankingMethod

curves = st.builds(Likeness, midpoint=st.floats(-5, 50), steepness=st.floats(0.01, 100))


def test_likeness_is_one_half_at_its_midpoint_and_falls_as_a_logistic_curve() -> None:
    curve = Likeness(midpoint=2, steepness=3)
    assert curve.at(2) == 0.5
    for distance in (0.0, 1.9, 2.5, 4.0):
        assert curve.at(distance) == pytest.approx(1 / (1 + math.exp(3 * (distance - 2))))


@given(curves, st.floats(-1e300, 1e300), st.floats(-1e300, 1e300))
def test_likeness_is_a_probability_that_never_rises(
    curve: Likeness, one: float, other: float
) -> None:
    near, far = sorted((one, other))
    assert 0 <= curve.at(far) <= curve.at(near) <= 1


@given(curves, st.floats(0.001, 0.999))
def test_least_likeness_is_a_farthest_distance(curve: Likeness, likeness: float) -> None:
    farthest = curve.farthest(likeness)
    assert curve.at(farthest) == pytest.approx(likeness)
    assert curve.at(farthest + 1 / curve.steepness) < likeness


def test_no_likeness_is_everywhere_and_certainty_is_where_the_curve_says_one() -> None:
    curve = Likeness(midpoint=2, steepness=3)
    assert curve.farthest(0) == math.inf
    assert curve.at(curve.farthest(1)) == 1
    assert curve.at(curve.farthest(1) + 1) < 1


def test_every_way_to_rank_has_its_own_curve() -> None:
    blend, features, category = (Likeness(float(number), 1.0) for number in range(3))
    ranking = Ranking("features", 0.1, 200, blend, features, category)
    assert [ranking.curve(method) for method in RankingMethod] == [blend, features, category]
    assert Ranking("features", 0.1, 200).curve(RankingMethod.BLEND) is None
