"""What such a thing costs: the prices of similar listings that can be compared.

The arithmetic is that of training, in `lookalike/pricing.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from lookalike import pricing
from lookalike.pricing import PriceRange


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
        found: Different listings, nearest first; those beyond what counts are left out, and those
            in another currency than most.
        fitted: How prices become a range; None takes the middle four fifths of them.
    """
    # A price of 0 is a gift, or means "make an offer".
    priced = [each for each in found if each.price > 0]
    if not priced:
        return None
    most = fitted.listings if fitted else pricing.DEFAULT_LISTINGS
    # Of currencies that are equally many, the one that is found first.
    currency = Counter(each.currency for each in priced[:most]).most_common(1)[0][0]
    near = [each for each in priced if each.currency == currency]
    made = pricing.estimate([e.price for e in near], [e.likeness for e in near], fitted)
    if made is None:
        return None
    return PriceEstimate(
        median=made.median,
        low=made.low,
        high=made.high,
        coverage=made.coverage,
        listings=len(made.counted),
        currency=currency,
        outliers=[near[place] for place in made.outliers],
    )
