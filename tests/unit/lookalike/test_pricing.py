"""A price from those of similar listings, against ones worked out by hand."""

from __future__ import annotations

import math

import pytest

from lookalike.pricing import PriceRange, estimate, weighted_quantile

FITTED = PriceRange(listings=50, coverage=0.8, width=2.0, least_spread=0.1)


def test_the_median_is_weighted_by_likeness() -> None:
    found = estimate([10, 20, 1000], [0.5, 0.6, 0.2], FITTED)

    assert found is not None
    assert found.median == 20
    assert found.counted == (0, 1, 2)
    equal = estimate([10, 20, 1000], [None, None, None], FITTED)
    assert equal is not None
    assert equal.median == 20


def test_a_range_reaches_so_many_spreads_to_each_side() -> None:
    # Halves and doubles lie a factor of 2 from the median.
    found = estimate([50, 100, 200], [1, 1, 1], FITTED)

    assert found is not None
    spread = 1.4826 * math.log(2)
    assert found.spread == pytest.approx(spread)
    assert found.high == pytest.approx(100 * math.exp(2 * spread))
    assert found.low == pytest.approx(100 / math.exp(2 * spread))
    assert found.coverage == 0.8


def test_prices_that_agree_have_the_least_spread() -> None:
    found = estimate([100] * 6, [1] * 6, FITTED)

    assert found is not None
    assert (found.median, found.spread) == (100, 0.1)
    assert found.high == pytest.approx(100 * math.exp(0.2))


def test_prices_far_from_the_others_are_left_out_and_named() -> None:
    found = estimate([100, 9, 100, 101, 99, 5000], [1] * 6, FITTED)

    assert found is not None
    assert found.outliers == (1, 5)
    assert found.counted == (0, 2, 3, 4)
    assert found.median == pytest.approx(100)


def test_of_fewer_than_five_nobody_is_the_odd_one_out() -> None:
    found = estimate([100, 100, 100, 5000], [1] * 4, FITTED)

    assert found is not None
    assert found.outliers == ()
    assert found.counted == (0, 1, 2, 3)


def test_gifts_and_what_is_beyond_the_nearest_do_not_count() -> None:
    fitted = PriceRange(listings=2, coverage=0.8, width=1.0, least_spread=0.1)
    found = estimate([0, 10, float("nan"), 40, 1_000_000], [0.9, 0.5, 0.5, 0.5, 0.5], fitted)

    assert found is not None
    assert found.counted == (1, 3)
    assert found.median == pytest.approx(20), "the mean of two logarithms"


@pytest.mark.parametrize("prices", [[], [0.0, 0.0]])
def test_without_prices_there_is_no_estimate(prices: list[float]) -> None:
    assert estimate(prices, [1.0] * len(prices), FITTED) is None


def test_with_nothing_fitted_the_range_is_the_middle_four_fifths() -> None:
    prices = [float(price) for price in range(1, 12)]
    found = estimate(prices, [None] * 11, None)

    assert found is not None
    assert (found.low, found.median, found.high) == (2, 6, 10)
    assert found.coverage == 0
    many = estimate([5.0] * 60, [None] * 60, None)
    assert many is not None
    assert len(many.counted) == 50


def test_what_is_no_likelier_than_not_at_all_counts_the_same() -> None:
    found = estimate([10, 20, 40], [0.0, 0.0, 0.0], FITTED)

    assert found is not None
    assert found.median == 20


def test_no_price_is_too_large_to_be_told() -> None:
    found = estimate([1e308, 1e300], [1, 1], PriceRange(50, 0.8, 30.0, 5.0))

    assert found is not None
    assert math.isfinite(found.high)


@pytest.mark.parametrize(
    ("values", "weights", "share", "expected"),
    [
        ([1, 2, 3], [1, 1, 1], 0.5, 2),
        ([3, 1, 2, 4], [1, 1, 1, 1], 0.5, 2.5),
        ([1, 2], [3, 1], 0.5, 1),
        ([1, 2, 3], [1, 0, 1], 0.5, 2),
        ([7], [0.2], 0.9, 7),
        ([1, 2, 3], [1, 1, 1], 1.0, 3),
        ([0.1 * n for n in range(1, 11)], [0.1] * 10, 0.3, 0.35),
    ],
)
def test_a_quantile_is_the_value_at_which_the_weight_passes_the_share(
    values: list[float], weights: list[float], share: float, expected: float
) -> None:
    assert weighted_quantile(values, weights, share) == pytest.approx(expected)


def test_values_without_weight_have_no_quantile() -> None:
    with pytest.raises(ValueError, match="no value has a weight"):
        weighted_quantile([1.0], [0.0], 0.5)
