"""A fair price from the prices of similar listings."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.calibration import PriceRange
from gateway.price import PricedListing, PriceEstimate, estimate, weighted_quantile

FITTED = PriceRange(listings=20, coverage=0.8, width=1.5, least_spread=0.2)


def listings(
    prices: Sequence[float], likeness: Sequence[float] | None = None, currency: str = "GBP"
) -> list[PricedListing]:
    return [
        PricedListing(f"i{n}", f"p{n}", price, currency, likeness[n] if likeness else None)
        for n, price in enumerate(prices)
    ]


def estimated(found: Sequence[PricedListing], fitted: PriceRange | None = FITTED) -> PriceEstimate:
    cost = estimate(found, fitted)
    assert cost is not None
    return cost


@pytest.mark.parametrize(
    ("values", "weights", "share", "expected"),
    [
        ([3.0, 1.0, 2.0], [1.0, 1.0, 1.0], 0.5, 2.0),
        ([1.0, 2.0], [1.0, 1.0], 0.5, 1.5),
        ([1.0, 2.0], [3.0, 1.0], 0.5, 1.0),
        ([1.0, 2.0, 9.0], [0.0, 0.0, 1.0], 0.1, 9.0),
        ([1.0, 2.0, 3.0], [0.1, 0.2, 0.3], 0.5, 2.5),
        ([7.0], [1e-300], 0.9, 7.0),
        ([1.0, 2.0, 3.0, 4.0], [1.0] * 4, 1.0, 4.0),
        ([1.0, 2.0], [1.0, 1.0], 0.0, 1.0),
    ],
)
def test_quantile_has_its_share_of_the_weight_at_or_below(
    values: list[float], weights: list[float], share: float, expected: float
) -> None:
    assert weighted_quantile(values, weights, share) == pytest.approx(expected)


@given(st.lists(st.tuples(st.floats(-9, 9), st.integers(1, 5)), min_size=1), st.floats(0, 1))
def test_weight_of_a_whole_number_is_that_many_times_the_value(
    pairs: list[tuple[float, int]], share: float
) -> None:
    values, weights = [v for v, _ in pairs], [float(w) for _, w in pairs]
    repeated = [value for value, weight in pairs for _ in range(weight)]
    assert weighted_quantile(values, weights, share) == pytest.approx(
        weighted_quantile(repeated, [1.0] * len(repeated), share)
    )


def test_nothing_with_a_price_has_no_price() -> None:
    assert estimate([], FITTED) is None
    assert estimate(listings([0.0, 0.0]), FITTED) is None, "gifts say nothing of what it costs"


def test_one_price_is_the_median_within_the_least_spread() -> None:
    cost = estimated(listings([120.0]))
    assert (cost.median, cost.listings, cost.coverage, cost.currency) == (120, 1, 0.8, "GBP")
    assert cost.low == pytest.approx(120 * math.exp(-1.5 * 0.2))
    assert cost.high == pytest.approx(120 * math.exp(1.5 * 0.2))


def test_range_reaches_as_many_spreads_of_log_prices_as_were_fitted() -> None:
    cost = estimated(listings([50.0, 100.0, 200.0]))
    # Half of the logarithms are within log 2 of the middle one.
    reach = 1.5 * 1.4826 * math.log(2)
    assert cost.median == 100
    assert cost.low == pytest.approx(100 * math.exp(-reach))
    assert cost.high == pytest.approx(100 * math.exp(reach))


def test_price_counts_as_much_as_its_listing_is_likely_the_same_item() -> None:
    prices = [100.0, 10.0, 11.0, 12.0]
    assert estimated(listings(prices)).median == pytest.approx(math.sqrt(11 * 12))
    assert estimated(listings(prices, [0.9, 0.1, 0.1, 0.1])).median == 100
    assert estimated(listings(prices, [0.0] * 4)).median == pytest.approx(math.sqrt(11 * 12))


def test_price_far_from_the_others_is_named_and_left_out() -> None:
    cost = estimated(listings([10.0, 11.0, 12.0, 10.5, 11.5, 5000.0, 0.01]))
    assert [far.item_id for far in cost.outliers] == ["i5", "i6"]
    assert (cost.median, cost.listings) == (11, 5)
    assert cost.high < 100


def test_of_four_prices_nobody_can_tell_which_is_the_odd_one() -> None:
    cost = estimated(listings([10.0, 11.0, 12.0, 5000.0]))
    assert (cost.outliers, cost.listings) == ([], 4)


def test_prices_that_are_mostly_one_make_no_outliers_of_those_close_to_it() -> None:
    for fitted in (FITTED, None):
        cost = estimated(listings([10.0, 10.0, 10.0, 10.0, 11.0, 40.0]), fitted)
        assert [far.price for far in cost.outliers] == [40]
        assert (cost.median, cost.listings) == (10, 5)


def test_mixed_currencies_are_never_compared_and_the_most_frequent_counts() -> None:
    found = [
        *listings([9000.0, 9100.0], currency="JPY"),
        *listings([50.0, 52.0, 54.0]),
        *listings([60.0], currency=""),
    ]
    cost = estimated(found)
    assert (cost.currency, cost.median, cost.listings) == ("GBP", 52, 3)
    first = estimated([*listings([9000.0], currency="JPY"), *listings([50.0])])
    assert (first.currency, first.median) == ("JPY", 9000), "of equally many, the nearer"


def test_nearest_in_the_currency_of_the_nearest_count_and_no_more_than_were_fitted_with() -> None:
    near = listings([10.0] * 15) + listings([7.0] * 5, currency="EUR")
    cost = estimated([*near, *listings([20.0] * 30)])
    assert (cost.currency, cost.listings) == ("GBP", 15)
    assert [far.price for far in cost.outliers] == [20] * 5
    without = estimated(listings([10.0] * 50 + [20.0] * 50), None)
    assert (without.listings, without.outliers) == (50, [])


def test_where_nothing_was_fitted_the_middle_four_fifths_are_the_range() -> None:
    cost = estimated(listings([float(price) for price in range(10, 21)]), None)
    assert (cost.low, cost.median, cost.high, cost.coverage) == (11, 15, 19, 0)


@given(
    st.lists(st.floats(1e-9, 1e300), min_size=1, max_size=60),
    st.sampled_from([FITTED, None, PriceRange(1, 0.9, 1e6, 1e3), PriceRange(5, 0.5, 0, 0)]),
)
def test_whatever_the_prices_the_range_is_finite_and_around_the_median(
    prices: list[float], fitted: PriceRange | None
) -> None:
    cost = estimated(listings(prices), fitted)
    assert 0 <= cost.low <= cost.median <= cost.high < math.inf
    assert cost.listings >= 1


def test_price_is_told_without_the_digits_that_logarithms_lose() -> None:
    for price in (0.1, 9.99, 123.45, 1e6 / 3):
        assert estimated(listings([price])).median == pytest.approx(price, rel=1e-11)
    assert estimated(listings([9.99])).median == 9.99
