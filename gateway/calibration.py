"""What a model says of how to rank by its outputs, and of what distances and prices mean.

Fitted when the model was exported, on photos that it was not trained with. Pure values.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.listings import RankingMethod
from lookalike.likeness import Likeness


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
