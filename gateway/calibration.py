"""What a model says of how to rank by its outputs, and of what distances and prices mean.

Fitted when the model was exported, on photos that it was not trained with. Pure values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gateway.listings import RankingMethod

# Below its exponential, 1 + e is 1.
_CERTAIN = 37.0


@dataclass(frozen=True)
class Likeness:
    """How likely two photos show the same item, by a distance: a falling logistic curve.

    Attributes:
        midpoint: The distance at which it is as likely as not.
        steepness: How fast it falls; above 0.
    """

    midpoint: float
    steepness: float

    def at(self, distance: float) -> float:
        """Returns the likeness at a distance, 0 to 1."""
        exponent = self.steepness * (distance - self.midpoint)
        if exponent <= 0:
            return 1 / (1 + math.exp(exponent))
        falling = math.exp(-exponent)  # the other one overflows
        return falling / (1 + falling)

    def farthest(self, likeness: float) -> float:
        """Returns the distance up to which it is at least `likeness`; infinite for 0."""
        if likeness <= 0:
            return math.inf
        odds = math.log((1 - likeness) / likeness) if likeness < 1 else -_CERTAIN
        return self.midpoint + odds / self.steepness


@dataclass(frozen=True)
class Ranking:
    """How listings are ranked by two outputs; a curve is None where it was not fitted.

    Attributes:
        output: The output by whose cosine distance candidates are ranked.
        vector_weight: What a distance by the default output counts beside it.
        candidates: How many of the nearest by the default output are ranked.
        blend: Likeness by the weighted sum.
        features: By the cosine distance alone.
        category: By the distance of the default output alone.
    """

    output: str
    vector_weight: float
    candidates: int
    blend: Likeness | None = None
    features: Likeness | None = None
    category: Likeness | None = None

    def curve(self, method: RankingMethod) -> Likeness | None:
        """Returns the likeness by what a method ranks by."""
        curves = {
            RankingMethod.BLEND: self.blend,
            RankingMethod.FEATURES: self.features,
            RankingMethod.CATEGORY: self.category,
        }
        return curves[method]


@dataclass(frozen=True)
class PriceRange:
    """A range that holds a price as often as it says, from the prices of similar listings.

    Attributes:
        listings: How many listings its figures were fitted with.
        coverage: The share of prices that the range is to hold.
        width: How many spreads of log prices it reaches to each side of their median.
        least_spread: The least spread that is reckoned with.
    """

    listings: int
    coverage: float
    width: float
    least_spread: float
