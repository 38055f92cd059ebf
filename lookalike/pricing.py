"""Estimates what an item costs from the prices of similar listings.

Prices are compared by their logarithms: a price is as far from its half as from its double. Each is
weighted by its listing's likeness, so that many other items do not outvote the few matching ones.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

DEFAULT_LISTINGS = 50
"""Number of nearest listings that count where no range was fitted."""

# Lower bound of the spread: if most prices are equal, the others need not be outliers.
_DEFAULT_LEAST_SPREAD = 0.1
# With fewer prices, outliers cannot be told.
_LEAST_FOR_OUTLIERS = 5
_OUTLIER_SPREADS = 3.0
# Standard deviation of a normal distribution, in median absolute deviations.
_SCALED = 1.4826
_LOW, _HIGH = 0.1, 0.9
# Tolerance for rounding in sums of weights.
_ROUNDING = 1e-12
_LARGEST = math.log(1.7e308)


@dataclass(frozen=True)
class PriceRange:
    """How to make a range that holds a given share of prices, fitted when a model is exported.

    Attributes:
        listings: Number of nearest listings that count.
        coverage: Share of prices that the range should hold.
        width: Half width of the range, in spreads, in logarithms.
        least_spread: Lower bound of the spread.
    """

    listings: int
    coverage: float
    width: float
    least_spread: float


@dataclass(frozen=True)
class PriceEstimate:
    """A fair price.

    Attributes:
        median: Weighted median of the prices that count.
        low: Lower end of the range.
        high: Upper end of the range.
        spread: Spread of the logarithms: 1.4826 median absolute deviations, or the lower bound.
        coverage: Share of prices within such ranges when they were fitted; 0 if not fitted.
        counted: Indices of the prices that count.
        outliers: Indices of the prices left out as too far from the others.
    """

    median: float
    low: float
    high: float
    spread: float
    coverage: float
    counted: tuple[int, ...]
    outliers: tuple[int, ...]


def estimate(
    prices: Sequence[float], weights: Sequence[float | None], fitted: PriceRange | None
) -> PriceEstimate | None:
    """Estimates a price; None if there is none to estimate from.

    Args:
        prices: Prices of different listings in one currency, nearest first. Prices of 0, which are
            gifts or mean "make an offer", and those beyond the number that counts are ignored.
        weights: The likeness of each; equal weights are used if it is None or 0 for all.
        fitted: How to make the range; None takes the middle four fifths of the prices.
    """
    most = fitted.listings if fitted else DEFAULT_LISTINGS
    near = [i for i, price in enumerate(prices) if price > 0 and math.isfinite(price)][:most]
    if not near:
        return None
    weighing = {i: weights[i] or 0.0 for i in near}
    if not any(weighing.values()):
        weighing = dict.fromkeys(near, 1.0)
    logs = {i: math.log(prices[i]) for i in near}
    least = fitted.least_spread if fitted else _DEFAULT_LEAST_SPREAD
    middle, spread = _middle(logs, weighing, near, least)
    outliers: list[int] = []
    if len(near) >= _LEAST_FOR_OUTLIERS:
        outliers = [i for i in near if abs(logs[i] - middle) > _OUTLIER_SPREADS * spread]
    counted = [i for i in near if i not in outliers]
    middle, spread = _middle(logs, weighing, counted, least)
    if fitted:
        low, high = middle - fitted.width * spread, middle + fitted.width * spread
    else:
        low, high = (
            weighted_quantile([logs[i] for i in counted], [weighing[i] for i in counted], share)
            for share in (_LOW, _HIGH)
        )
    return PriceEstimate(
        median=_price(middle),
        low=_price(low),
        high=_price(high),
        spread=spread,
        coverage=fitted.coverage if fitted else 0.0,
        counted=tuple(counted),
        outliers=tuple(outliers),
    )


def weighted_quantile(values: Sequence[float], weights: Sequence[float], share: float) -> float:
    """Returns the weighted quantile: the least value with more than `share` of the weight up to it.

    If exactly that share lies up to a value, the result is the mean of it and the next, like a
    median of an even number of values.

    Args:
        values: At least one value.
        weights: Weight of each value, 0 or more, not all 0.
        share: 0 to 1.
    """
    ordered = sorted(pair for pair in zip(values, weights, strict=True) if pair[1] > 0)
    if not ordered:
        raise ValueError("no value has a weight")
    total, below = math.fsum(weights), 0.0
    for (value, weight), (following, _) in itertools.pairwise(ordered):
        below += weight
        if below > (share + _ROUNDING) * total:
            return value
        if below >= (share - _ROUNDING) * total:
            return (value + following) / 2
    return ordered[-1][0]


def _middle(
    logs: dict[int, float], weighing: dict[int, float], chosen: Sequence[int], least: float
) -> tuple[float, float]:
    """Returns the median of the chosen prices' logarithms, and their spread."""
    weights = [weighing[i] for i in chosen]
    middle = weighted_quantile([logs[i] for i in chosen], weights, 0.5)
    off = weighted_quantile([abs(logs[i] - middle) for i in chosen], weights, 0.5)
    return middle, max(least, _SCALED * off)


def _price(log: float) -> float:
    # Twelve digits: beyond those a price differs from the exponential of its logarithm.
    return float(f"{math.exp(min(log, _LARGEST)):.12g}")
