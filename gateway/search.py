"""Which listings look like this one, and what does such a thing cost?"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway import price, queries, validation
from gateway.budget import Budget
from gateway.classify import Classifier
from gateway.index import IndexUpstream, Serving
from gateway.lineage import Lineage
from gateway.listings import (
    Classification,
    ItemId,
    Neighbors,
    PhotoQuery,
    Photos,
    PhotoVector,
    RankingMethod,
    Wanted,
)
from gateway.photos import EmbeddedPhotos, PhotoFailure
from gateway.price import PricedListing, PriceEstimate
from gateway.ranking import Ranker, Way
from gateway.upstreams import is_out_of_time
from gateway.vectors import mean
from lookalike import pricing
from lookalike.errors import (
    EmbeddingSpaceMismatchError,
    LookalikeError,
    RankingUnavailableError,
    UpstreamUnavailableError,
)

# Of the nearest with a price some may be in another currency.
_LOOKED_AT_FOR_PRICE = 2
_LEAST_PRICE = 1e-9


@dataclass(frozen=True)
class SimilarListings:
    """The listings found, and what the model makes of the photos, if photos were sent.

    Attributes:
        cached: Whether the vectors of all photos were known.
        degraded: What is missing beside `failures`, in words.
        ranking: By what the listings are ranked.
        price: What such a thing costs; None if nobody asked, or no similar listing has a price.
        failures: Photos that could not be used.
    """

    neighbors: Neighbors
    classification: Classification | None
    cached: bool = False
    degraded: str = ""
    ranking: RankingMethod = RankingMethod.CATEGORY
    price: PriceEstimate | None = None
    failures: Sequence[PhotoFailure] = ()


class SimilarListingFinder:
    """Finds listings by photos, by a photo of the catalogue, or by a vector."""

    def __init__(
        self, classifier: Classifier, index: IndexUpstream, lineage: Lineage, ranker: Ranker
    ) -> None:
        self._classifier = classifier
        self._index = index
        self._lineage = lineage
        self._ranker = ranker

    async def find(self, query: PhotoQuery, wanted: Wanted, budget: Budget) -> SimilarListings:
        """Returns listings like photos, like a photo of the catalogue, or near a vector.

        Raises:
            EmbeddingSpaceMismatchError: The photos' or vector's space is not the collection's.
            RankingUnavailableError: The ranking or the likeness that is wanted cannot be had.
            UpstreamUnavailableError: An upstream is away, and the answer cannot do without.
            LookalikeError: Whatever else an upstream says.
        """
        wanted, query = validation.wanted(wanted), validation.query(query)
        match query:
            case ItemId():
                return await self._search(query, wanted, budget, "item_id")
            case PhotoVector():
                field = "vector.embedding_space"
                self._lineage.check(query.embedding_space, field)
                await self._ranker.learn(budget)
                self._ranker.check(query)
                return await self._search([query], wanted, budget, field)
            case Photos(images):
                return await self._by_photos(images, wanted, budget)

    async def _by_photos(
        self, images: Sequence[bytes], wanted: Wanted, budget: Budget
    ) -> SimilarListings:
        field = "image" if len(images) == 1 else "images"
        self._lineage.check(field=field)
        photos = await self._embed(images, wanted, budget)
        vectors = photos.vectors
        classification = await self._classifier.classification(mean(vectors), budget)
        try:
            found = await self._search(vectors, wanted, budget, field)
        except LookalikeError as error:
            away = isinstance(error, UpstreamUnavailableError) or is_out_of_time(error)
            if not (wanted.allow_partial and away):
                raise
            nothing = Neighbors([], "the index did not answer", exact=False)
            found = SimilarListings(nothing, None, degraded=f"no listings: {error.message}")
        return replace(
            found,
            classification=classification,
            cached=photos.cached,
            failures=photos.failures,
        )

    async def _embed(
        self, images: Sequence[bytes], wanted: Wanted, budget: Budget
    ) -> EmbeddedPhotos:
        later = self._index.reads
        if len(images) == 1:
            return EmbeddedPhotos([await self._classifier.embed(images[0], budget, later=later)])
        return await self._classifier.embed_all(
            images, budget, partial=wanted.allow_partial, field="images.images", later=later
        )

    async def _search(
        self, query: ItemId | Sequence[PhotoVector], wanted: Wanted, budget: Budget, field: str
    ) -> SimilarListings:
        await self._ranker.learn(budget)
        try:
            if not wanted.include_price:
                neighbors, way = await self._find(query, wanted, budget)
                return SimilarListings(neighbors, None, ranking=way.method)
            return await self._with_price(query, wanted, budget)
        except EmbeddingSpaceMismatchError as error:
            self._lineage.look()
            error.field = field
            raise

    async def _find(
        self, query: ItemId | Sequence[PhotoVector], wanted: Wanted, budget: Budget
    ) -> tuple[Neighbors, Way]:
        """Searches in the best way; where the index cannot go it, by category."""
        vector = None if isinstance(query, ItemId) else _least(query)
        way, serving = self._ranker.way(wanted, vector), self._index.serving
        try:
            found = await self._index.find(query, way.asked, budget, way.rerank)
            if isinstance(query, ItemId):
                if self._is_of_another_space(serving):
                    return await self._find(query, wanted, budget)
                way = self._way_gone(way, wanted, query, found)
        except RankingUnavailableError:
            if wanted.ranking is not None:
                raise
            way = self._ranker.by_category(wanted, vector)
            found = await self._index.find(query, way.asked, budget)
        return way.judged(found), way

    def _is_of_another_space(self, before: Serving | None) -> bool:
        """Whether the name leads to another model's catalogue by now, which ranks otherwise."""
        now = self._index.serving
        return bool(before and now and before.embedding_space != now.embedding_space)

    def _way_gone(self, way: Way, wanted: Wanted, query: ItemId, found: Neighbors) -> Way:
        """Returns how listings like an item were ranked: by category if it has no features.

        Raises:
            RankingUnavailableError: That is not what is wanted.
        """
        if way.rerank is None or found.candidates_ranked:
            return way
        if not found.hits:
            return way  # there was nothing to rank
        if wanted.ranking is None:
            return self._ranker.by_category(wanted, None)
        raise RankingUnavailableError(queries.without_features(query.item_id), field="ranking")

    async def _with_price(
        self, query: ItemId | Sequence[PhotoVector], wanted: Wanted, budget: Budget
    ) -> SimilarListings:
        """Searches twice at once: prices come from more listings, whatever they cost."""
        found, cost = await asyncio.gather(
            self._find(query, wanted, budget),
            self._price(query, wanted, budget),
            return_exceptions=True,
        )
        if isinstance(found, BaseException):
            raise found
        neighbors, way = found
        if isinstance(cost, LookalikeError):
            degraded = f"no price: {cost.message}"
            return SimilarListings(neighbors, None, degraded=degraded, ranking=way.method)
        if isinstance(cost, BaseException):
            raise cost
        return SimilarListings(neighbors, None, ranking=way.method, price=cost)

    async def _price(
        self, query: ItemId | Sequence[PhotoVector], wanted: Wanted, budget: Budget
    ) -> PriceEstimate | None:
        fitted = self._ranker.price_range(None if isinstance(query, ItemId) else query[0])
        listings = fitted.listings if fitted else pricing.DEFAULT_LISTINGS
        priced = Wanted(
            k=min(_LOOKED_AT_FOR_PRICE * listings, validation.MAX_K),
            filter=replace(wanted.filter, min_price=_LEAST_PRICE, max_price=None),
            exact=wanted.exact,
            min_seq=wanted.min_seq,
            allow_partial=wanted.allow_partial,
            ranking=wanted.ranking,
        )
        found, _ = await self._find(query, priced, budget)
        return price.estimate(
            [
                PricedListing(
                    hit.photo.item_id,
                    hit.photo.product_id,
                    hit.photo.price,
                    hit.photo.currency,
                    hit.likeness,
                )
                for hit in found.hits
                if hit.photo.price is not None
            ],
            fitted,
        )


def _least(vectors: Sequence[PhotoVector]) -> PhotoVector:
    """Returns a vector that has features only if all have."""
    return next((vector for vector in vectors if not vector.features), vectors[0])
