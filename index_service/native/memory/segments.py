"""Immutable segments: up to a million items in memory, which of them are dead, and their graph.

A write builds the next segment from the last one, and whoever holds the last one goes on reading
it. Knows neither items' attributes nor the store.
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
    """Some items of one collection as they were after some write, in the order of their keys.

    Attributes:
        rows: Their columns; those from `size` on are not this segment's.
        size: How many rows there are.
        dead: Of at least `size` rows, which were deleted or replaced.
        dead_count: How many were.
        longest: Length of the longest vector.
        graph: Leads to the first `len(graph)` rows; those behind are compared one by one.
    """

    rows: Rows
    size: int
    dead: Bits
    dead_count: int = 0
    longest: float = 0.0
    graph: Graph | None = None

    @property
    def in_graph(self) -> int:
        """How many rows the graph leads to."""
        return len(self.graph) if self.graph else 0

    @property
    def live_count(self) -> int:
        """How many items there are."""
        return self.size - self.dead_count

    @property
    def has_features(self) -> bool:
        """Whether memory holds the features of its items, if they have some."""
        return bool(self.rows.features.shape[1])

    @property
    def room(self) -> int:
        """How many more rows it may have."""
        return MOST_ROWS - self.size

    def live(self) -> Rows:
        """Returns the rows that are not dead."""
        rows = self.rows.part(slice(self.size))
        return rows.part(~self.dead[: self.size]) if self.dead_count else rows

    def with_rows(self, new: Rows, collection: Collection) -> Segment:
        """Returns a segment that also has these rows; at most as many as there is room for."""
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
        """Returns the rows of those of the keys that it has, dead or not; `keys` ascend."""
        own = self.rows.keys[: self.size]
        at = np.searchsorted(own, keys)
        inside = at < self.size
        inside[inside] = own[at[inside]] == keys[inside]
        return at[inside]

    def without(self, keys: Keys) -> Segment:
        """Returns a segment without these items; keys that it has not are skipped."""
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
        collection: Whose they are.
        parts: The segments.
        feature_bytes: How much memory features may take, a segment more or less; of segments beyond
            it memory holds none.
    """

    collection: Collection
    parts: tuple[Segment, ...] = ()
    feature_bytes: int = 0
    starts: tuple[int, ...] = field(init=False)  # of each segment among all rows, and their number

    def __post_init__(self) -> None:
        starts = [0]
        for part in self.parts:
            starts.append(starts[-1] + part.size)
        object.__setattr__(self, "starts", tuple(starts))

    def __len__(self) -> int:
        """How many items there are."""
        return sum(part.live_count for part in self.parts)

    @property
    def row_count(self) -> int:
        """How many rows there are, dead ones too."""
        return self.starts[-1]

    @property
    def longest(self) -> float:
        """Length of the longest vector."""
        return max((part.longest for part in self.parts), default=0.0)

    def with_rows(self, new: Rows) -> Segments:
        """Returns segments that also have these rows, whose keys are above all others."""
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
        """Returns whether the n-th segment, from 0, is to hold its items' features."""
        return number * MOST_ROWS * self.collection.features_dimension < self.feature_bytes

    def without(self, keys: Keys) -> Segments:
        """Returns segments without these items; keys that they have not are skipped."""
        return replace(self, parts=tuple(part.without(keys) for part in self.parts))

    def row_of(self, key: int) -> int | None:
        """Returns an item's row among all, or None if it is dead or was never here."""
        for part, start in zip(self.parts, self.starts, strict=False):
            for row in part.find(np.array([key])):
                return None if part.dead[row] else start + int(row)
        return None

    def vectors(self, rows: npt.NDArray[np.int64]) -> Matrix:
        """Returns vectors as they are compared: (..., dimension) for rows of any shape."""
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
        """Returns which of some rows, of any shape, are dead."""
        found = np.zeros(rows.shape, bool)
        for part, start in zip(self.parts, self.starts, strict=False):
            if part.dead_count:
                inside = (rows >= start) & (rows < start + part.size)
                found[inside] = part.dead[rows[inside] - start]
        return found
