"""How likely a photo that was found shows the item of the query. Knows neither models nor protos.

A distance alone does not tell: in a crowd of dining chairs a stranger is as near as, elsewhere, the
other photo of the same vase. What tells is how near a photo is beside the crowd, and by how much it
stands out from it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

CROWD = slice(10, 20)
"""Places, from 0, of the nearest listings whose mean distance is the crowd's."""

SAME_PHOTO = 0.005
"""Distance, in crowds, below which a photo is the query's own, maybe encoded anew."""
_SAME_PHOTO_LIKENESS = 0.99

_WORDS = (
    (0.9, "almost certainly the same item"),
    (0.5, "probably the same item"),
    (0.1, "possibly the same item"),
    (0.0, "another item"),
)


@dataclass(frozen=True)
class Likeness:
    """A logistic model of nearness, fitted on validation photos when a model is exported.

    Attributes:
        intercept: Log-odds of a photo at no distance that does not stand out.
        distance: What the distance, in crowds, takes from them.
        margin: What standing out, in crowds, adds to them.
        crowd: The crowd's distance where fewer than 20 listings were found.
    """

    intercept: float
    distance: float
    margin: float
    crowd: float

    def of(self, distances: Sequence[float], listings: Sequence[str]) -> list[float]:
        """Returns each hit's likeness, 0 to 1; never more for a farther hit of another listing.

        Args:
            distances: Of the hits by what they are ranked by, nearest first.
            listings: The listing of each.
        """
        found = [
            (distance, _logistic(self.intercept - self.distance * distance + self.margin * margin))
            for distance, margin in in_crowds(distances, listings, self.crowd)
        ]
        same = max([_SAME_PHOTO_LIKENESS, *(likeness for _, likeness in found)])
        return [same if distance < SAME_PHOTO else likeness for distance, likeness in found]


def in_crowds(
    distances: Sequence[float], listings: Sequence[str], usual: float
) -> list[tuple[float, float]]:
    """Returns each hit's distance and its margin, both as multiples of the crowd's distance.

    The margin is by how much a hit is nearer than the nearest of another listing; negative if it is
    farther. Photos that are the query's own stand beside no other.

    Args:
        distances: Of the hits, nearest first; below 0 counts as 0.
        listings: The listing of each.
        usual: The crowd's distance where fewer than 20 listings were found; above 0.
    """
    first: dict[str, float] = {}
    for distance, listing in zip(distances, listings, strict=True):
        first.setdefault(listing, max(0.0, distance))
    nearest = list(first.values())
    crowd = math.fsum(nearest[CROWD]) / 10 if len(nearest) >= CROWD.stop else usual
    crowd = crowd or usual  # twenty copies of one photo are no crowd
    others = [(d, listing) for listing, d in first.items() if d / crowd >= SAME_PHOTO][:2]
    found: list[tuple[float, float]] = []
    for distance, listing in zip(distances, listings, strict=True):
        own = max(0.0, distance) / crowd
        rival = next((d for d, other in others if other != listing), crowd)
        found.append((own, rival / crowd - own))
    return found


def likeness_words(likeness: float | None) -> str:
    """Returns a likeness in words; nothing where there is none."""
    if likeness is None:
        return ""
    return next(words for least, words in _WORDS if likeness >= least)


def _logistic(log_odds: float) -> float:
    if log_odds < 0:  # so that nothing overflows
        return 1 - _logistic(-log_odds)
    return 1 / (1 + math.exp(-log_odds))
