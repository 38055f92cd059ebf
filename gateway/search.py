"""Which listings look like this one?"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass

from gateway import validation
from gateway.budget import Budget
from gateway.classify import Classifier, EmbeddedPhoto
from gateway.index import IndexUpstream
from gateway.lineage import Lineage
from gateway.listings import (
    Classification,
    ItemId,
    Neighbors,
    PhotoQuery,
    Photos,
    PhotoVector,
    Wanted,
)
from gateway.upstreams import is_out_of_time
from lookalike.errors import (
    EmbeddingSpaceMismatchError,
    InvalidArgumentError,
    LookalikeError,
    UpstreamUnavailableError,
)


@dataclass(frozen=True)
class SimilarListings:
    """The listings found, and what the model makes of the photos, if photos were sent.

    Attributes:
        cached: Whether the vectors of all photos were known.
        degraded: What is missing, in words.
    """

    neighbors: Neighbors
    classification: Classification | None
    cached: bool = False
    degraded: str = ""


class SimilarListingFinder:
    """Finds listings by photos, by a photo of the catalogue, or by a vector."""

    def __init__(self, classifier: Classifier, index: IndexUpstream, lineage: Lineage) -> None:
        self._classifier = classifier
        self._index = index
        self._lineage = lineage

    async def find(self, query: PhotoQuery, wanted: Wanted, budget: Budget) -> SimilarListings:
        """Returns listings like photos, like a photo of the catalogue, or near a vector.

        Raises:
            EmbeddingSpaceMismatchError: The photos' or vector's space is not the collection's.
            UpstreamUnavailableError: An upstream is away, and the answer cannot do without.
            LookalikeError: Whatever else an upstream says.
        """
        wanted, query = validation.wanted(wanted), validation.query(query)
        match query:
            case ItemId():
                return SimilarListings(await self._index.find(query, wanted, budget), None)
            case PhotoVector():
                field = "vector.embedding_space"
                self._lineage.check(query.embedding_space, field)
                return SimilarListings(await self._search([query], wanted, budget, field), None)
            case Photos(images):
                return await self._by_photos(images, wanted, budget)

    async def _by_photos(
        self, images: Sequence[bytes], wanted: Wanted, budget: Budget
    ) -> SimilarListings:
        field = "image" if len(images) == 1 else "images"
        self._lineage.check(field=field)
        photos = await self._embed(images, budget)
        vectors = [photo.vector for photo in photos]
        classification = await self._classifier.classification(_mean(vectors), budget)
        cached = all(photo.cached for photo in photos)
        try:
            neighbors = await self._search(vectors, wanted, budget, field)
        except LookalikeError as error:
            away = isinstance(error, UpstreamUnavailableError) or is_out_of_time(error)
            if not (wanted.allow_partial and away):
                raise
            degraded = f"no listings: {error.message}"
            nothing = Neighbors([], "the index did not answer", exact=False)
            return SimilarListings(nothing, classification, cached, degraded)
        return SimilarListings(neighbors, classification, cached)

    async def _search(
        self, vectors: Sequence[PhotoVector], wanted: Wanted, budget: Budget, field: str
    ) -> Neighbors:
        try:
            return await self._index.find(vectors, wanted, budget)
        except EmbeddingSpaceMismatchError as error:
            self._lineage.look()
            error.field = field
            raise

    async def _embed(self, images: Sequence[bytes], budget: Budget) -> Sequence[EmbeddedPhoto]:
        if len(images) == 1:
            return [await self._classifier.embed(images[0], budget, later=self._index.reads)]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._embed_one_of(i, image, budget))
                    for i, image in enumerate(images)
                ]
        except* LookalikeError as errors:
            first = errors.exceptions[0]
            assert isinstance(first, LookalikeError)
            raise first from None
        return [task.result() for task in tasks]

    async def _embed_one_of(self, number: int, image: bytes, budget: Budget) -> EmbeddedPhoto:
        try:
            return await self._classifier.embed(image, budget, later=self._index.reads)
        except InvalidArgumentError as error:
            # Another one, since callers who sent the same photo share the error.
            raise type(error)(
                f"photo {number + 1}: {error.message}",
                field=f"images.images[{number}]",
                metadata=error.metadata,
            ) from None


def _mean(vectors: Sequence[PhotoVector]) -> PhotoVector:
    """Returns the mean of vectors of one model."""
    if len({vector.embedding_space for vector in vectors}) > 1:
        raise UpstreamUnavailableError(
            "the embedders changed their model during the request; retry", retry_after_ms=100
        )
    columns = zip(*(vector.values for vector in vectors), strict=True)
    values = [math.fsum(column) / len(vectors) for column in columns]
    return PhotoVector(values, vectors[0].embedding_space)
