"""Finds listings by words: by what they mean, by what titles and descriptions say, or by both.

What is lacking narrows the answer instead of failing it, unless the caller named a ranking: without
a text tower titles and descriptions alone are searched, without words in the index vectors alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gateway.deadline import Deadline
from gateway.index import IndexUpstream
from gateway.listings import Neighbors, PhotoVector, RankingMethod, SearchOptions, Words
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
class WordQuery:
    """Words to look for, and what the model makes of them.

    Attributes:
        title: The words.
        words: Their vectors and categories; None if the ranking needs none, or for `lacking`.
        lacking: Why they could not be read.
    """

    title: str
    words: ReadWords | None = None
    lacking: LookalikeError | None = None

    @property
    def degraded(self) -> str:
        """What is less than it should be in what is found."""
        if self.lacking is None:
            return ""
        return f"by the words of titles and descriptions alone: {self.lacking.message}"


class WordFinder:
    """Finds listings by words."""

    def __init__(
        self, reader: Reader, index: IndexUpstream, space_guard: EmbeddingSpaceGuard, ranker: Ranker
    ) -> None:
        self._reader = reader
        self._index = index
        self._space_guard = space_guard
        self._ranker = ranker

    async def read(self, words: Words, options: SearchOptions, deadline: Deadline) -> WordQuery:
        """Reads words; where titles can be searched instead, says why they could not be read.

        Raises:
            EmbeddingSpaceMismatchError: The model's space is not the collection's.
            LookalikeError: Any other error of the embedders, where they are needed.
        """
        if options.ranking is RankingMethod.WORDS:
            return WordQuery(words.title)
        self._space_guard.check(field="text")
        try:
            read = await self._reader.read(words, deadline, later=self._index.read_latencies)
        except LookalikeError as error:
            if error.field in {"title", "description"}:
                error.field = "text"
            away = isinstance(error, UpstreamUnavailableError) or is_out_of_time(error)
            lacking = isinstance(error, WordsUnavailableError)
            if options.ranking is not None or not (away or lacking):
                raise
            return WordQuery(words.title, lacking=error)
        return WordQuery(words.title, read)

    async def find(
        self, query: WordQuery, options: SearchOptions, deadline: Deadline
    ) -> tuple[Neighbors, RankingMethod]:
        """Returns listings that words describe, and by what they are ranked.

        Raises:
            WordsUnavailableError: Neither model nor catalogue can do anything with words.
            RankingUnavailableError: The requested ranking is not available.
            EmbeddingSpaceMismatchError: The model's space is not the collection's.
            LookalikeError: Any other error of the index.
        """
        vector = query.words.vector if query.words else None
        plan = self._ranker.plan_words(options, vector)
        by_words = plan.method in (RankingMethod.HYBRID, RankingMethod.WORDS)
        try:
            neighbors, plan = await self._search(
                plan, vector, query.title if by_words else "", deadline
            )
        except WordsUnavailableError as error:
            if vector is None:
                why = query.lacking
                reasons = f"{why.message}; {error.message}" if why else error.message
                raise WordsUnavailableError(reasons, field="text") from None
            if options.ranking is not None:
                raise RankingUnavailableError(error.message, field="ranking") from None
            neighbors, plan = await self._search(plan, vector, "", deadline)
        return neighbors, plan.method

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
