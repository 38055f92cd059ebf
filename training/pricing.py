"""Fits the range in which a price lies four times in five, and judges estimates of prices.

The arithmetic is that of serving, in `lookalike/pricing.py`.
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
"""Of fewer prices the share that lies in a range is mostly chance."""


@dataclass(frozen=True)
class Priced:
    """A photo's price, and those of other listings like it, nearest first."""

    price: float
    prices: Sequence[float]
    weights: Sequence[float]


def priced(
    found: Found, queries: NDArray[np.int64], pool: Pool, likeness: Likeness,
    prices: NDArray[np.float64],
) -> list[Priced]:  # fmt: skip
    """Returns the queries that have a price, with the prices that they are estimated from.

    Args:
        found: By the queries.
        queries: Rows of the pool.
        pool: All photos.
        likeness: Of what was found; how much each price counts.
        prices: Of all photos, 0 or NaN where there is none.
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
    """Returns the narrowest range that holds 80 % of the prices; None of fewer than 50.

    The width is a quantile of how many spreads prices are from their estimates, as in split
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
            # upwards, since prices are round numbers, and many lie just at the end
            best = dataclasses.replace(unit, width=math.ceil(width * 1e4) / 1e4)
            narrowest = usual
    return best


def judge_prices(asked: Sequence[Priced], price_range: PriceRange) -> dict[str, Any]:
    """Returns how far estimates are off, and how many prices their ranges hold.

    Args:
        asked: At least one that the range was not fitted by.
        price_range: As fitted.
    """
    estimates = [_estimate(each, price_range) for each in asked]
    held = [one.low <= each.price <= one.high for each, one in zip(asked, estimates, strict=True)]
    return {
        "photos": len(asked),
        "median_error": median_error(
            np.array([one.median for one in estimates]), np.array([each.price for each in asked])
        ),
        "coverage": float(np.mean(held)),
        # how many times its lower end a range's upper end is
        "median_range": float(np.median([one.high / one.low for one in estimates])),
    }


def median_error(guessed: NDArray[np.float64], prices: NDArray[np.float64]) -> float:
    """Returns the median of the guesses' errors as shares of the prices."""
    return float(np.median(np.abs(guessed - prices) / prices))


def by_category(
    prices: NDArray[np.float64], categories: NDArray[np.str_], learnt: NDArray[np.bool_],
    asked: NDArray[np.bool_],
) -> dict[str, float]:  # fmt: skip
    """Returns the median errors of linear models of a price by its category alone.

    Least squares on a column of zeros and ones a category, of prices and of their logarithms: what
    an estimate by similar listings has to be better than.

    Args:
        prices: Of all photos, 0 or NaN where there is none.
        categories: Their true ones, which an estimate from a photo is not told.
        learnt: Which photos the models learn from.
        asked: Which they are judged by.
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
    assert found is not None  # `priced` leaves out what has no prices
    return found


def _off(each: Priced, found: PriceEstimate) -> float:
    return abs(math.log(each.price) - math.log(found.median))
