"""Computes likeness: the probability that a photo found shows the item of the query.

Distance alone is a poor predictor: among many dining chairs another chair is as near as, elsewhere,
the second photo of a vase. So a photo's distance is taken relative to that of the crowd of further
hits, together with the margin by which it stands out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

CROWD = slice(10, 20)
"""Ranks, from 0, of the nearest listings whose mean distance is the crowd's distance."""

SAME_PHOTO = 0.005
"""Distance, in crowd distances, below which a photo is the query's own, maybe re-encoded."""
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
        intercept: Log-odds at distance 0 and margin 0.
        distance: Decrease of the log-odds per unit of distance, in crowd distances.
        margin: Increase of the log-odds per unit of margin, in crowd distances.
        crowd: Crowd distance to assume where fewer than 20 listings were found.
    """

    intercept: float
    distance: float
    margin: float
    crowd: float

    def of(self, distances: Sequence[float], listings: Sequence[str]) -> list[float]:
        """Returns each hit's likeness, 0 to 1; never higher for a farther hit of another listing.

        Args:
            distances: The hits' ranking distances, nearest first.
            listings: The listing of each hit.
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
    """Returns each hit's distance and margin, both as multiples of the crowd distance.

    The margin is by how much a hit is nearer than the nearest hit of another listing, negative if
    it is farther. Copies of the query's own photo do not count as rivals.

    Args:
        distances: The hits' distances, nearest first; below 0 counts as 0.
        listings: The listing of each hit.
        usual: Crowd distance to assume where fewer than 20 listings were found; above 0.
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
    """Returns a likeness in words; empty for None."""
    if likeness is None:
        return ""
    return next(words for least, words in _WORDS if likeness >= least)


def _logistic(log_odds: float) -> float:
    if log_odds < 0:  # prevents overflow
        return 1 - _logistic(-log_odds)
    return 1 / (1 + math.exp(-log_odds))
