"""Immutable segments of up to a million items: their columns, which are dead, and their graph.

A write builds the next segment from the last one, while readers go on with the last one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from index_service.distances import lengths
from index_service.native.memory.columns import Keys, Rows, appended, blank
from index_service.native.memory.graph import Graph
from index_service.records import Collection, Matrix

MOST_ROWS = 1 << 20

Bits = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Segment:
    """Items of one collection as they were after some write, in the order of their keys.

    Attributes:
        rows: Their columns; rows from `size` on do not belong to this segment.
        size: The number of rows.
        dead: Mask of the rows that were deleted or replaced; at least `size` long.
        dead_count: The number of dead rows.
        longest: Length of the longest vector.
        graph: A graph over the first `len(graph)` rows; the rows behind it are scanned.
    """

    rows: Rows
    size: int
    dead: Bits
    dead_count: int = 0
    longest: float = 0.0
    graph: Graph | None = None

    @property
    def in_graph(self) -> int:
        """The number of rows in the graph."""
        return len(self.graph) if self.graph else 0

    @property
    def live_count(self) -> int:
        """The number of items."""
        return self.size - self.dead_count

    @property
    def has_features(self) -> bool:
        """Whether memory holds the features of the items that have some."""
        return bool(self.rows.features.shape[1])

    @property
    def room(self) -> int:
        """How many more rows fit."""
        return MOST_ROWS - self.size

    def live(self) -> Rows:
        """Returns the rows that are not dead."""
        rows = self.rows.part(slice(self.size))
        return rows.part(~self.dead[: self.size]) if self.dead_count else rows

    def with_rows(self, new: Rows, collection: Collection) -> Segment:
        """Returns a segment with these rows appended; they must fit."""
        size = self.size + len(new)
        dead = self.dead
        if not self.has_features:
            new = new.without_features()
        if size > len(dead):
            dead = np.zeros(min(MOST_ROWS, 2 * size), bool)
            dead[: self.size] = self.dead[: self.size]
        return replace(
            self,
            rows=appended(self.rows, self.size, new, MOST_ROWS, collection),
            size=size,
            dead=dead,
            longest=max(self.longest, float(lengths(new.vectors).max(initial=0))),
        )

    def find(self, keys: Keys) -> npt.NDArray[np.int64]:
        """Returns the rows of the keys that it contains, dead or not; `keys` must ascend."""
        own = self.rows.keys[: self.size]
        at = np.searchsorted(own, keys)
        inside = at < self.size
        inside[inside] = own[at[inside]] == keys[inside]
        return at[inside]

    def without(self, keys: Keys) -> Segment:
        """Returns a segment in which these items are dead; unknown keys are skipped."""
        rows = self.find(keys)
        rows = rows[~self.dead[rows]]
        if not len(rows):
            return self
        dead = self.dead.copy()
        dead[rows] = True
        return replace(self, dead=dead, dead_count=self.dead_count + len(rows))


EMPTY_BITS = np.zeros(0, bool)


@dataclass(frozen=True, eq=False)
class Segments:
    """All segments of one collection, in the order of their keys.

    Attributes:
        collection: The collection.
        parts: The segments.
        feature_bytes: How much memory features may take, give or take a segment; segments beyond it
            have none in memory.
    """

    collection: Collection
    parts: tuple[Segment, ...] = ()
    feature_bytes: int = 0
    starts: tuple[int, ...] = field(init=False)  # first row of each segment, and the total

    def __post_init__(self) -> None:
        starts = [0]
        for part in self.parts:
            starts.append(starts[-1] + part.size)
        object.__setattr__(self, "starts", tuple(starts))

    def __len__(self) -> int:
        """The number of items."""
        return sum(part.live_count for part in self.parts)

    @property
    def row_count(self) -> int:
        """The number of rows, dead ones included."""
        return self.starts[-1]

    @property
    def longest(self) -> float:
        """Length of the longest vector."""
        return max((part.longest for part in self.parts), default=0.0)

    def with_rows(self, new: Rows) -> Segments:
        """Returns segments with these rows appended; their keys must be above all others."""
        parts = list(self.parts)
        while len(new):
            if not parts or not parts[-1].room:
                none = new.part(slice(0))
                keeps = self.keeps_features(len(parts))
                parts.append(Segment(none if keeps else none.without_features(), 0, EMPTY_BITS))
            fit = slice(parts[-1].room)
            parts[-1] = parts[-1].with_rows(new.part(fit), self.collection)
            new = new.part(slice(fit.stop, None))
        return replace(self, parts=tuple(parts))

    def keeps_features(self, number: int) -> bool:
        """Returns whether the n-th segment, from 0, holds features in memory."""
        return number * MOST_ROWS * self.collection.features_dimension < self.feature_bytes

    def without(self, keys: Keys) -> Segments:
        """Returns segments in which these items are dead; unknown keys are skipped."""
        return replace(self, parts=tuple(part.without(keys) for part in self.parts))

    def row_of(self, key: int) -> int | None:
        """Returns an item's row number; None if it is dead or unknown."""
        for part, start in zip(self.parts, self.starts, strict=False):
            for row in part.find(np.array([key])):
                return None if part.dead[row] else start + int(row)
        return None

    def rows_of(self, keys: Keys) -> npt.NDArray[np.int64]:
        """Returns the row numbers of the keys that it contains, dead or not; `keys` must ascend."""
        rows = [
            part.find(keys) + start for part, start in zip(self.parts, self.starts, strict=False)
        ]
        return np.concatenate(rows) if rows else np.empty(0, np.int64)

    def vectors(self, rows: npt.NDArray[np.int64]) -> Matrix:
        """Returns comparable vectors, shape (..., dimension) for rows of any shape."""
        return self.take("vectors", rows).astype(np.float32, copy=False)

    def take(self, column: str, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.generic]:
        """Returns a column's values at some rows, of any shape."""
        if len(self.parts) == 1:
            values: npt.NDArray[np.generic] = self.parts[0].rows.column(column)[rows]
            return values
        flat = rows.ravel()
        first = self.parts[0].rows if self.parts else blank(self.collection, 0, 0)
        like = first.column(column)
        found: npt.NDArray[np.generic] = np.zeros((len(flat), *like.shape[1:]), like.dtype)
        for part, start in zip(self.parts, self.starts, strict=False):
            inside = (flat >= start) & (flat < start + part.size)
            found[inside] = part.rows.column(column)[flat[inside] - start]
        return found.reshape(*rows.shape, *found.shape[1:])

    def dead(self, rows: npt.NDArray[np.int64]) -> Bits:
        """Returns a mask of the rows, of any shape, that are dead."""
        found = np.zeros(rows.shape, bool)
        for part, start in zip(self.parts, self.starts, strict=False):
            if part.dead_count:
                inside = (rows >= start) & (rows < start + part.size)
                found[inside] = part.dead[rows[inside] - start]
        return found
