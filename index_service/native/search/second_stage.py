"""Finds candidates in memory and ranks them again by their features; see `ranking/rerank.py`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np

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
from index_service.native.search.first_stage import NumberedQueries, RankingParams, excluded_rows
from index_service.native.search.planner import Plan
from index_service.ranking.float32 import exact_lower_bound, float32_error
from index_service.ranking.order import Places
from index_service.ranking.rerank import Reranker
from index_service.records import Matrix

# How many candidates a graph, or a disk, gives in a millisecond or two.
MOST_FROM_GRAPH = 1000
MOST_FROM_DISK = 200
# Rows whose features are compared at a time: 2 MB as float32 at 128 dimensions, which caches hold.
_ROWS = 4096
_GROWTH = 4

ReadFeatures: TypeAlias = Callable[[Sequence[int]], dict[int, Matrix]]
"""Reads the features of the items that have some, by key."""


class Ranked(NamedTuple):
    """The rows found for one query, nearest first.

    Attributes:
        rows: Row numbers.
        ranked_by: What they are ranked by.
        by_vector: Their distances by vector.
        ranked: How many candidates were ranked.
        complete: Whether no other row can come before the last.
        scanned: How many rows the source compared, or a graph gave.
        short: Whether there may be more rows, which an approximate source did not give.
    """

    rows: list[int]
    ranked_by: list[float]
    by_vector: list[float]
    ranked: int
    complete: bool
    scanned: int
    short: bool = False


class _Candidates(NamedTuple):
    """Rows to rank.

    Attributes:
        rows: Row numbers.
        distances: Their distances by vector.
        lower_bound: A lower bound of those of all other rows.
        scanned: How many rows they are the nearest of.
        some_too_far: Whether rows beyond `max_distance` were dropped.
    """

    rows: Row
    distances: Distances
    lower_bound: float
    scanned: int
    some_too_far: bool = False


@dataclass(frozen=True)
class SecondStage:
    """Ranks candidates again for the queries of one call.

    Attributes:
        segments: What is searched.
        plan: Where candidates come from.
        params: What is asked for; its `max_distance` is by vector.
        reranker: How candidates are ranked.
        exact: Whether every row is a candidate.
        read: Reads the features that memory does not hold.
    """

    segments: Segments
    plan: Plan
    params: RankingParams
    reranker: Reranker
    exact: bool
    read: ReadFeatures

    def rank(self, query: NumberedQueries, features: FeaturesQuery) -> Ranked:
        """Returns the best `k` rows of a single query; fewer only if there are no more.

        An approximate source may miss some: see `Ranked.short`.
        """
        vector = comparable(query.vectors, self.segments.collection.metric)[0]
        count = self.reranker.rerank.candidates
        if most := most_candidates(self.segments, self.plan):
            count = min(count, most)
        while True:
            near = self._candidates(query, vector, count)
            ranked = self._ranked(near, features)
            enough = len(ranked.rows) == self.params.k or self._is_cut(near)
            if self.plan.source.approximate:
                # A graph cannot stop at a distance: if it gave rows beyond it, it gave all within.
                return ranked._replace(short=not (enough or near.some_too_far))
            if near.lower_bound == math.inf or enough:
                return ranked
            count *= _GROWTH

    def _candidates(self, query: NumberedQueries, vector: Matrix, count: int) -> _Candidates:
        """Returns the `count` nearest rows that may be found, or all."""
        source, metric = self.plan.source, self.segments.collection.metric
        # Room for what the filter drops, and for the query's own items.
        width = math.ceil((count + len(query.own_items.get(0, ()))) / self.plan.share)
        if self.plan.share < 1 or query.own_products:
            width += width // 8 + 16
        while True:
            whole = (self.exact or width >= source.size) and not source.approximate
            if whole:
                rows, float32_bound = self._all_rows(vector), math.inf
            else:
                rows, float32_bound = source.candidates(vector, min(width, source.size))
            scanned = len(rows) if source.approximate else source.size
            if excluded := excluded_rows(
                self.segments, query, rows[None, :], self.params.condition
            ):
                rows = rows[~np.any(excluded, axis=0)[0]]
            if whole or source.approximate or len(rows) >= count:
                break
            width *= 2
        by_vector = self._distances(rows, vector)
        if len(rows) > count and not self.exact:
            nearest = np.argpartition(by_vector, count)
            float32_bound = min(float32_bound, float(by_vector[nearest[count]]))
            rows, by_vector = rows[nearest[:count]], by_vector[nearest[:count]]
        lower_bound = exact_lower_bound(vector, self.segments.longest, float32_bound, metric)
        if lower_bound > self.params.max_distance:
            lower_bound = math.inf
        within = by_vector <= self.params.max_distance
        some_too_far = not bool(within.all())
        if some_too_far:
            rows, by_vector = rows[within], by_vector[within]
        return _Candidates(rows, by_vector, lower_bound, scanned, some_too_far)

    def _all_rows(self, vector: Matrix) -> Row:
        """Returns every row of the source that may be within the distance."""
        source, limit = self.plan.source, self.params.max_distance
        if limit == math.inf:
            return source.rows()
        # By float32 first, which takes a third of the time if few rows are within it.
        metric = self.segments.collection.metric
        return source.within(
            vector, limit + float32_error(vector, self.segments.longest, limit, metric)
        )

    def _is_cut(self, near: _Candidates) -> bool:
        """Returns whether the reranker's limit alone left fewer than `k`."""
        if self.reranker.rerank.max_distance is None:
            return False
        found = len(near.rows)
        if self.params.distinct_products:
            found = len(np.unique(self.segments.take("products", near.rows)))
        return found >= self.params.k

    def _ranked(self, near: _Candidates, features: FeaturesQuery) -> Ranked:
        rows, by_vector = near.rows, near.distances
        ranked_by = self.reranker.distances(self._cosines(rows, features), by_vector)

        def products(places: Places) -> list[int]:
            taken: list[int] = self.segments.take("products", rows[places]).tolist()
            return taken

        best = self.reranker.best(ranked_by, by_vector, rows, products)
        found = ranked_by[best].tolist()
        return Ranked(
            rows[best].tolist(),
            found,
            by_vector[best].tolist(),
            ranked=len(rows),
            complete=self.reranker.is_complete(found, near.lower_bound),
            scanned=near.scanned,
        )

    def _distances(self, rows: Row, vector: Matrix) -> Distances:
        metric = self.segments.collection.metric
        found = [distances(self.segments.vectors(part), vector, metric) for part in _parts(rows)]
        return np.concatenate(found) if len(found) != 1 else found[0]

    def _cosines(self, rows: Row, features: FeaturesQuery) -> Distances:
        found = [
            cosine_distances(*features_at(self.segments, part, self.read), features)
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
    """Returns the features of some rows, shape (n,), quantised as in memory.

    Args:
        segments: Where the rows are.
        rows: Row numbers.
        read: Reads the features that memory does not hold.
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
