"""A listing's photo into the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.budget import Budget
from gateway.classify import Classifier
from gateway.listings import Classification, Listing, NearDuplicate, Written
from gateway.upstreams import IndexUpstream


class Thumbnails(Protocol):
    """Small copies of the catalogue's photos."""

    async def keep(self, item_id: str, image: bytes) -> None:
        """Makes and keeps a photo's thumbnail, in the place of one of the same id."""

    async def remove(self, item_ids: Sequence[str]) -> None:
        """Removes thumbnails; those that are not there are no error."""


@dataclass(frozen=True)
class IngestedListing:
    """What was written, what the model makes of the photo, and which others look the same.

    Attributes:
        cached: Whether the vector was known.
        degraded: What could not be done besides, in words.
        near_duplicates: Photos of other listings, nearest first.
    """

    written: Written
    classification: Classification
    cached: bool = False
    degraded: str = ""
    near_duplicates: Sequence[NearDuplicate] = ()


class Ingester:
    """Embeds photos and writes them to the index."""

    def __init__(self, classifier: Classifier, index: IndexUpstream) -> None:
        self._classifier = classifier
        self._index = index

    async def ingest(
        self, listing: Listing, image: bytes, budget: Budget, request_id: str = ""
    ) -> IngestedListing:
        """Adds a photo, or replaces the one of the same id; durable when this returns."""
        photo = await self._classifier.classify(image, budget)
        written = await self._index.upsert(listing, photo.vector, budget)
        return IngestedListing(written, photo.classification)
