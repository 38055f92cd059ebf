"""Ranges of prices hold as many as they say, and errors are those worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lookalike.likeness import Likeness
from lookalike.pricing import PriceRange
from training.pricing import (
    LEAST_PRICES,
    Priced,
    by_category,
    fit_price_range,
    judge_prices,
    median_error,
    priced,
)
from training.ranking import Found, Pool

CURVE = Likeness(intercept=1.0, distance=4.0, margin=0.0, crowd=1.0)


def drawn(asked: int, seed: int, spread: float = 0.8) -> list[Priced]:
    """Things whose prices, and those of things like them, are drawn about one of their own."""
    dice = np.random.default_rng(seed)
    return [
        Priced(
            float(np.exp(centre + dice.normal(0, spread))),
            np.exp(centre + dice.normal(0, spread, size=30)).tolist(),
            dice.uniform(0.01, 1, size=30).tolist(),
        )
        for centre in dice.uniform(1, 7, size=asked)
    ]


def test_the_range_holds_four_prices_in_five_of_others_too() -> None:
    fitted = fit_price_range(drawn(1500, seed=1))

    assert fitted is not None
    assert (fitted.listings, fitted.coverage) == (50, 0.8)
    assert judge_prices(drawn(1500, seed=1), fitted)["coverage"] == pytest.approx(0.8, abs=0.002)
    figures = judge_prices(drawn(1500, seed=2), fitted)
    assert figures["photos"] == 1500
    assert figures["coverage"] == pytest.approx(0.8, abs=0.03)
    # 80 % of a normal distribution are 1.28 standard deviations to either side
    expected = math.exp(2 * 1.28 * 0.8)
    assert expected < figures["median_range"] < 1.5 * expected


def test_round_prices_at_the_end_of_a_range_are_in_it() -> None:
    # Nine in ten are worth a quarter of what is like them.
    asked = [Priced(25.0 if row % 10 else 1.0, [100.0] * 8, [1.0] * 8) for row in range(100)]
    fitted = fit_price_range(asked)

    assert fitted is not None
    assert judge_prices(asked, fitted)["coverage"] == 0.9


def test_of_few_prices_no_range_is_fitted() -> None:
    assert fit_price_range(drawn(LEAST_PRICES - 1, seed=1)) is None
    assert fit_price_range(drawn(LEAST_PRICES, seed=1)) is not None


def test_prices_are_those_of_other_listings_and_count_by_likeness() -> None:
    nothing = np.zeros((6, 1), np.float32)
    names = np.array([str(row) for row in range(6)])
    listings = np.array(["a", "a", "b", "c", "d", "d"])
    pool = Pool(nothing, nothing, names, listings, names)
    found = Found(
        np.array([[1, 2, 3, 4, 5], [0, 2, 3, 4, 5]]), np.array([[0.1, 0.2, 0.3, 0.5, 0.6]] * 2)
    )
    prices = np.array([8.0, 8.0, 20.0, 0.0, 50.0, 50.0])

    asked = priced(found, np.array([0, 1]), pool, CURVE, prices)

    assert [each.price for each in asked] == [8, 8]
    assert asked[0].prices == [20, 50], "its own listing has none, nor what costs nothing"
    said = CURVE.of([0.2, 0.3, 0.5], ["b", "c", "d"])
    assert asked[0].weights == [said[0], said[2]]
    free = np.where(listings == "a", np.nan, prices)
    assert priced(found, np.array([0, 1]), pool, CURVE, free) == []


def test_an_error_is_a_share_of_the_true_price() -> None:
    assert median_error(np.array([10.0, 30.0, 50.0]), np.array([20.0, 20.0, 40.0])) == 0.5
    fitted = PriceRange(50, 0.8, 1.0, math.log(2))
    asked = [Priced(10.0, [30.0], [1.0]), Priced(29.0, [30.0], [1.0]), Priced(40.0, [30.0], [1.0])]
    figures = judge_prices(asked, fitted)

    assert figures["median_error"] == 0.25
    assert figures["coverage"] == pytest.approx(2 / 3)
    assert figures["median_range"] == pytest.approx(4)


def test_linear_models_of_a_category_are_its_means() -> None:
    prices = np.array([10.0, 40.0, 0.0, 7.0, 100.0, 25.0, 7.0])
    categories = np.array(["a", "a", "a", "b", "c", "a", "b"])
    learnt = np.array([True, True, True, True, False, False, False])

    errors = by_category(prices, categories, learnt, np.array([False] * 5 + [True] * 2))

    # a: 25 by prices and 20 by logarithms, for 25; b: 7 for 7
    assert errors["linear_median_error"] == pytest.approx(0, abs=1e-9)
    assert errors["log_linear_median_error"] == pytest.approx(0.1)
    assert by_category(prices, categories, ~learnt & False, learnt) == {}
