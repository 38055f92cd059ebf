"""Finds the rows nearest to vectors, in exact order.

Milvus gives the rows nearest by float32, as many as it is asked for. Here they are compared again
in float64, and it is asked for more until no row that it has kept back can belong to the answer.
Knows nothing of features, nor of how queries come to their vectors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from index_service.distances import distances
from index_service.milvus import schema
from index_service.milvus.connection import MAX_ROWS, Kept, MilvusConnection
from index_service.milvus.expressions import ID, PRODUCT_ID, both, none_of
from index_service.milvus.probes import Probe
from index_service.records import Collection, Matrix, Metric
from lookalike.errors import NotSupportedError

COMPARED = (ID, PRODUCT_ID, schema.POSITION, schema.VECTOR)
"""The fields that every comparison needs."""

RELATIVE_ERROR = 1e-5
"""A float32 distance is off by less than this part of the lengths it comes from.

That holds up to a dimension of some thousands.
"""

ANSWER_BYTES = 24 << 20
"""What one answer of Milvus may hold, well below its limit of 100 MiB."""

# Rows beyond those wanted: they show whether the order at the end is settled.
_SPARE = 16
_ROUND_GROWTH = 4
_ROW_BYTES = 1_024


@dataclass(slots=True)
class Hit:
    """A row and its exact distance."""

    row: dict[str, Any]
    distance: float


@dataclass(slots=True)
class Nearest:
    """The rows nearest to one probe so far.

    Attributes:
        probe: What they are near to.
        hits: Nearest first, at the same distance in the order of writing.
        seen: How many rows Milvus gave.
        reach: A distance that no other row that may be found is below; infinite if there is none.
        settled: Whether no other row can be among those wanted.
    """

    probe: Probe
    hits: list[Hit] = field(default_factory=list)
    seen: int = 0
    reach: float = -math.inf
    settled: bool = False

    def first(self, number: int) -> tuple[list[Hit], float]:
        """Returns the nearest `number`, and `reach` as it is without the others."""
        beyond = self.hits[number].distance if len(self.hits) > number else math.inf
        return self.hits[:number], min(beyond, self.reach)


class NearestRows:
    """Searches one collection as it was at one point or later.

    Args:
        milvus: The connection.
        kept: The collection.
        point: What every search must have seen.
        condition: Which rows count.
        fields: What to return of each beside `COMPARED`.
        max_distance: How far rows may be.
    """

    def __init__(
        self,
        milvus: MilvusConnection,
        kept: Kept,
        point: int,
        condition: str,
        *,
        fields: Sequence[str] = (),
        max_distance: float | None = None,
    ) -> None:
        self._milvus = milvus
        self._kept = kept
        self._point = point
        self._condition = condition
        self._fields = [*COMPARED, *(name for name in fields if name not in COMPARED)]
        self._max_distance = max_distance
        self._most = rows_at_once(kept.collection, features=schema.FEATURES in fields)

    def of(
        self, probes: Sequence[Probe], number: int, *, distinct: bool = False
    ) -> Iterator[Nearest]:
        """Gives for each probe the nearest rows: settled for the first `number`.

        Args:
            probes: What to be near to.
            number: How many rows are wanted.
            distinct: Whether only the nearest row of each product counts.
        """
        most = max((len(probe.without) for probe in probes), default=0)
        width = min(number * (2 if distinct else 1) + most + _SPARE, self._most)
        # A part at a time, so that memory holds the rows of no more than one answer.
        for part in parts([Nearest(probe) for probe in probes], max(1, self._most // width)):
            # Those that leave no product out have the same condition: one call for all of them.
            together = [nearest for nearest in part if not nearest.probe.without_products]
            if together:
                vectors = np.stack([nearest.probe.vector for nearest in together])
                found = self._find(vectors, self._condition, width)
                for nearest, rows in zip(together, found, strict=True):
                    self._add(nearest, rows, width, number, distinct)
            for nearest in part:
                limit = width
                while not nearest.settled:
                    condition = both(self._condition, _rest(nearest, distinct))
                    (rows,) = self._find(nearest.probe.vector[np.newaxis], condition, limit)
                    self._add(nearest, rows, limit, number, distinct)
                    limit = min(limit * _ROUND_GROWTH, self._most)
                if (within := self._max_distance) is not None:
                    nearest.hits = [hit for hit in nearest.hits if hit.distance <= within]
                yield nearest

    def _add(
        self,
        nearest: Nearest,
        rows: list[dict[str, Any]],
        limit: int,
        number: int,
        distinct: bool,
    ) -> None:
        collection, probe = self._kept.collection, nearest.probe
        nearest.seen += len(rows)
        if rows:
            vectors = np.stack([schema.vector_of(row) for row in rows])
            exact = distances(vectors, probe.vector, collection.metric).tolist()
            nearest.hits += [
                Hit(row, distance)
                for row, distance in zip(rows, exact, strict=True)
                if row[ID] not in probe.without
            ]
        nearest.hits.sort(key=_order)
        if distinct:
            nearest.hits = _first_of_each_product(nearest.hits)
        if len(rows) < limit:
            nearest.reach = math.inf
            nearest.settled = True
            return
        # Every row that was kept back is at least this far.
        nearest.reach = _converted(rows[-1]["distance"], collection.metric)
        nearest.reach -= _error(probe.vector, vectors, collection.metric)
        if self._max_distance is not None and nearest.reach > self._max_distance:
            nearest.reach = math.inf
        enough = len(nearest.hits) >= number
        last = nearest.hits[number - 1].distance if enough else math.inf
        # A graph has given its best at the first try, and nothing is settled by asking again.
        nearest.settled = nearest.reach == math.inf or (
            enough and (last < nearest.reach or not self._kept.exact)
        )

    def _find(self, vectors: Matrix, condition: str, limit: int) -> list[list[dict[str, Any]]]:
        return self._milvus.search(
            self._kept, vectors, condition, self._fields, point=self._point, limit=limit
        )


def rows_at_once(collection: Collection, *, features: bool = False) -> int:
    """Returns how many rows one answer may hold, with their features or without."""
    row = _ROW_BYTES + 4 * collection.dimension
    if features:
        row += 6 * collection.features_dimension
    return max(1, min(ANSWER_BYTES // row, MAX_ROWS))


def parts(values: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Gives the values, at most `size` at a time."""
    return (values[i : i + size] for i in range(0, len(values), size))


def _rest(nearest: Nearest, distinct: bool) -> str:
    """Returns the condition that a row is none of those found, and may be found."""
    products, ids = set(nearest.probe.without_products), nearest.probe.without
    if distinct:
        products |= {hit.row[PRODUCT_ID] for hit in nearest.hits}
    else:
        ids = ids | {hit.row[ID] for hit in nearest.hits}
    if len(products) + len(ids) > MAX_ROWS:
        raise NotSupportedError(
            f"more than {MAX_ROWS} items are as near as the last one wanted; Milvus cannot "
            "put them in order"
        )
    return both(none_of(PRODUCT_ID, sorted(products)), none_of(ID, sorted(ids)))


def _order(hit: Hit) -> tuple[float, int]:
    return hit.distance, hit.row[schema.POSITION]


def _first_of_each_product(hits: Sequence[Hit]) -> list[Hit]:
    first: dict[str, Hit] = {}
    for hit in hits:
        first.setdefault(hit.row[PRODUCT_ID], hit)
    return list(first.values())


def _converted(score: float, metric: Metric) -> float:
    """Returns Milvus's score as a distance by the proto's definition."""
    if metric is Metric.SQUARED_L2:
        return score
    return 1 - score if metric is Metric.COSINE else -score


def _error(query: Matrix, vectors: Matrix, metric: Metric) -> float:
    """Returns by how much a float32 distance may be off."""
    if metric is Metric.COSINE:
        return RELATIVE_ERROR
    length = float(np.linalg.norm(query))
    longest = float(np.linalg.norm(vectors, axis=1).max())
    if metric is Metric.SQUARED_L2:
        return RELATIVE_ERROR * (length + longest) ** 2
    return RELATIVE_ERROR * length * longest
