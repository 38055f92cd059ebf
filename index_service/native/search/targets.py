"""The target of one query, and how far single rows are from it, however they were found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from index_service.distances import Distances, comparable, distances
from index_service.native.memory.features import FeaturesQuery, cosine_distances, query_of
from index_service.native.memory.segments import Bits, Segments
from index_service.native.search.candidates import Row
from index_service.native.search.first_stage import NumberedQueries
from index_service.native.search.second_stage import ReadFeatures, features_at
from index_service.ranking.rerank import Reranker
from index_service.records import Matrix, Search

# Rows measured at a time: in float64 the vectors take twice their size in memory.
_ROWS = 8192


@dataclass(frozen=True)
class Target:
    """What one query looks for beside words.

    Attributes:
        segments: What is searched.
        query: The query, a single one.
        vector: Its vector, comparable.
        features: Its features; None if rows are ranked by vector alone.
        reranker: How rows are ranked by features; None likewise.
        read: Reads the features that memory does not hold.
    """

    segments: Segments
    query: NumberedQueries
    vector: Matrix
    features: FeaturesQuery | None
    reranker: Reranker | None
    read: ReadFeatures

    @classmethod
    def of(
        cls, segments: Segments, query: NumberedQueries, search: Search, read: ReadFeatures
    ) -> Target:
        """Returns the target of a single query."""
        metric = segments.collection.metric
        features = query.features[0] if query.features else None
        return cls(
            segments,
            query,
            comparable(query.vectors, metric)[0],
            None if features is None else query_of(features),
            Reranker.of(search, metric) if search.rerank else None,
            read,
        )

    def by_vector(self, rows: Row) -> Distances:
        """Returns the distances of some rows by vector."""
        metric = self.segments.collection.metric
        found = [
            distances(self.segments.vectors(rows[start : start + _ROWS]), self.vector, metric)
            for start in range(0, len(rows), _ROWS)
        ]
        return np.concatenate(found) if found else np.empty(0)

    def ranked_by(self, rows: Row, by_vector: Distances) -> Distances:
        """Returns what some rows are ranked by, given their distances by vector."""
        if self.features is None or self.reranker is None or not len(rows):
            return by_vector
        known = features_at(self.segments, rows, self.read)
        return self.reranker.distances(cosine_distances(*known, self.features), by_vector)

    def is_within(self, rows: Row) -> Bits:
        """Returns which rows are as near as the second stage asks for."""
        limit = self.reranker.rerank.max_distance if self.reranker else None
        if limit is None or self.features is None:
            return np.ones(len(rows), bool)
        return self.ranked_by(rows, self.by_vector(rows)) <= limit
