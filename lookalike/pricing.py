"""What a thing costs, from the prices of listings like it. Knows neither models nor protos.

Prices are compared by their logarithms: a price is as far from its half as from its double. Each
counts as much as its listing is likely to be the same item, so that many other things do not
outvote the few that are it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

DEFAULT_LISTINGS = 50
"""How many of the nearest listings count where no range was fitted."""

# Where most prices are one, the others need not be wrong.
_DEFAULT_LEAST_SPREAD = 0.1
# Of fewer, nobody can tell which is the odd one out.
_LEAST_FOR_OUTLIERS = 5
_OUTLIER_SPREADS = 3.0
# What a normal distribution's standard deviation is, in median absolute deviations.
_SCALED = 1.4826
_LOW, _HIGH = 0.1, 0.9
# Half the weight is half of it, whatever the sum's last digit.
_ROUNDING = 1e-12
_LARGEST = math.log(1.7e308)


@dataclass(frozen=True)
class PriceRange:
    """A range that holds a price as often as it says, fitted when a model is exported.

    Attributes:
        listings: How many of the nearest listings count.
        coverage: The share of prices that the range is to hold.
        width: How many spreads it reaches to each side of the median, in logarithms.
        least_spread: The least spread that is reckoned with.
    """

    listings: int
    coverage: float
    width: float
    least_spread: float


@dataclass(frozen=True)
class PriceEstimate:
    """A fair price.

    Attributes:
        median: Weighted, of the prices that count.
        low: Lower end of the range.
        high: Upper end.
        spread: What the range was made of, in logarithms: 1.4826 median absolute deviations, or the
            least that is reckoned with.
        coverage: The share of prices that such ranges held; 0 if none were fitted.
        counted: Which prices count, by their places among those given.
        outliers: Which were left out, being too far from the others.
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
    """Returns what similar listings cost; None if none of them has a price.

    Args:
        prices: Of different listings in one currency, nearest first. Those of 0 do not count, since
            they are gifts or mean "make an offer", and those beyond the nearest few neither.
        weights: The likeness of each; the same for all if there is none, or it is 0 for all.
        fitted: How prices become a range; None takes the middle four fifths of them.
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
    """Returns the least value that more than a share of the weight lies at or below.

    Where exactly that share does, it is the mean of this value and the next, as a median of an
    even number is.

    Args:
        values: At least one.
        weights: Of each value, 0 or more, not all 0.
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
    # Without the last digits, in which a price differs from the exponential of its logarithm.
    return float(f"{math.exp(min(log, _LARGEST)):.12g}")
