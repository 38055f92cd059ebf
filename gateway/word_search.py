"""Finds listings by words: by what they mean, by what titles and descriptions say, or by both.

What is lacking narrows the answer instead of failing it, unless the caller named a ranking: without
a text tower titles and descriptions alone are searched, without words in the index vectors alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gateway.deadline import Deadline
from gateway.index import IndexUpstream
from gateway.listings import (
    Classification,
    Neighbors,
    PhotoVector,
    RankingMethod,
    SearchOptions,
    Words,
)
from gateway.ranking import Ranker, RankingPlan
from gateway.reading import Reader, ReadWords
from gateway.space_guard import EmbeddingSpaceGuard
from gateway.upstreams import is_out_of_time
from lookalike.errors import (
    LookalikeError,
    RankingUnavailableError,
    UpstreamUnavailableError,
    WordsUnavailableError,
)


@dataclass(frozen=True)
class FoundByWords:
    """Listings that words describe.

    Attributes:
        neighbors: The listings.
        ranking: By what they are ranked.
        classification: The categories by the words; None if they could not be read.
        degraded: What is less than it should be.
    """

    neighbors: Neighbors
    ranking: RankingMethod
    classification: Classification | None = None
    degraded: str = ""


class WordFinder:
    """Finds listings by words."""

    def __init__(
        self, reader: Reader, index: IndexUpstream, space_guard: EmbeddingSpaceGuard, ranker: Ranker
    ) -> None:
        self._reader = reader
        self._index = index
        self._space_guard = space_guard
        self._ranker = ranker

    async def find(self, words: Words, options: SearchOptions, deadline: Deadline) -> FoundByWords:
        """Returns listings that words describe.

        Raises:
            WordsUnavailableError: Neither model nor catalogue can do anything with words.
            RankingUnavailableError: The requested ranking is not available.
            EmbeddingSpaceMismatchError: The model's space is not the collection's.
            LookalikeError: Any other error of an upstream.
        """
        read, why = await self._read(words, options, deadline)
        vector = read.vector if read else None
        plan = self._ranker.plan_words(options, vector)
        by_words = plan.method in (RankingMethod.HYBRID, RankingMethod.WORDS)
        try:
            neighbors, plan = await self._search(
                plan, vector, words.title if by_words else "", deadline
            )
        except WordsUnavailableError as error:
            if vector is None:
                reasons = f"{why.message}; {error.message}" if why else error.message
                raise WordsUnavailableError(reasons, field="text") from None
            if options.ranking is not None:
                raise RankingUnavailableError(error.message, field="ranking") from None
            neighbors, plan = await self._search(plan, vector, "", deadline)
        return FoundByWords(
            neighbors,
            plan.method,
            read.classification if read else None,
            f"by the words of titles and descriptions alone: {why.message}" if why else "",
        )

    async def _read(
        self, words: Words, options: SearchOptions, deadline: Deadline
    ) -> tuple[ReadWords | None, LookalikeError | None]:
        """Reads the words; returns why they are not read where titles can be searched instead."""
        if options.ranking is RankingMethod.WORDS:
            return None, None
        self._space_guard.check(field="text")
        try:
            return await self._reader.read(words, deadline, later=self._index.read_latencies), None
        except LookalikeError as error:
            if error.field in {"title", "description"}:
                error.field = "text"
            away = isinstance(error, UpstreamUnavailableError) or is_out_of_time(error)
            lacking = isinstance(error, WordsUnavailableError)
            if options.ranking is not None or not (away or lacking):
                raise
            return None, error

    async def _search(
        self, plan: RankingPlan, vector: PhotoVector | None, words: str, deadline: Deadline
    ) -> tuple[Neighbors, RankingPlan]:
        """Searches by a plan; by category where the index cannot rank by features."""
        vectors = [] if vector is None or plan.method is RankingMethod.WORDS else [vector]
        if not words and plan.method is RankingMethod.HYBRID:
            by = RankingMethod.FEATURES if plan.rerank else RankingMethod.CATEGORY
            plan = replace(plan, method=by)
        try:
            found = await self._index.find(vectors, plan.options, deadline, plan.rerank, words)
        except RankingUnavailableError:
            if plan.options.ranking is not None:
                raise
            plan = replace(plan, rerank=None)
            found = await self._index.find(vectors, plan.options, deadline, None, words)
        return found, plan
