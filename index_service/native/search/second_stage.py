"""Ranks the nearest rows again: by the cosine distance of features and the distance by vector.

The answer is in the exact order of `cosine distance + vector_weight × distance` over candidates,
ties by the latter, then in the order of writing. It is complete where no row was left out, or where
none that was can come before the last: its cosine distance is at least 0, and its distance at least
the candidates' reach.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from index_service.distances import Distances, comparable, distances
from index_service.native.memory.features import (
    Bytes,
    FeaturesQuery,
    Scales,
    cosine_distances,
    quantised,
)
from index_service.native.memory.segments import Segments
from index_service.native.search.candidates import Row
from index_service.native.search.planner import Plan
from index_service.native.search.ranking import Probes, Wanted, barred
from index_service.native.search.rounding import float32_error
from index_service.records import Matrix, Metric, Rerank

# Candidates of which a graph, or a disk, gives as many in a millisecond or two.
MOST_FROM_GRAPH = 1000
MOST_FROM_DISK = 200
# Rows whose features are compared at a time: 2 MB as float32 at 128 dimensions, which caches hold.
_ROWS = 4096
_WIDER = 4

ReadFeatures: TypeAlias = Callable[[Sequence[int]], dict[int, Matrix]]
"""Returns those features that there are, by key."""


class Ranked(NamedTuple):
    """One query's rows, nearest first: their sums, and their distances by vector.

    `ranked` is how many rows were, `complete` whether no other can come before the last, `scanned`
    how many the source compared, or a graph gave, `short` whether there may be more that an
    approximate source did not give.
    """

    rows: list[int]
    sums: list[float]
    distances: list[float]
    ranked: int
    complete: bool
    scanned: int
    short: bool = False


class _Candidates(NamedTuple):
    """Rows to rank, their distances by vector, and how far at least all others are.

    `scanned` is of how many rows they are the nearest.
    """

    rows: Row
    distances: Distances
    reach: float
    scanned: int


@dataclass(frozen=True)
class SecondStage:
    """What the queries of one call have in common.

    Attributes:
        segments: What is searched.
        plan: Where candidates come from.
        wanted: What is wanted; its `max_distance` is by vector.
        rerank: How candidates are ranked.
        exact: Whether every row is one.
        read: Reads what memory does not hold.
    """

    segments: Segments
    plan: Plan
    wanted: Wanted
    rerank: Rerank
    exact: bool
    read: ReadFeatures

    def rank(self, probe: Probes, query: FeaturesQuery) -> Ranked:
        """Returns the best `k` for one probe; fewer only if there are no more.

        Of an approximate source there may be more, which it did not find: see `Ranked.short`.
        """
        vector = comparable(probe.vectors, self.segments.collection.metric)[0]
        count = self.rerank.candidates
        if most := most_candidates(self.segments, self.plan):
            count = min(count, most)
        while True:
            near = self._candidates(probe, vector, count)
            ranked = self._ranked(near, query)
            no_more = near.reach == math.inf or near.reach > self.wanted.max_distance
            enough = len(ranked.rows) == self.wanted.k or self._is_cut(near)
            if self.plan.source.approximate:
                # A graph knows nothing of a distance: it gave all within it where some are beyond.
                all_within = bool((near.distances > self.wanted.max_distance).any())
                return ranked._replace(short=not (enough or all_within))
            if no_more or enough:
                return ranked
            count *= _WIDER

    def _candidates(self, probe: Probes, vector: Matrix, count: int) -> _Candidates:
        """Returns the `count` nearest rows that may be found, or all."""
        source, metric = self.plan.source, self.segments.collection.metric
        # What the filter drops, and the query's own examples, come on top.
        width = math.ceil((count + len(probe.own_rows.get(0, ()))) / self.plan.share)
        if self.plan.share < 1 or probe.own_products:
            width += width // 8 + 16
        while True:
            whole = (self.exact or width >= source.size) and not source.approximate
            if whole:
                rows, reach = self._all_rows(vector), math.inf
            else:
                rows, reach = source.candidates(vector, min(width, source.size))
            scanned = len(rows) if source.approximate else source.size
            if none := barred(self.segments, probe, rows[None, :], self.wanted.condition):
                rows = rows[~np.any(none, axis=0)[0]]
            if whole or source.approximate or len(rows) >= count:
                break
            width *= 2
        first = self._distances(rows, vector)
        if len(rows) > count and not self.exact:
            nearest = np.argpartition(first, count)
            reach = min(reach, float(first[nearest[count]]))
            rows, first = rows[nearest[:count]], first[nearest[:count]]
        if reach < math.inf:
            reach -= float32_error(vector, self.segments.longest, max(reach, 0.0), metric)
        return _Candidates(rows, first, reach, scanned)

    def _all_rows(self, vector: Matrix) -> Row:
        """Returns every row of the source that may be within the distance."""
        source, limit = self.plan.source, self.wanted.max_distance
        if limit == math.inf:
            return source.rows()
        # By float32 first: a third of the time, where few are.
        metric = self.segments.collection.metric
        return source.within(
            vector, limit + float32_error(vector, self.segments.longest, limit, metric)
        )

    def _is_cut(self, near: _Candidates) -> bool:
        """Returns whether it was the limit of the sum that left fewer than `k`."""
        if self.rerank.max_distance is None:
            return False
        rows = near.rows[near.distances <= self.wanted.max_distance]
        found = len(rows)
        if self.wanted.distinct_products:
            found = len(np.unique(self.segments.take("products", rows)))
        return found >= self.wanted.k

    def _ranked(self, near: _Candidates, query: FeaturesQuery) -> Ranked:
        weight, limit = self.rerank.vector_weight, self.rerank.max_distance
        rows, first, reach, scanned = near
        if self.wanted.max_distance < math.inf:
            within = first <= self.wanted.max_distance
            rows, first = rows[within], first[within]
        sums = self._cosines(rows, query) + weight * first
        best = self._best(rows, first, sums)
        if limit is not None:
            best = best[sums[best] <= limit]
        # Where distances may be negative, features can make up for any of them.
        signed = self.segments.collection.metric is Metric.INNER_PRODUCT
        least = -math.inf if signed else weight * reach
        full = len(best) == self.wanted.k
        farthest = float(sums[best[-1]]) if full else math.inf if limit is None else limit
        complete = reach == math.inf or reach > self.wanted.max_distance or farthest < least
        found = rows[best].tolist(), sums[best].tolist(), first[best].tolist()
        return Ranked(*found, len(rows), complete, scanned)

    def _best(self, rows: Row, first: Distances, sums: Distances) -> npt.NDArray[np.intp]:
        """Returns where the best `k` are, in their order; one a product where they are distinct."""
        k, count = self.wanted.k, len(rows)
        width = 4 * k + 64
        while True:
            if width < count:
                # With all at the same sum as the last, since rows decide among those.
                least = np.flatnonzero(sums <= np.partition(sums, width)[width])
            else:
                least = np.arange(count)
            order = np.lexsort((rows[least], first[least], sums[least]))
            best: npt.NDArray[np.intp] = least[order]
            if self.wanted.distinct_products:
                products = self.segments.take("products", rows[best])
                best = best[np.sort(np.unique(products, return_index=True)[1])]
            if len(best) >= k or width >= count:
                return best[:k]
            width *= _WIDER

    def _distances(self, rows: Row, vector: Matrix) -> Distances:
        metric = self.segments.collection.metric
        found = [distances(self.segments.vectors(part), vector, metric) for part in _parts(rows)]
        return np.concatenate(found) if len(found) != 1 else found[0]

    def _cosines(self, rows: Row, query: FeaturesQuery) -> Distances:
        found = [
            cosine_distances(*features_at(self.segments, part, self.read), query)
            for part in _parts(rows)
        ]
        return np.concatenate(found) if len(found) != 1 else found[0]


def most_candidates(segments: Segments, plan: Plan | None = None) -> int | None:
    """Returns how many candidates a query may rank; None for as many as it asks for."""
    if not segments.collection.features_dimension:
        return None
    if not all(part.has_features for part in segments.parts):
        return MOST_FROM_DISK
    approximate = plan.source.approximate if plan else any(part.graph for part in segments.parts)
    return MOST_FROM_GRAPH if approximate else None


def features_at(segments: Segments, rows: Row, read: ReadFeatures) -> tuple[Bytes, Scales]:
    """Returns the features of some rows, shape (n,), as memory holds them, or would.

    Args:
        segments: Where the rows are.
        rows: Which.
        read: Reads what memory does not hold.
    """
    if all(part.has_features for part in segments.parts):
        return (
            segments.take("features", rows).astype(np.int8, copy=False),
            segments.take("scales", rows).astype(np.float32, copy=False),
        )
    width = segments.collection.features_dimension
    values, scales = np.zeros((len(rows), width), np.int8), np.zeros(len(rows), np.float32)
    for part, start in zip(segments.parts, segments.starts, strict=False):
        inside = np.flatnonzero((rows >= start) & (rows < start + part.size))
        own = rows[inside] - start
        if part.has_features:
            values[inside], scales[inside] = part.rows.features[own], part.rows.scales[own]
        elif len(own):
            keys = part.rows.keys[own].tolist()
            by_key, none = read(keys), np.zeros(width, np.float32)
            known = np.stack([by_key.get(key, none) for key in keys]).astype(np.float32)
            values[inside], scales[inside] = quantised(known)
    return values, scales


def _parts(rows: Row) -> list[Row]:
    return [rows[start : start + _ROWS] for start in range(0, len(rows), _ROWS)] or [rows]
