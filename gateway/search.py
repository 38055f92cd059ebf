"""Finds similar listings, and estimates a fair price from theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeAlias

from gateway import price, queries, validation
from gateway.classify import Classifier
from gateway.deadline import Deadline
from gateway.index import IndexUpstream
from gateway.index_state import ServingCollection
from gateway.listings import (
    Classification,
    ItemId,
    Mix,
    Neighbors,
    Photos,
    PhotoVector,
    Query,
    RankingMethod,
    SearchOptions,
    Words,
)
from gateway.mixing import Mixer
from gateway.photos import EmbeddedPhotos, PhotoFailure
from gateway.price import PriceEstimate
from gateway.ranking import Ranker, RankingPlan
from gateway.reading import Reader
from gateway.space_guard import EmbeddingSpaceGuard
from gateway.upstreams import is_out_of_time
from gateway.vectors import least, mean
from gateway.word_search import WordFinder
from lookalike.errors import (
    EmbeddingSpaceMismatchError,
    LookalikeError,
    RankingUnavailableError,
    UpstreamUnavailableError,
)
from lookalike.pricing import PriceRange

_Find: TypeAlias = "Callable[[SearchOptions], Awaitable[SimilarListings]]"


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
    """Finds listings by photos, by a photo of the catalogue, by words, by a vector, or by a mix."""

    def __init__(
        self,
        classifier: Classifier,
        index: IndexUpstream,
        space_guard: EmbeddingSpaceGuard,
        ranker: Ranker,
        reader: Reader,
    ) -> None:
        self._classifier = classifier
        self._index = index
        self._space_guard = space_guard
        self._ranker = ranker
        self._words = WordFinder(reader, index, space_guard, ranker)
        self._mixer = Mixer(classifier, reader, index)

    async def find(
        self, query: Query, options: SearchOptions, deadline: Deadline
    ) -> SimilarListings:
        """Returns listings like photos or a photo of the catalogue, or near words or a vector.

        Raises:
            EmbeddingSpaceMismatchError: The photos' or vector's space is not the collection's.
            RankingUnavailableError: The requested ranking or likeness is not available.
            UpstreamUnavailableError: An upstream that the answer needs cannot be reached.
            LookalikeError: Any other error of an upstream.
        """
        options, query = validation.search_options(options), validation.query(query)
        match query:
            case ItemId():
                return await self._search(query, options, deadline, "item_id")
            case PhotoVector():
                field = "vector.embedding_space"
                self._space_guard.check(query.embedding_space, field)
                await self._ranker.learn(deadline)
                self._ranker.check(query)
                return await self._search([query], options, deadline, field)
            case Photos(images):
                return await self._by_photos(images, options, deadline)
            case Words():
                return await self._by_words(query, options, deadline)
            case Mix():
                return await self._by_mix(query, options, deadline)

    async def _by_words(
        self, words: Words, options: SearchOptions, deadline: Deadline
    ) -> SimilarListings:
        await self._ranker.learn(deadline)
        read = await self._words.read(words, options, deadline)

        async def find(asked: SearchOptions) -> SimilarListings:
            neighbors, ranking = await self._words.find(read, asked, deadline)
            return SimilarListings(neighbors, None, degraded=read.degraded, ranking=ranking)

        try:
            with self._naming("text"):
                found = await self._with_price(find, options, fitted=None)
        except LookalikeError as error:
            found = _without_listings(error, options)
            if options.ranking is RankingMethod.WORDS:  # which needs no vectors of them
                read = await self._words.read(words, replace(options, ranking=None), deadline)
            if read.words is None:
                raise
        categories = read.words.classification if read.words else None
        return replace(found, classification=categories)

    async def _by_mix(
        self, query: Mix, options: SearchOptions, deadline: Deadline
    ) -> SimilarListings:
        self._space_guard.check(field="mix")
        mix = await self._mixer.mix(query, deadline)
        await self._ranker.learn(deadline)

        async def find(asked: SearchOptions) -> SimilarListings:
            plan = self._ranker.plan_mix(asked, mix.least)
            vector = mix.vector(by_features=plan.method is not RankingMethod.CATEGORY)
            found = await self._index.find([vector], plan.options, deadline, plan.rerank)
            return SimilarListings(found, None, mix.cached, ranking=plan.method)

        with self._naming("mix"):
            return await self._with_price(find, mix.narrowed(options), fitted=None)

    async def _by_photos(
        self, images: Sequence[bytes], options: SearchOptions, deadline: Deadline
    ) -> SimilarListings:
        field = "image" if len(images) == 1 else "images"
        self._space_guard.check(field=field)
        photos = await self._embed(images, options, deadline)
        vectors = photos.vectors
        classification = await self._classifier.classification(mean(vectors), deadline)
        try:
            found = await self._search(vectors, options, deadline, field)
        except LookalikeError as error:
            found = _without_listings(error, options)
        return replace(
            found,
            classification=classification,
            cached=photos.cached,
            failures=photos.failures,
        )

    async def _embed(
        self, images: Sequence[bytes], options: SearchOptions, deadline: Deadline
    ) -> EmbeddedPhotos:
        later = self._index.read_latencies
        if len(images) == 1:
            return EmbeddedPhotos([await self._classifier.embed(images[0], deadline, later=later)])
        return await self._classifier.embed_all(
            images, deadline, partial=options.allow_partial, field="images.images", later=later
        )

    async def _search(
        self,
        query: ItemId | Sequence[PhotoVector],
        options: SearchOptions,
        deadline: Deadline,
        field: str,
    ) -> SimilarListings:
        await self._ranker.learn(deadline)

        async def find(asked: SearchOptions) -> SimilarListings:
            neighbors, plan = await self._find(query, asked, deadline)
            return SimilarListings(neighbors, None, ranking=plan.method)

        with self._naming(field):
            fitted = self._ranker.price_range(None if isinstance(query, ItemId) else query[0])
            return await self._with_price(find, options, fitted=fitted)

    @contextmanager
    def _naming(self, field: str) -> Iterator[None]:
        """Names the field of a query whose embedding space is not the collection's."""
        try:
            yield
        except EmbeddingSpaceMismatchError as error:
            self._space_guard.check_soon()
            error.field = field
            raise

    async def _find(
        self, query: ItemId | Sequence[PhotoVector], options: SearchOptions, deadline: Deadline
    ) -> tuple[Neighbors, RankingPlan]:
        """Searches by the best plan; by category where the index cannot follow it."""
        vector = None if isinstance(query, ItemId) else least(query)
        plan, serving = self._ranker.plan(options, vector), self._index.serving
        try:
            found = await self._index.find(query, plan.index_options, deadline, plan.rerank)
            if isinstance(query, ItemId):
                if self._is_of_another_space(serving):
                    return await self._find(query, options, deadline)
                plan = self._plan_used(plan, options, query, found)
        except RankingUnavailableError:
            if options.ranking is not None:
                raise
            plan = self._ranker.by_category(options, vector)
            found = await self._index.find(query, plan.index_options, deadline)
        return plan.with_likeness(found), plan

    def _is_of_another_space(self, before: ServingCollection | None) -> bool:
        """Whether the alias has moved to another model's collection, which ranks differently."""
        now = self._index.serving
        return bool(before and now and before.embedding_space != now.embedding_space)

    def _plan_used(
        self, plan: RankingPlan, options: SearchOptions, query: ItemId, found: Neighbors
    ) -> RankingPlan:
        """Returns how a search by item was ranked: by category if the item has no features.

        Raises:
            RankingUnavailableError: The caller asked for another ranking.
        """
        if plan.rerank is None or found.candidates_ranked:
            return plan
        if not found.hits:
            return plan  # nothing to rank
        if options.ranking is None:
            return self._ranker.by_category(options, None)
        raise RankingUnavailableError(queries.without_features(query.item_id), field="ranking")

    async def _with_price(
        self, find: _Find, options: SearchOptions, *, fitted: PriceRange | None
    ) -> SimilarListings:
        """Searches, and once more beside it if a price is wanted.

        Prices come from more listings, unfiltered by price. Their range was fitted to photos: for
        words and mixes there is none.
        """
        if not options.include_price:
            return await find(options)
        found, cost = await asyncio.gather(
            find(options), self._price(find, options, fitted), return_exceptions=True
        )
        if isinstance(found, BaseException):
            raise found
        if isinstance(cost, LookalikeError):
            degraded = "; ".join(filter(None, (found.degraded, f"no price: {cost.message}")))
            return replace(found, degraded=degraded)
        if isinstance(cost, BaseException):
            raise cost
        return replace(found, price=cost)

    async def _price(
        self, find: _Find, options: SearchOptions, fitted: PriceRange | None
    ) -> PriceEstimate | None:
        found = await find(price.search_options(options, fitted))
        return price.estimate(price.priced(found.neighbors), fitted)


def _without_listings(error: LookalikeError, options: SearchOptions) -> SimilarListings:
    """Returns what is found while the index is away; raises the error unless that will do."""
    away = isinstance(error, UpstreamUnavailableError) or is_out_of_time(error)
    if not (options.allow_partial and away):
        raise error
    nothing = Neighbors([], "the index did not answer", exact=False)
    return SimilarListings(nothing, None, degraded=f"no listings: {error.message}")
