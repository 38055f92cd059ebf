"""Estimates a fair price from the comparable prices of similar listings.

The arithmetic is in `lookalike/pricing.py`, which training uses too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.listings import Neighbors, SearchOptions
from lookalike import limits, pricing
from lookalike.pricing import PriceRange

# Twice as many as are needed, as some of the nearest may be priced in another currency.
_LOOKED_AT = 2
_LEAST_PRICE = 1e-9


@dataclass(frozen=True)
class PricedListing:
    """A similar listing that has a price.

    Attributes:
        item_id: Id of the photo that was found.
        product_id: Id of its listing.
        price: Price in `currency`.
        currency: Currency in the catalogue; may be empty.
        likeness: Probability that it is the same item; None if not calibrated.
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
        median: Median of the prices that count, each weighted by its likeness.
        low: Lower end of the range.
        high: Upper end of the range.
        coverage: Share of prices within such ranges when they were fitted; 0 if not fitted.
        listings: Number of prices that count.
        currency: Their currency; may be empty.
        outliers: Listings whose prices were left out, nearest first.
    """

    median: float
    low: float
    high: float
    coverage: float
    listings: int
    currency: str = ""
    outliers: Sequence[PricedListing] = ()


def search_options(asked: SearchOptions, fitted: PriceRange | None) -> SearchOptions:
    """Returns the options of the search whose listings tell the price of what is looked for."""
    listings = fitted.listings if fitted else pricing.DEFAULT_LISTINGS
    return SearchOptions(
        k=min(_LOOKED_AT * listings, limits.MAX_K),
        filter=replace(asked.filter, min_price=_LEAST_PRICE, max_price=None),
        exact=asked.exact,
        min_seq=asked.min_seq,
        allow_partial=asked.allow_partial,
        ranking=asked.ranking,
    )


def priced(found: Neighbors) -> list[PricedListing]:
    """Returns those of a search's listings that have a price."""
    return [
        PricedListing(
            hit.photo.item_id,
            hit.photo.product_id,
            hit.photo.price,
            hit.photo.currency,
            hit.likeness,
        )
        for hit in found.hits
        if hit.photo.price is not None
    ]


def estimate(found: Sequence[PricedListing], fitted: PriceRange | None) -> PriceEstimate | None:
    """Estimates a price from similar listings; None if none of them has a price.

    Args:
        found: Different listings, nearest first. Listings beyond the number that counts, and those
            in another currency than most, are left out.
        fitted: How to make a range of prices; None takes their middle four fifths.
    """
    # A price of 0 is a gift, or means "make an offer".
    priced = [each for each in found if each.price > 0]
    if not priced:
        return None
    most = fitted.listings if fitted else pricing.DEFAULT_LISTINGS
    # Of equally frequent currencies, this is the first found.
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
