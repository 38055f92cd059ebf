"""Ranks rows by vector, exactly, from the candidates that a source gives by float32.

A source returns somewhat more than `k` rows, compared in float32; filters drop some; the rest is
compared again in float64. If the last row that the source returned is farther than the k-th answer
by more than the error of float32, no row left out can belong to the answer; otherwise the query is
repeated with four times the width. So ties come out in the order of writing, and filters never
leave fewer than `k` where there are `k`.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from index_service.distances import Distances, comparable, distances
from index_service.native.memory.segments import Bits, Segments
from index_service.native.search.candidates import AllRows
from index_service.native.search.filters import EVERY_ROW, Condition
from index_service.native.search.planner import Plan
from index_service.ranking.float32 import float32_error
from index_service.ranking.order import first_of_each_product, nearest_first
from index_service.ranking.queries import ResolvedQueries
from index_service.records import Matrix

# Rows ranked at a time, and values compared again at a time: some 30 MB each, however many queries
# there are and however long vectors are.
_MAX_CELLS = 1 << 18
_MAX_VALUES = 1 << 22
_GROWTH = 4

Row = npt.NDArray[np.int64]
NumberedQueries: TypeAlias = ResolvedQueries[int]
"""Queries whose own items are row numbers, and whose own products are product numbers."""


@dataclass(frozen=True)
class RankingParams:
    """What every query of a call asks for."""

    k: int
    condition: Condition = EVERY_ROW
    distinct_products: bool = False
    max_distance: float = math.inf


class Hits(NamedTuple):
    """The rows found for one query, nearest first, and their distances."""

    rows: list[int]
    distances: list[float]

    def within(self, limit: float) -> Hits:
        """Returns the hits whose distance is at most `limit`."""
        if not self.distances or self.distances[-1] <= limit:
            return self
        count = bisect_right(self.distances, limit)
        return Hits(self.rows[:count], self.distances[:count])


def first_width(plan: Plan, params: RankingParams) -> int:
    """Returns how many rows to ask a source for at first, including those the filter will drop."""
    # One more shows how far they are; a product's other photos need room as well.
    room = 2 * params.k + 32 if params.distinct_products else params.k + 1
    return math.ceil(room / plan.share)


def nearest_hits(
    segments: Segments, plan: Plan, queries: NumberedQueries, params: RankingParams
) -> list[Hits]:
    """Returns the hits of each query.

    There are fewer than `k` only if no more rows of the source (or of their products, if they are
    to be distinct) are allowed, or if the source is approximate.
    """
    source = plan.source
    found: list[Hits | None] = [None] * len(queries)
    queries = replace(queries, vectors=comparable(queries.vectors, segments.collection.metric))
    pending = list(range(len(found)))
    width = first_width(plan, params)
    while pending:
        step = max(1, _MAX_CELLS // min(width, max(1, source.size)))
        for start in range(0, len(pending), step):
            numbers = pending[start : start + step]
            block = queries.part(numbers)
            rows, lower_bounds = source.nearest(block.vectors, width)
            hits = _ranked(segments, block, rows, params, padded=source.approximate)
            for i, number in enumerate(numbers):
                if _is_complete(hits[i], block.vectors[i], lower_bounds[i], segments, params):
                    found[number] = hits[i]
        pending = [number for number in pending if found[number] is None]
        width *= _GROWTH
    return [hits for hits in found if hits is not None]


def hits_within(
    segments: Segments, queries: NumberedQueries, params: RankingParams
) -> tuple[Hits, int]:
    """Returns the nearest `k` hits within `max_distance` of a single query, and how many there are.

    Compares every row.
    """
    metric, limit = segments.collection.metric, params.max_distance
    (query,) = comparable(queries.vectors, metric)
    error = float32_error(query, segments.longest, limit, metric)
    rows = AllRows(segments).within(query, limit + error)
    all_of_them = RankingParams(len(rows), params.condition, params.distinct_products, limit)
    queries = replace(queries, vectors=query[None, :])
    (hits,) = _ranked(segments, queries, rows[None, :], all_of_them)
    return Hits(hits.rows[: params.k], hits.distances[: params.k]), len(hits.rows)


def excluded_rows(
    segments: Segments, queries: NumberedQueries, rows: Row, condition: Condition
) -> list[Bits]:
    """Returns masks of the rows that may not be found, one for each reason that applies."""
    # Reasons that cannot apply are skipped: in a small search every step over arrays counts.
    reasons: list[Bits] = []
    if any(part.dead_count for part in segments.parts):
        reasons.append(segments.dead(rows))
    if not condition.is_empty:
        reasons.append(~condition.at(segments, rows))
    if queries.own_items or queries.own_products:
        reasons.append(_own(segments, queries, rows))
    return reasons


def _ranked(
    segments: Segments,
    queries: NumberedQueries,
    rows: Row,
    params: RankingParams,
    *,
    padded: bool = False,
) -> list[Hits]:
    """Returns the best `k` of each query's rows that are allowed; vectors are comparable.

    `padded` says that some rows may be -1, which stands for no row.
    """
    if not rows.shape[1]:
        return [Hits([], []) for _ in rows]
    excluded: list[Bits] = []
    if padded:
        excluded.append(rows < 0)
        rows = np.where(rows < 0, 0, rows)
    excluded += excluded_rows(segments, queries, rows, params.condition)
    found = _distances(segments, queries, rows)
    if params.max_distance < math.inf:
        excluded.append(found > params.max_distance)
    for mask in excluded:
        found[mask] = np.inf
    return _best(segments, rows, found, params)


def _distances(segments: Segments, queries: NumberedQueries, rows: Row) -> Distances:
    found = np.empty(rows.shape)
    # Some columns at a time: in float64 the vectors take twice their size in memory.
    step = max(1, _MAX_VALUES // (len(rows) * segments.collection.dimension))
    for start in range(0, rows.shape[1], step):
        vectors = segments.vectors(rows[:, start : start + step])
        found[:, start : start + step] = distances(
            vectors, queries.vectors[:, None, :], segments.collection.metric
        )
    return found


def _best(segments: Segments, rows: Row, found: Distances, params: RankingParams) -> list[Hits]:
    """Returns the best `k` rows of each query; the distance of an excluded row is infinite."""
    columns = [rows.tolist(), found.tolist()]
    if params.distinct_products:
        columns.append(segments.take("products", rows).tolist())
    answers: list[Hits] = []
    for i in range(len(rows)):
        own = [column[i] for column in columns]
        # Most come in order; sorting only the others is what makes large batches fast.
        if own[1] != sorted(own[1]) or len(set(own[1])) < len(own[1]):
            order = nearest_first(rows[i], found[i]).tolist()
            own = [[column[j] for j in order] for column in own]
        numbers, near, *products = own
        if products:
            allowed = bisect_left(near, math.inf)
            places = first_of_each_product(products[0][:allowed], params.k)
            answers.append(Hits([numbers[j] for j in places], [near[j] for j in places]))
        else:
            count = bisect_left(near, math.inf, hi=min(params.k, len(near)))
            answers.append(Hits(numbers[:count], near[:count]))
    return answers


def _is_complete(
    hits: Hits, query: Matrix, lower_bound: float, segments: Segments, params: RankingParams
) -> bool:
    """Returns whether no row that was left out can be better."""
    if lower_bound == math.inf:
        return True
    last = hits.distances[-1] if len(hits.rows) == params.k else params.max_distance
    if last == math.inf:
        return False
    metric = segments.collection.metric
    return lower_bound > last + float32_error(query, segments.longest, last, metric)


def _own(segments: Segments, queries: NumberedQueries, rows: Row) -> Bits:
    """Returns which rows are items that their query names, or of products that it leaves out."""
    own = np.zeros(rows.shape, bool)
    for i, items in queries.own_items.items():
        own[i] |= np.isin(rows[i], items)
    for i, products in queries.own_products.items():
        own[i] |= np.isin(segments.take("products", rows[i]), products)
    return own
