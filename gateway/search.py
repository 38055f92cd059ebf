"""Which listings look like this one?"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.budget import Budget
from gateway.classify import Classifier
from gateway.listings import Classification, Neighbors, PhotoQuery, Wanted
from gateway.upstreams import IndexUpstream
from lookalike.errors import InvalidArgumentError

DEFAULT_K = 10
MAX_K = 1000


@dataclass(frozen=True)
class SimilarListings:
    """The listings found, and the queried photo's classification if a photo was sent."""

    neighbors: Neighbors
    classification: Classification | None
    cached: bool = False
    degraded: str = ""


class SimilarListingFinder:
    """Finds listings by a photo or by an item of the catalogue."""

    def __init__(self, classifier: Classifier, index: IndexUpstream) -> None:
        self._classifier = classifier
        self._index = index

    async def find(self, query: PhotoQuery, wanted: Wanted, budget: Budget) -> SimilarListings:
        """Returns listings like photos, like a photo of the catalogue, or near a vector."""
        raise NotImplementedError

    async def find_by_image(self, image: bytes, k: int, budget: Budget) -> SimilarListings:
        """Returns the `k` listings most like a photo; 0 means 10."""
        k = _checked(k)
        photo = await self._classifier.classify(image, budget)
        neighbors = await self._index.find(photo.vector, k, budget)
        return SimilarListings(neighbors, photo.classification)

    async def find_by_item(self, item_id: str, k: int, budget: Budget) -> SimilarListings:
        """Returns the `k` other listings most like an item's photo; 0 means 10."""
        return SimilarListings(await self._index.find(item_id, _checked(k), budget), None)


def _checked(k: int) -> int:
    if not 0 <= k <= MAX_K:
        raise InvalidArgumentError(f"k is {k}; it must be 1 to {MAX_K}, or 0 for 10", field="k")
    return k or DEFAULT_K
