"""A fair price from the prices of similar listings."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.price import PricedListing, PriceEstimate, estimate
from lookalike.pricing import PriceRange

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


def test_nothing_with_a_price_has_no_price() -> None:
    assert estimate([], FITTED) is None
    assert estimate(listings([0.0, 0.0]), FITTED) is None, "gifts say nothing of what it costs"


def test_one_price_is_the_median_within_the_least_spread() -> None:
    cost = estimated(listings([120.0]))
    assert (cost.median, cost.listings, cost.coverage, cost.currency) == (120, 1, 0.8, "GBP")
    assert cost.low == pytest.approx(120 * math.exp(-1.5 * 0.2))
    assert cost.high == pytest.approx(120 * math.exp(1.5 * 0.2))


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
