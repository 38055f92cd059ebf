"""Ranks what a source gives, until nothing better can be elsewhere.

How an exact answer is found: a source compares in float32 and returns somewhat more than `k` rows;
filters drop some; the rest is compared again in float64. If the last row that the source returned
is farther than the k-th answer by more than float32 can err, no row left out can belong to the
answer; otherwise the query goes again with four times the width. Ties thus come out in the order of
writing, and filters never leave fewer than `k` where there are `k`.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from index_service.distances import Distances, comparable, distances
from index_service.native.memory.segments import Bits, Segments
from index_service.native.search.candidates import AllRows
from index_service.native.search.filters import EVERY_ROW, Condition
from index_service.native.search.planner import Plan
from index_service.native.search.rounding import float32_error
from index_service.records import Matrix

# Rows ranked at a time, and values compared again at a time: some 30 MB each, however many queries
# there are and however long vectors are.
_MAX_CELLS = 1 << 18
_MAX_VALUES = 1 << 22

Row = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Probes:
    """What to search for.

    Attributes:
        vectors: float32 (n, dimension), as callers sent them.
        own_rows: Rows that a probe, by its number, must not find: its examples'.
        own_products: Products that it must not find.
    """

    vectors: Matrix
    own_rows: Mapping[int, Sequence[int]] = field(default_factory=dict)
    own_products: Mapping[int, Sequence[int]] = field(default_factory=dict)

    def part(self, numbers: Sequence[int]) -> Probes:
        """Returns some of the probes, in their order."""
        if len(numbers) == len(self.vectors):
            return self
        return Probes(
            self.vectors[numbers],
            {i: self.own_rows[n] for i, n in enumerate(numbers) if n in self.own_rows},
            {i: self.own_products[n] for i, n in enumerate(numbers) if n in self.own_products},
        )


@dataclass(frozen=True)
class Wanted:
    """What is wanted of each probe."""

    k: int
    condition: Condition = EVERY_ROW
    distinct_products: bool = False
    max_distance: float = math.inf


class Hits(NamedTuple):
    """One probe's rows, nearest first, and their distances."""

    rows: list[int]
    distances: list[float]

    def within(self, limit: float) -> Hits:
        """Returns those that are at most so far."""
        if not self.distances or self.distances[-1] <= limit:
            return self
        count = bisect_right(self.distances, limit)
        return Hits(self.rows[:count], self.distances[:count])


def first_width(plan: Plan, wanted: Wanted) -> int:
    """Returns how many rows a source is first asked for: what the filter drops comes on top."""
    # One more, to know how far they reach; or a product's other photos.
    room = 2 * wanted.k + 32 if wanted.distinct_products else wanted.k + 1
    return math.ceil(room / plan.share)


def search(segments: Segments, plan: Plan, probes: Probes, wanted: Wanted) -> list[Hits]:
    """Returns each probe's hits.

    There are fewer than `k` only if no more rows of the source (or of their products, if they are
    to be distinct) are allowed, or if the source is approximate.
    """
    source = plan.source
    found: list[Hits | None] = [None] * len(probes.vectors)
    probes = replace(probes, vectors=comparable(probes.vectors, segments.collection.metric))
    pending = list(range(len(found)))
    width = first_width(plan, wanted)
    while pending:
        step = max(1, _MAX_CELLS // min(width, max(1, source.size)))
        for start in range(0, len(pending), step):
            block = pending[start : start + step]
            some = probes.part(block)
            rows, reach = source.nearest(some.vectors, width)
            hits = _ranked(segments, some, rows, wanted, padded=source.approximate)
            for i, number in enumerate(block):
                if _is_complete(hits[i], some.vectors[i], reach[i], segments, wanted):
                    found[number] = hits[i]
        pending = [number for number in pending if found[number] is None]
        width *= 4
    return [hits for hits in found if hits is not None]


def within(segments: Segments, probes: Probes, wanted: Wanted) -> tuple[Hits, int]:
    """Returns the nearest `k` of what is within `max_distance` of one probe, and how much that is.

    Compares every row.
    """
    metric, limit = segments.collection.metric, wanted.max_distance
    (query,) = comparable(probes.vectors, metric)
    error = float32_error(query, segments.longest, limit, metric)
    rows = AllRows(segments).within(query, limit + error)
    all_of_them = Wanted(len(rows), wanted.condition, wanted.distinct_products, limit)
    probes = replace(probes, vectors=query[None, :])
    (hits,) = _ranked(segments, probes, rows[None, :], all_of_them)
    return Hits(hits.rows[: wanted.k], hits.distances[: wanted.k]), len(hits.rows)


def _ranked(
    segments: Segments, probes: Probes, rows: Row, wanted: Wanted, *, padded: bool = False
) -> list[Hits]:
    """Returns the best `k` of each probe's rows that are allowed; vectors are comparable.

    `padded` tells whether there may be rows of -1, which are none.
    """
    if not rows.shape[1]:
        return [Hits([], []) for _ in rows]
    none: list[Bits] = []
    if padded:
        none.append(rows < 0)
        rows = np.where(rows < 0, 0, rows)
    none += barred(segments, probes, rows, wanted.condition)
    found = _distances(segments, probes, rows)
    if wanted.max_distance < math.inf:
        none.append(found > wanted.max_distance)
    for some in none:
        found[some] = np.inf
    return _best(segments, rows, found, wanted)


def barred(segments: Segments, probes: Probes, rows: Row, condition: Condition) -> list[Bits]:
    """Returns for each reason why rows may not be found, of which it holds; most often none."""
    # What need not be asked is not: on a small search each step over arrays tells.
    reasons: list[Bits] = []
    if any(part.dead_count for part in segments.parts):
        reasons.append(segments.dead(rows))
    if not condition.lets_all_through:
        reasons.append(~condition.at(segments, rows))
    if probes.own_rows or probes.own_products:
        reasons.append(_own(segments, probes, rows))
    return reasons


def _distances(segments: Segments, probes: Probes, rows: Row) -> Distances:
    found = np.empty(rows.shape)
    # Some columns at a time: in float64 the vectors take twice what memory holds of them.
    step = max(1, _MAX_VALUES // (len(rows) * segments.collection.dimension))
    for start in range(0, rows.shape[1], step):
        vectors = segments.vectors(rows[:, start : start + step])
        found[:, start : start + step] = distances(
            vectors, probes.vectors[:, None, :], segments.collection.metric
        )
    return found


def _best(segments: Segments, rows: Row, found: Distances, wanted: Wanted) -> list[Hits]:
    columns = [rows.tolist(), found.tolist()]
    if wanted.distinct_products:
        columns.append(segments.take("products", rows).tolist())
    answers: list[Hits] = []
    for i in range(len(rows)):
        own = [column[i] for column in columns]
        # Most come in order; sorting only the others is what makes large batches fast.
        if own[1] != sorted(own[1]) or len(set(own[1])) < len(own[1]):
            order = np.lexsort((rows[i], found[i])).tolist()
            own = [[column[j] for j in order] for column in own]
        answers.append(_first(own, wanted.k))
    return answers


def _first(columns: list[list[Any]], k: int) -> Hits:
    """Returns the first `k` rows that are allowed; one a product where products are given."""
    rows, found, *products = columns
    if not products:
        count = k
        if not (len(found) >= k and found[k - 1] < math.inf):
            count = sum(distance < math.inf for distance in found[:k])
        return Hits(rows[:count], found[:count])
    hits, seen = Hits([], []), set[int]()
    for row, distance, product in zip(rows, found, products[0], strict=True):
        if distance == math.inf or len(hits.rows) == k:
            break
        if product not in seen:
            seen.add(product)
            hits.rows.append(row)
            hits.distances.append(distance)
    return hits


def _is_complete(
    hits: Hits, query: Matrix, reach: float, segments: Segments, wanted: Wanted
) -> bool:
    """Returns whether no row that was left out can be better."""
    if reach == math.inf:
        return True
    bound = hits.distances[-1] if len(hits.rows) == wanted.k else wanted.max_distance
    if bound == math.inf:
        return False
    metric = segments.collection.metric
    return reach > bound + float32_error(query, segments.longest, bound, metric)


def _own(segments: Segments, probes: Probes, rows: Row) -> Bits:
    """Returns which rows are those of their probe's own examples, or of their products."""
    own = np.zeros(rows.shape, bool)
    for i, examples in probes.own_rows.items():
        own[i] |= np.isin(rows[i], examples)
    for i, products in probes.own_products.items():
        own[i] |= np.isin(segments.take("products", rows[i]), products)
    return own
