"""Ranks rows by words: the order that is fused with the one by distance.

The index of words tells which items have one of the words in a tenth of a microsecond each, and
takes ten times as long to score one. So all are counted, and where they are many, only those with
the rarest of the words are scored. BM25 bounds what the others can score, and so whether any of
them could come before what was found.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from index_service.native.memory.segments import Bits, Segments
from index_service.native.search.candidates import Row
from index_service.native.search.filters import Condition
from index_service.native.search.first_stage import NumberedQueries, excluded_rows
from index_service.native.search.targets import Target
from index_service.native.store.splitting import split
from index_service.native.store.word_reader import Scores, Word, WordReader
from index_service.ranking import fusion
from index_service.ranking.queries import ResolvedQueries
from index_service.records import Search
from index_service.workers import stop_if_caller_left

# Items scored for one query: some 20 ms.
_MOST_SCORED = 20_000
# Words by which many items are scored, the rarest: a whole description takes a second otherwise.
_MOST_WORDS = 32
# Rows of an order that are looked at together until there are enough.
_ROWS = 1024
# What scores at least so much of the best fits the words about as well.
_CLOSE = 0.8
_NO_TARGET: NumberedQueries = ResolvedQueries(np.empty((1, 0), np.float32))


class OrderByWords(NamedTuple):
    """The rows found by words.

    Attributes:
        rows: Row numbers, best first, as many as count.
        matching: All rows that have one of the words and may be found, ascending.
        complete: Whether nothing better can be missing from `rows`.
        is_empty: Whether there was nothing to look for.
        close: Beside a target, those of `rows` that fit the words about as well as the first and
            have one of them in the first attribute, an item's title.
        titled: Beside a target, those of `rows` that have all of the words there.
    """

    rows: list[int]
    matching: Row
    complete: bool = True
    is_empty: bool = False
    close: Sequence[int] = ()
    titled: Sequence[int] = ()


class _Scored(NamedTuple):
    """Rows with their scores, best first, and the greatest score that any other can have."""

    rows: Row
    scores: Scores
    most_of_others: float


@dataclass(frozen=True)
class WordStage:
    """Ranks rows by the words of the queries of one call.

    Attributes:
        segments: What is searched, as it was after the write that `reader` reads.
        condition: What rows must fulfil.
        search: What the queries have in common.
        reader: Reads the collection's index of words.
    """

    segments: Segments
    condition: Condition
    search: Search
    reader: WordReader

    def order(self, words: str, target: Target | None = None) -> OrderByWords:
        """Returns the rows that have one of the words, by BM25; ties in the order of writing.

        Args:
            words: What a user wrote.
            target: What is looked for beside them: what it leaves out is left out here too.
        """
        stop_if_caller_left()
        terms = split(words)
        if not terms:
            return OrderByWords([], np.empty(0, np.int64), is_empty=True)
        having = self.segments.rows_of(self.reader.having(terms))
        matching = self._allowed(having, target)
        scored = self._scored(terms, matching, having)
        rest = matching[~_among(matching, np.sort(scored.rows))]
        ordered = np.concatenate([scored.rows, rest])
        places = self._first(ordered, target)
        rows = ordered[places]
        scores = scored.scores[places[: np.searchsorted(places, len(scored.rows))]]
        complete = len(rows) < fusion.places(self.search.k) or not len(rest)
        if not complete and len(scores) == len(rows):
            complete = bool(scores[-1] > scored.most_of_others)
        order = OrderByWords(rows.tolist(), matching, complete)
        if not target:
            return order
        close = rows[: np.count_nonzero(scores >= _CLOSE * scores[:1])]
        return order._replace(
            close=self._titled(close, terms, all_of_them=False),
            titled=self._titled(rows, terms, all_of_them=True),
        )

    def _titled(self, rows: Row, terms: Sequence[str], *, all_of_them: bool) -> list[int]:
        """Returns those of the rows that have words in the first attribute."""
        keys = self.reader.titled(terms, all_of_them=all_of_them)
        titled: list[int] = rows[_among(rows, self.segments.rows_of(keys))].tolist()
        return titled

    def _allowed(self, rows: Row, target: Target | None) -> Row:
        """Returns the rows that may be found."""
        queries = target.query if target else _NO_TARGET
        if excluded := excluded_rows(self.segments, queries, rows[None, :], self.condition):
            rows = rows[~np.any(excluded, axis=0)[0]]
        limit = self.search.max_distance
        return rows[target.by_vector(rows) <= limit] if target and limit is not None else rows

    def _scored(self, terms: Sequence[str], matching: Row, having: Row) -> _Scored:
        """Scores the matching rows, or those of them that have the rarest words."""
        among, others = matching, 0.0
        if len(matching) > _MOST_SCORED:
            known = self.reader.known(terms)
            terms = [word.text for word in known[:_MOST_WORDS]]
            rare, common = _rarest(known[:_MOST_WORDS])
            if len(rare) < len(known):
                rows = self.segments.rows_of(self.reader.having([word.text for word in rare]))
                among = rows[_among(rows, matching)]
            others = sum(word.most for word in common) if len(terms) == len(known) else math.inf
            if len(among) > _MOST_SCORED:
                among, others = among[:_MOST_SCORED], math.inf
        if not len(among):
            return _Scored(among, np.empty(0), others)
        named = self.segments.take("keys", among).astype(np.int64)
        first, last = int(named[0]), int(named[-1])
        start, end = np.searchsorted(having, [among[0], among[-1] + 1])
        # To name an item takes as long as to score two more.
        few = 3 * len(among) < end - start
        keys, scores = self.reader.scores(terms, first, last, named if few else None)
        rows = self.segments.rows_of(keys)
        allowed = _among(rows, among)
        rows, scores = rows[allowed], scores[allowed]
        best = np.lexsort((rows, -scores))
        return _Scored(rows[best], scores[best], others)

    def _first(self, ordered: Row, target: Target | None) -> Row:
        """Returns the places in an order, ascending, of as many rows as count or there are."""
        count = fusion.places(self.search.k)
        found: list[int] = []
        products: set[int] = set()
        for start in range(0, len(ordered), _ROWS):
            block = ordered[start : start + _ROWS]
            allowed = target.is_within(block).tolist() if target else [True] * len(block)
            owners = block
            if self.search.distinct_products:
                owners = self.segments.take("products", block).astype(np.int64)
            every = zip(owners.tolist(), allowed, strict=True)
            for place, (owner, may_be_found) in enumerate(every, start):
                if may_be_found and owner not in products:
                    products.add(owner)
                    found.append(place)
                    if len(found) == count:
                        return np.array(found)
        return np.array(found, np.int64)


def _rarest(words: Sequence[Word]) -> tuple[Sequence[Word], Sequence[Word]]:
    """Divides words, rarest first, into those that few enough items have, and the others."""
    total = np.cumsum([word.items for word in words])
    count = max(1, int(np.searchsorted(total, _MOST_SCORED, side="right")))
    return words[:count], words[count:]


def _among(rows: Row, others: Row) -> Bits:
    """Returns which rows are among the others, which must ascend."""
    if not len(others):
        return np.zeros(len(rows), bool)
    at = np.minimum(np.searchsorted(others, rows), len(others) - 1)
    found: Bits = others[at] == rows
    return found
