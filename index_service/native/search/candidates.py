"""Where the rows come from that are compared with a query: all of them, some, or a graph's.

With `graph.py` the only place that knows FAISS. Each source returns somewhat more rows than are
wanted, by float32; `ranking.py` and `second_stage.py` compare them again.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import faiss
import numpy as np
import numpy.typing as npt

from index_service.native.memory.graph import FAISS_METRICS
from index_service.native.memory.segments import Segments
from index_service.native.search.rounding import rough_distances
from index_service.records import Matrix, Metric

# Queries from which on FAISS compares by matrix products: a third of the time for 1,000 queries in
# one thread, which each search has (see the package's __init__). By itself FAISS never does.
faiss.cvar.distance_compute_blas_threshold = 8

Row = npt.NDArray[np.int64]


class Nearest(NamedTuple):
    """Rows near each query, shape (n, width), -1 for none, and how far they reach.

    Any row that is not among them is at least that far, by float32; all of them reach infinitely
    far.
    """

    rows: Row
    reach: list[float]


class Candidates(NamedTuple):
    """Rows near one query in no order, shape (n,), and how far they reach.

    Any row that is not among them is at least that far, by float32; -infinity where nobody knows.
    """

    rows: Row
    reach: float


class Source(Protocol):
    """Gives rows near to queries."""

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
        """Returns the `width` rows nearest to one query, or all: quicker than in order.

        Args:
            query: float32 (dimension,), comparable.
            width: How many rows.
        """
        ...

    def rows(self) -> Row:
        """Returns every row there is to compare, ascending."""
        ...

    def within(self, query: Matrix, limit: float) -> Row:
        """Returns every row that is no farther by float32, ascending; and where that overflows.

        Args:
            query: float32 (dimension,), comparable.
            limit: How far, and how far float32 can be off.
        """
        ...


class AllRows:
    """Every row of the segments, one by one."""

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
            rough_distances(part.rows.vectors[: part.size], query, metric)
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
    """The rows that a filter lets through, one by one.

    Where they are few, gathering them costs less than comparing all and dropping most.

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
        return Nearest(self._rows[found.rows] if len(self._rows) else found.rows, found.reach)

    def candidates(self, query: Matrix, width: int) -> Candidates:
        """See `Source.candidates`."""
        if self._vectors is None:
            self._vectors = self._segments.vectors(self._rows)
        metric = self._segments.collection.metric
        found = _least(rough_distances(self._vectors, query, metric), width)
        return Candidates(self._rows[found.rows], found.reach)

    def rows(self) -> Row:
        """See `Source.rows`."""
        return self._rows

    def within(self, query: Matrix, limit: float) -> Row:
        """See `Source.within`."""
        if self._vectors is None:
            self._vectors = self._segments.vectors(self._rows)
        return self._rows[_within(self._vectors, query, limit, self._segments)]


class GraphRows:
    """What the segments' graphs lead to, and the rows behind the graphs, one by one.

    Args:
        segments: The segments.
        effort: How far each graph is searched.
    """

    approximate = True

    def __init__(self, segments: Segments, effort: int) -> None:
        self._segments = segments
        self._effort = effort

    @property
    def size(self) -> int:
        """How many rows there are."""
        return self._segments.row_count

    def nearest(self, queries: Matrix, width: int) -> Nearest:
        """See `Source.nearest`; reaches infinitely far, as nobody knows how far it does."""
        segments = self._segments
        found: list[Nearest] = []
        for part, start in zip(segments.parts, segments.starts, strict=False):
            if part.graph:
                rows = part.graph.nearest(queries, width, self._effort)
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
    rough = rough_distances(vectors, query, segments.collection.metric)
    # Not what is farther, so that nothing is lost where float32 overflows.
    return np.flatnonzero(~(rough > limit))


def _least(rough: npt.NDArray[np.float32], width: int) -> Candidates:
    """Returns the rows at the `width` least distances, of more than so many."""
    rows = np.argpartition(rough, width)  # NaN comes last
    reach = float(rough[rows[width]])
    return Candidates(rows[:width], -math.inf if math.isnan(reach) else reach)


def _compared(
    queries: Matrix, vectors: Matrix, width: int, segments: Segments, start: int
) -> Nearest:
    """Compares queries with all of some vectors, whose first row is `start`."""
    if width >= len(vectors):
        rows = np.arange(start, start + len(vectors))
        return Nearest(
            np.broadcast_to(rows, (len(queries), len(vectors))), [math.inf] * len(queries)
        )
    metric = segments.collection.metric
    scores, rows = faiss.knn(queries, vectors, width, metric=FAISS_METRICS[metric])
    reach = scores[:, -1].astype(np.float64)
    if metric is not Metric.SQUARED_L2:  # FAISS gives products, greatest first
        reach = (1 if metric is Metric.COSINE else 0) - reach
    return Nearest(rows + start if start else rows, reach.tolist())


def _joined(found: list[Nearest], count: int) -> Nearest:
    if len(found) == 1:
        return found[0]
    if not found:
        return Nearest(np.empty((count, 0), np.int64), [math.inf] * count)
    rows = np.concatenate([nearest.rows for nearest in found], axis=1)
    return Nearest(rows, [min(each) for each in zip(*(n.reach for n in found), strict=True)])
