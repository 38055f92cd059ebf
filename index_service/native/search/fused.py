"""Fuses the order by distance with the one by words for one query.

By two orders a typed title would come behind whatever is among the first of both. So what fits the
words about as well as the first has a place for that as well, and what has all of them in its title
a third one: nothing that lacks a word there comes before what is first by words and has all, since
three first places are more than a first and two second ones. Only words in titles count so: in
long descriptions stands much that is not for sale.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from index_service.native.memory.segments import Segments
from index_service.native.search.by_words import OrderByWords
from index_service.native.search.candidates import Row
from index_service.native.search.targets import Target
from index_service.native.search.vector_stage import VectorHits
from index_service.ranking import fusion
from index_service.ranking.order import nearest_first
from index_service.records import Search


class FusedHits(NamedTuple):
    """The rows found for one query, best first.

    Attributes:
        rows: Row numbers.
        scores: What they are ranked by.
        distances: How far they are from the target; 0 without one.
        first_distances: Their distances by vector if `distances` are of a second stage.
    """

    rows: list[int]
    scores: list[float]
    distances: list[float]
    first_distances: list[float] | None = None


def by_words_alone(found: OrderByWords, k: int) -> FusedHits:
    """Returns the best `k` rows of a query without a target."""
    rows = found.rows[:k]
    scores = [fusion.reciprocal(place) for place in range(1, len(rows) + 1)]
    return FusedHits(rows, scores, [0.0] * len(rows))


def fuse(near: VectorHits, found: OrderByWords, target: Target, search: Search) -> FusedHits:
    """Returns the best `k` rows of all orders, each with its true distances."""
    if search.distinct_products:
        scores = _scores_of_products(near, found, target)
    else:
        scores = fusion.fused([near.rows, found.rows, found.close, found.titled])
    rows = fusion.best(scores, search.k)
    again = near.first_distances
    by_vector = near.distances if again is None else again
    known = dict(zip(near.rows, zip(near.distances, by_vector, strict=True), strict=True))
    others = np.array([row for row in rows if row not in known], np.int64)
    measured = target.by_vector(others)
    ranked_by = target.ranked_by(others, measured).tolist()
    known |= dict(zip(others.tolist(), zip(ranked_by, measured.tolist(), strict=True), strict=True))
    return FusedHits(
        rows,
        [scores[row] for row in rows],
        [known[row][0] for row in rows],
        None if again is None else [known[row][1] for row in rows],
    )


def _scores_of_products(near: VectorHits, found: OrderByWords, target: Target) -> dict[int, float]:
    """Returns a score for one row of each product, its nearest."""
    by_vector = _products(target.segments, near.rows)
    by_words, close, titled = (
        _products(target.segments, rows) for rows in (found.rows, found.close, found.titled)
    )
    rows = dict(zip(by_vector, near.rows, strict=True))
    rows |= _nearest(set(by_words) - set(by_vector), found.matching, target)
    scores = fusion.fused([by_vector, by_words, close, titled])
    return {rows[p]: score for p, score in scores.items()}


def _nearest(products: set[int], matching: Row, target: Target) -> dict[int, int]:
    """Returns the nearest of the matching rows of each product."""
    owners = target.segments.take("products", matching)
    rows = matching[np.isin(owners, list(products))]
    by_vector = target.by_vector(rows)
    order = nearest_first(rows, target.ranked_by(rows, by_vector), by_vector)
    farthest_first = rows[order][::-1]  # so that the nearest is what stays
    owners_of = _products(target.segments, farthest_first.tolist())
    return dict(zip(owners_of, farthest_first.tolist(), strict=True))


def _products(segments: Segments, rows: Sequence[int]) -> list[int]:
    owners: list[int] = segments.take("products", np.array(rows, np.int64)).tolist()
    return owners
