"""How to rank by a model's outputs, and what its distances mean.

The values are fitted when the model is exported, on photos that it was not trained on.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.listings import RankingMethod
from lookalike.likeness import Likeness


@dataclass(frozen=True)
class Ranking:
    """How to rank listings by two outputs; a curve is None where it was not fitted.

    Attributes:
        output: The output whose cosine distance ranks candidates.
        vector_weight: Weight of the distance by the default output beside it.
        candidates: How many of the nearest by the default output are ranked.
        blend: Likeness by the weighted sum.
        features: Likeness by the cosine distance alone.
        category: Likeness by the distance of the default output alone.
    """

    output: str
    vector_weight: float
    candidates: int
    blend: Likeness | None = None
    features: Likeness | None = None
    category: Likeness | None = None

    def curve(self, method: RankingMethod) -> Likeness | None:
        """Returns the likeness curve for a ranking method; None for one by words."""
        curves = {
            RankingMethod.BLEND: self.blend,
            RankingMethod.FEATURES: self.features,
            RankingMethod.CATEGORY: self.category,
        }
        return curves.get(method)
