"""Fits the range that holds 80 % of prices, and evaluates price estimates.

Serving does the same arithmetic, in `lookalike/pricing.py`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike.likeness import Likeness
from lookalike.pricing import PriceEstimate, PriceRange, estimate
from training.likeness import hits_of
from training.ranking import Found, Pool

LISTINGS = 50
COVERAGE = 0.8
LEAST_SPREADS = tuple(tenths / 10 for tenths in range(1, 13))
LEAST_PRICES = 50
"""With fewer prices, the share within a range is mostly chance."""


@dataclass(frozen=True)
class Priced:
    """A photo's price, and the prices of similar listings, nearest first."""

    price: float
    prices: Sequence[float]
    weights: Sequence[float]


def priced(
    found: Found, queries: NDArray[np.int64], pool: Pool, likeness: Likeness,
    prices: NDArray[np.float64],
) -> list[Priced]:  # fmt: skip
    """Returns the queries that have a price, with the prices of similar listings.

    Args:
        found: The search results of the queries.
        queries: Rows of the pool.
        pool: All photos.
        likeness: Weighs each price.
        prices: Price of each photo, 0 or NaN if there is none.
    """
    result = []
    for each in hits_of(found, queries, pool, others=True):
        price = float(prices[each.query])
        if not price > 0:
            continue
        weights = np.array(likeness.of(each.distances, each.listings))
        theirs = prices[each.rows]
        near = np.flatnonzero(theirs > 0)[:LISTINGS]
        if len(near):
            result.append(Priced(price, theirs[near].tolist(), weights[near].tolist()))
    return result


def fit_price_range(asked: Sequence[Priced]) -> PriceRange | None:
    """Returns the narrowest range that holds 80 % of the prices; None with fewer than 50.

    The width is a quantile of the distances between price and estimate, in spreads, as in split
    conformal prediction (Lei et al. 2018, "Distribution-Free Predictive Inference for Regression").
    """
    if len(asked) < LEAST_PRICES:
        return None
    best, narrowest = None, math.inf
    for least in LEAST_SPREADS:
        unit = PriceRange(LISTINGS, COVERAGE, 1.0, least)
        estimates = [_estimate(each, unit) for each in asked]
        off = [_off(each, one) for each, one in zip(asked, estimates, strict=True)]
        reached = np.divide(off, [one.spread for one in estimates])
        place = min(len(reached), math.ceil((len(reached) + 1) * COVERAGE))
        width = float(np.sort(reached)[place - 1])
        usual = width * float(np.median([one.spread for one in estimates]))
        if usual < narrowest and width > 0:
            # rounded up: prices are round numbers, and many lie just at the limit
            best = dataclasses.replace(unit, width=math.ceil(width * 1e4) / 1e4)
            narrowest = usual
    return best


def judge_prices(asked: Sequence[Priced], price_range: PriceRange) -> dict[str, Any]:
    """Returns the error of estimates and the coverage of their ranges.

    Args:
        asked: At least one price that was not used to fit the range.
        price_range: The fitted range.
    """
    estimates = [_estimate(each, price_range) for each in asked]
    held = [one.low <= each.price <= one.high for each, one in zip(asked, estimates, strict=True)]
    return {
        "photos": len(asked),
        "median_error": median_error(
            np.array([one.median for one in estimates]), np.array([each.price for each in asked])
        ),
        "coverage": float(np.mean(held)),
        # a range's upper end divided by its lower end
        "median_range": float(np.median([one.high / one.low for one in estimates])),
    }


def median_error(guessed: NDArray[np.float64], prices: NDArray[np.float64]) -> float:
    """Returns the median of the guesses' errors as shares of the prices."""
    return float(np.median(np.abs(guessed - prices) / prices))


def by_category(
    prices: NDArray[np.float64], categories: NDArray[np.str_], learnt: NDArray[np.bool_],
    asked: NDArray[np.bool_],
) -> dict[str, float]:  # fmt: skip
    """Returns the median errors of baselines: linear models of the price by category alone.

    Least squares on one-hot categories, for prices and for their logarithms; an estimate by similar
    listings should be better.

    Args:
        prices: Price of each photo, 0 or NaN if there is none.
        categories: True categories, which an estimate from a photo does not know.
        learnt: Mask of the photos to fit the models on.
        asked: Mask of the photos to evaluate on.
    """
    _, number = np.unique(categories, return_inverse=True)
    columns = np.eye(number.max() + 1)[number]
    learnt, asked = learnt & (prices > 0), asked & (prices > 0)
    errors = {}
    if learnt.any() and asked.any():
        for name, there, back in (("linear", np.array, np.array), ("log_linear", np.log, np.exp)):
            found, *_ = np.linalg.lstsq(columns[learnt], there(prices[learnt]), rcond=None)
            errors[f"{name}_median_error"] = median_error(
                back(columns[asked] @ found), prices[asked]
            )
    return errors


def _estimate(each: Priced, price_range: PriceRange) -> PriceEstimate:
    found = estimate(each.prices, each.weights, price_range)
    assert found is not None  # `priced` leaves out queries without prices
    return found


def _off(each: Priced, found: PriceEstimate) -> float:
    return abs(math.log(each.price) - math.log(found.median))
