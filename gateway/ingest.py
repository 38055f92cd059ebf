"""A listing's photo into the catalogue."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.budget import Budget
from gateway.classify import Classifier
from gateway.listings import Classification, Listing, Written
from gateway.upstreams import IndexUpstream


@dataclass(frozen=True)
class IngestedListing:
    """What was written, and what the model makes of the photo."""

    written: Written
    classification: Classification


class Ingester:
    """Embeds photos and writes them to the index."""

    def __init__(self, classifier: Classifier, index: IndexUpstream) -> None:
        self._classifier = classifier
        self._index = index

    async def ingest(self, listing: Listing, image: bytes, budget: Budget) -> IngestedListing:
        """Adds a photo, or replaces the one of the same id; durable when this returns."""
        photo = await self._classifier.classify(image, budget)
        written = await self._index.upsert(listing, photo.vector, budget)
        return IngestedListing(written, photo.classification)
