"""Sources of candidate rows: all rows, the rows that a filter lets through, or a graph's.

Each source returns somewhat more rows than are wanted, compared in float32; `first_stage.py` and
`second_stage.py` compare them again.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import faiss
import numpy as np
import numpy.typing as npt

from index_service.native.memory.graph import FAISS_METRICS
from index_service.native.memory.segments import Segments
from index_service.ranking.float32 import float32_distances
from index_service.records import Matrix, Metric

# Number of queries from which FAISS compares by matrix products, which takes a third of the time
# for 1,000 queries on the one thread that a search has (see the package's __init__). FAISS's own
# default never does.
faiss.cvar.distance_compute_blas_threshold = 8

Row = npt.NDArray[np.int64]


class Nearest(NamedTuple):
    """Rows near each query.

    Attributes:
        rows: Shape (n, width); -1 for no row.
        lower_bounds: No other row is nearer to a query than this, by float32; infinite if there is
            no other row.
    """

    rows: Row
    lower_bounds: list[float]


class Candidates(NamedTuple):
    """Rows near one query, in no order.

    Attributes:
        rows: Shape (n,).
        lower_bound: No other row is nearer than this, by float32; -infinity if unknown.
    """

    rows: Row
    lower_bound: float


class Source(Protocol):
    """Gives candidate rows near queries."""

    approximate: bool

    @property
    def size(self) -> int:
        """How many rows there are to compare."""
        ...

    def nearest(self, queries: Matrix, width: int) -> Nearest:
        """Returns at least `width` rows for each query, or all.

        Args:
            queries: float32 (n, dimension), comparable.
            width: How many rows.
        """
        ...

    def candidates(self, query: Matrix, width: int) -> Candidates:
        """Returns the `width` rows nearest to one query, or all; unordered, which is quicker.

        Args:
            query: float32 (dimension,), comparable.
            width: How many rows.
        """
        ...

    def rows(self) -> Row:
        """Returns the numbers of all rows, ascending."""
        ...

    def within(self, query: Matrix, limit: float) -> Row:
        """Returns all rows within a distance by float32, ascending, and those that overflow.

        Args:
            query: float32 (dimension,), comparable.
            limit: The distance, plus the error of float32.
        """
        ...


class AllRows:
    """Compares every row of the segments."""

    approximate = False

    def __init__(self, segments: Segments) -> None:
        self._segments = segments

    @property
    def size(self) -> int:
        """How many rows there are."""
        return self._segments.row_count

    def nearest(self, queries: Matrix, width: int) -> Nearest:
        """See `Source.nearest`."""
        segments = self._segments
        return _joined(
            [
                _compared(queries, part.rows.vectors[: part.size], width, segments, start)
                for part, start in zip(segments.parts, segments.starts, strict=False)
            ],
            len(queries),
        )

    def candidates(self, query: Matrix, width: int) -> Candidates:
        """See `Source.candidates`."""
        metric = self._segments.collection.metric
        rough = [
            float32_distances(part.rows.vectors[: part.size], query, metric)
            for part in self._segments.parts
        ]
        return _least(np.concatenate(rough) if len(rough) > 1 else rough[0], width)

    def rows(self) -> Row:
        """See `Source.rows`."""
        return np.arange(self.size)

    def within(self, query: Matrix, limit: float) -> Row:
        """See `Source.within`."""
        segments = self._segments
        near = [
            _within(part.rows.vectors[: part.size], query, limit, segments) + start
            for part, start in zip(segments.parts, segments.starts, strict=False)
        ]
        return np.concatenate(near) if near else np.empty(0, np.int64)


class SomeRows:
    """Compares the rows that a filter lets through.

    If they are few, gathering them costs less than comparing all rows and dropping most.

    Args:
        segments: The segments.
        rows: The rows, ascending.
    """

    approximate = False

    def __init__(self, segments: Segments, rows: Row) -> None:
        self._segments = segments
        self._rows = rows
        self._vectors: Matrix | None = None

    @property
    def size(self) -> int:
        """How many rows there are."""
        return len(self._rows)

    def nearest(self, queries: Matrix, width: int) -> Nearest:
        """See `Source.nearest`."""
        if self._vectors is None:
            self._vectors = self._segments.vectors(self._rows)
        found = _compared(queries, self._vectors, width, self._segments, 0)
        rows = self._rows[found.rows] if len(self._rows) else found.rows
        return Nearest(rows, found.lower_bounds)

    def candidates(self, query: Matrix, width: int) -> Candidates:
        """See `Source.candidates`."""
        if self._vectors is None:
            self._vectors = self._segments.vectors(self._rows)
        metric = self._segments.collection.metric
        found = _least(float32_distances(self._vectors, query, metric), width)
        return Candidates(self._rows[found.rows], found.lower_bound)

    def rows(self) -> Row:
        """See `Source.rows`."""
        return self._rows

    def within(self, query: Matrix, limit: float) -> Row:
        """See `Source.within`."""
        if self._vectors is None:
            self._vectors = self._segments.vectors(self._rows)
        return self._rows[_within(self._vectors, query, limit, self._segments)]


class GraphRows:
    """Searches the segments' graphs, and compares every row that is in no graph yet.

    Args:
        segments: The segments.
        ef_search: Size of the candidate list with which each graph is searched.
    """

    approximate = True

    def __init__(self, segments: Segments, ef_search: int) -> None:
        self._segments = segments
        self._ef_search = ef_search

    @property
    def size(self) -> int:
        """How many rows there are."""
        return self._segments.row_count

    def nearest(self, queries: Matrix, width: int) -> Nearest:
        """See `Source.nearest`; the bounds are infinite, since what a graph misses is unknown."""
        segments = self._segments
        found: list[Nearest] = []
        for part, start in zip(segments.parts, segments.starts, strict=False):
            if part.graph:
                rows = part.graph.nearest(queries, width, self._ef_search)
                found.append(Nearest(np.where(rows < 0, -1, rows + start), []))
            if part.size > part.in_graph:
                tail = part.rows.vectors[part.in_graph : part.size]
                found.append(_compared(queries, tail, width, segments, start + part.in_graph))
        rows = np.concatenate([nearest.rows for nearest in found], axis=1)
        return Nearest(rows, [math.inf] * len(queries))

    def candidates(self, query: Matrix, width: int) -> Candidates:
        """See `Source.candidates`."""
        (rows,) = self.nearest(query[None, :], width).rows
        return Candidates(rows[rows >= 0], -math.inf)

    def rows(self) -> Row:
        """See `Source.rows`."""
        return np.arange(self.size)

    def within(self, query: Matrix, limit: float) -> Row:
        """See `Source.within`; compares every row."""
        return AllRows(self._segments).within(query, limit)


def _within(vectors: Matrix, query: Matrix, limit: float, segments: Segments) -> Row:
    rough = float32_distances(vectors, query, segments.collection.metric)
    # `not >` rather than `<=`, which would lose the NaNs of an overflow in float32.
    return np.flatnonzero(~(rough > limit))


def _least(rough: npt.NDArray[np.float32], width: int) -> Candidates:
    """Returns the rows at the `width` least distances, of more than `width`."""
    rows = np.argpartition(rough, width)  # NaN comes last
    lower_bound = float(rough[rows[width]])
    return Candidates(rows[:width], -math.inf if math.isnan(lower_bound) else lower_bound)


def _compared(
    queries: Matrix, vectors: Matrix, width: int, segments: Segments, start: int
) -> Nearest:
    """Compares queries with all of the vectors, whose rows are numbered from `start`."""
    if width >= len(vectors):
        rows = np.arange(start, start + len(vectors))
        return Nearest(
            np.broadcast_to(rows, (len(queries), len(vectors))), [math.inf] * len(queries)
        )
    metric = segments.collection.metric
    scores, rows = faiss.knn(queries, vectors, width, metric=FAISS_METRICS[metric])
    lower_bound = scores[:, -1].astype(np.float64)
    if metric is not Metric.SQUARED_L2:  # FAISS gives products, greatest first
        lower_bound = (1 if metric is Metric.COSINE else 0) - lower_bound
    return Nearest(rows + start if start else rows, lower_bound.tolist())


def _joined(found: list[Nearest], count: int) -> Nearest:
    if len(found) == 1:
        return found[0]
    if not found:
        return Nearest(np.empty((count, 0), np.int64), [math.inf] * count)
    rows = np.concatenate([nearest.rows for nearest in found], axis=1)
    bounds = zip(*(nearest.lower_bounds for nearest in found), strict=True)
    return Nearest(rows, [min(each) for each in bounds])
