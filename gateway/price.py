"""What a thing costs, from the prices of listings that look like it. Pure arithmetic.

Prices are compared by their logarithms: a price is as far from its half as from its double. Each
counts as much as its listing is likely to be the same item, so that a hundred other things do not
outvote the few that are it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.calibration import PriceRange

# How many of the nearest listings count where no range was fitted.
DEFAULT_LISTINGS = 50
# Of so few nobody can tell which is the odd one out.
_LEAST_FOR_OUTLIERS = 5
_OUTLIER_SPREADS = 3.0
# Where most of the prices are one, the others need not be wrong.
_LEAST_SPREAD = 0.1
# What a normal distribution's standard deviation is, in median absolute deviations.
_SCALED = 1.4826
_LOW, _HIGH = 0.1, 0.9
# Half the weight is half of it, whatever the sum's last digit.
_ROUNDING = 1e-12
_LARGEST = math.log(1.7e308)


@dataclass(frozen=True)
class PricedListing:
    """A similar listing that has a price.

    Attributes:
        item_id: The photo that was found.
        product_id: Its listing.
        price: In `currency`.
        currency: As the catalogue has it; may be empty.
        likeness: How likely it is the same item; None if that was not calibrated.
    """

    item_id: str
    product_id: str
    price: float
    currency: str = ""
    likeness: float | None = None


@dataclass(frozen=True)
class PriceEstimate:
    """A fair price.

    Attributes:
        median: Of the prices that count, each weighted by its likeness.
        low: Lower end of the range.
        high: Upper end of the range.
        coverage: The share of prices that such ranges held when they were fitted; 0 if none were.
        listings: How many prices count.
        currency: Of all of them; may be empty.
        outliers: Listings whose prices were left out, nearest first.
    """

    median: float
    low: float
    high: float
    coverage: float
    listings: int
    currency: str = ""
    outliers: Sequence[PricedListing] = ()


def estimate(found: Sequence[PricedListing], fitted: PriceRange | None) -> PriceEstimate | None:
    """Returns what similar listings cost; None if none of them has a price.

    Args:
        found: Different listings, nearest first; those beyond what counts are left out.
        fitted: How prices become a range; None takes the middle four fifths of them.
    """
    most = fitted.listings if fitted else DEFAULT_LISTINGS
    # A price of 0 is a gift, or means "make an offer".
    priced = [each for each in found if each.price > 0 and math.isfinite(each.price)]
    if not priced:
        return None
    currency = _currency(priced[:most])
    near = [each for each in priced if each.currency == currency][:most]
    weights = _weights(near)
    logs = [math.log(each.price) for each in near]
    middle = weighted_quantile(logs, weights, 0.5)
    least = fitted.least_spread if fitted else _LEAST_SPREAD
    limit = _OUTLIER_SPREADS * max(least, _spread(logs, weights, middle))
    far = [len(near) >= _LEAST_FOR_OUTLIERS and abs(log - middle) > limit for log in logs]
    outliers = [each for each, is_far in zip(near, far, strict=True) if is_far]
    logs = [log for log, is_far in zip(logs, far, strict=True) if not is_far]
    weights = [weight for weight, is_far in zip(weights, far, strict=True) if not is_far]
    middle = weighted_quantile(logs, weights, 0.5)
    if fitted:
        reach = fitted.width * max(fitted.least_spread, _spread(logs, weights, middle))
        low, high = middle - reach, middle + reach
    else:
        low, high = (weighted_quantile(logs, weights, share) for share in (_LOW, _HIGH))
    return PriceEstimate(
        median=_price(middle),
        low=_price(low),
        high=_price(high),
        coverage=fitted.coverage if fitted else 0.0,
        listings=len(logs),
        currency=currency,
        outliers=outliers,
    )


def weighted_quantile(values: Sequence[float], weights: Sequence[float], share: float) -> float:
    """Returns the least value that a share of the weight lies at or below.

    Where exactly that share does, it is the mean of this value and the next, as a median of an
    even number is.

    Args:
        values: At least one.
        weights: Of each value, 0 or more, not all 0.
        share: 0 to 1.
    """
    ordered = sorted(pair for pair in zip(values, weights, strict=True) if pair[1] > 0)
    total = math.fsum(weights)
    wanted, sum_so_far = share * total, 0.0
    for i, (value, weight) in enumerate(ordered):
        sum_so_far += weight
        if sum_so_far > wanted + _ROUNDING * total or i == len(ordered) - 1:
            return value
        if sum_so_far >= wanted - _ROUNDING * total:
            return (value + ordered[i + 1][0]) / 2
    raise ValueError("there are no values, or none has a weight")


def _spread(logs: Sequence[float], weights: Sequence[float], middle: float) -> float:
    return _SCALED * weighted_quantile([abs(log - middle) for log in logs], weights, 0.5)


def _currency(priced: Sequence[PricedListing]) -> str:
    # Of those that are equally many, the one that is found first.
    return Counter(each.currency for each in priced).most_common(1)[0][0]


def _weights(near: Sequence[PricedListing]) -> list[float]:
    weights = [each.likeness or 0.0 for each in near]
    # Without likeness, or with one that is 0 for all, each counts the same.
    return weights if math.fsum(weights) > 0 else [1.0] * len(near)


def _price(log: float) -> float:
    # Without the last digits, in which a price differs from the exponential of its logarithm.
    return float(f"{math.exp(min(log, _LARGEST)):.12g}")
