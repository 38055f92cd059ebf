"""Finds the rows nearest to vectors, in exact order.

Milvus gives the rows nearest by float32, as many as it is asked for. Here they are compared again
in float64, and Milvus is asked for more until no row that it has kept back can belong to the
answer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from index_service.distances import distances
from index_service.milvus import schema
from index_service.milvus.connection import MAX_ROWS
from index_service.milvus.expressions import ID, PRODUCT_ID, both, none_of
from index_service.milvus.selection import Row, Selection
from index_service.ranking.float32 import exact_lower_bound
from index_service.ranking.order import first_of_each_product
from index_service.ranking.queries import ResolvedQuery
from index_service.records import Collection, Matrix, Metric
from lookalike.errors import NotSupportedError

NamedQuery: TypeAlias = ResolvedQuery[str]
"""A query whose own items and products are ids."""

COMPARED = (ID, PRODUCT_ID, schema.POSITION, schema.VECTOR)
"""The fields that every comparison needs."""

ANSWER_BYTES = 24 << 20
"""What one answer of Milvus may hold, well below its limit of 100 MiB."""

# Rows beyond those wanted: they show whether the order at the end is settled.
_SPARE = 16
_GROWTH = 4
_ROW_BYTES = 1_024


@dataclass(slots=True)
class Hit:
    """A row and its exact distance."""

    row: Row
    distance: float


@dataclass(slots=True)
class Nearest:
    """The rows nearest to one query so far.

    Attributes:
        query: What they are near to.
        hits: Nearest first, at the same distance in the order of writing.
        seen: How many rows Milvus gave.
        lower_bound: No other row that may be found is nearer; infinite if there is no other row.
        settled: Whether no other row can be among those wanted.
    """

    query: NamedQuery
    hits: list[Hit] = field(default_factory=list)
    seen: int = 0
    lower_bound: float = -math.inf
    settled: bool = False

    def first(self, number: int) -> tuple[list[Hit], float]:
        """Returns the nearest `number` hits, and the lower bound of all other rows."""
        beyond = self.hits[number].distance if len(self.hits) > number else math.inf
        return self.hits[:number], min(beyond, self.lower_bound)


class NearestRows:
    """Searches the selected rows.

    Args:
        selection: The rows.
        fields: What to return of each row beside `COMPARED`.
        max_distance: How far rows may be.
    """

    def __init__(
        self,
        selection: Selection,
        *,
        fields: Sequence[str] = (),
        max_distance: float | None = None,
    ) -> None:
        self._selection = selection
        self._fields = [*COMPARED, *(name for name in fields if name not in COMPARED)]
        self._max_distance = max_distance
        self._most = rows_at_once(selection.collection, features=schema.FEATURES in fields)

    def of(
        self, queries: Sequence[NamedQuery], number: int, *, distinct: bool = False
    ) -> Iterator[Nearest]:
        """Yields for each query its nearest rows, settled for the first `number`.

        Args:
            queries: What to be near to.
            number: How many rows are wanted.
            distinct: Whether only the nearest row of each product counts.
        """
        most = max((len(query.own_items) for query in queries), default=0)
        width = min(number * (2 if distinct else 1) + most + _SPARE, self._most)
        # A part at a time, so that memory holds the rows of no more than one answer.
        for part in parts([Nearest(query) for query in queries], max(1, self._most // width)):
            # Queries that leave no product out have the same condition: one call for all of them.
            together = [nearest for nearest in part if not nearest.query.own_products]
            if together:
                vectors = np.stack([nearest.query.vector for nearest in together])
                found = self._selection.nearest(vectors, "", self._fields, limit=width)
                for nearest, rows in zip(together, found, strict=True):
                    self._add(nearest, rows, width, number, distinct)
            for nearest in part:
                limit = width
                while not nearest.settled:
                    (rows,) = self._selection.nearest(
                        nearest.query.vector, _rest(nearest, distinct), self._fields, limit=limit
                    )
                    self._add(nearest, rows, limit, number, distinct)
                    limit = min(limit * _GROWTH, self._most)
                if (within := self._max_distance) is not None:
                    nearest.hits = [hit for hit in nearest.hits if hit.distance <= within]
                yield nearest

    def _add(
        self, nearest: Nearest, rows: list[Row], limit: int, number: int, distinct: bool
    ) -> None:
        metric, query = self._selection.collection.metric, nearest.query
        nearest.seen += len(rows)
        if rows:
            vectors = np.stack([schema.vector_of(row) for row in rows])
            exact = distances(vectors, query.vector, metric).tolist()
            nearest.hits += [
                Hit(row, distance)
                for row, distance in zip(rows, exact, strict=True)
                if row[ID] not in query.own_items
            ]
        nearest.hits.sort(key=_order)
        if distinct:
            products = (hit.row[PRODUCT_ID] for hit in nearest.hits)
            nearest.hits = [nearest.hits[i] for i in first_of_each_product(products)]
        if len(rows) < limit:
            nearest.lower_bound = math.inf
            nearest.settled = True
            return
        # Milvus does not return the lengths of the vectors that it has kept back; those returned
        # stand in for them.
        nearest.lower_bound = exact_lower_bound(
            query.vector,
            longest(vectors, metric),
            _distance(rows[-1]["distance"], metric),
            metric,
        )
        if self._max_distance is not None and nearest.lower_bound > self._max_distance:
            nearest.lower_bound = math.inf
        enough = len(nearest.hits) >= number
        last = nearest.hits[number - 1].distance if enough else math.inf
        # A graph gives its best at the first try: asking again settles nothing.
        nearest.settled = nearest.lower_bound == math.inf or (
            enough and (last < nearest.lower_bound or not self._selection.stored.exact)
        )


def rows_at_once(collection: Collection, *, features: bool = False) -> int:
    """Returns how many rows one answer may hold, with their features or without."""
    row = _ROW_BYTES + 4 * collection.dimension
    if features:
        row += 6 * collection.features_dimension
    return max(1, min(ANSWER_BYTES // row, MAX_ROWS))


def parts(values: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Yields the values, at most `size` at a time."""
    return (values[i : i + size] for i in range(0, len(values), size))


def longest(vectors: Matrix, metric: Metric) -> float:
    """Returns the length of the longest vector as Milvus compares them."""
    return 1.0 if metric is Metric.COSINE else float(np.linalg.norm(vectors, axis=-1).max())


def _rest(nearest: Nearest, distinct: bool) -> str:
    """Returns the condition that a row may be found and is none of those found already."""
    products, ids = set(nearest.query.own_products), set(nearest.query.own_items)
    if distinct:
        products |= {hit.row[PRODUCT_ID] for hit in nearest.hits}
    else:
        ids |= {hit.row[ID] for hit in nearest.hits}
    if len(products) + len(ids) > MAX_ROWS:
        raise NotSupportedError(
            f"more than {MAX_ROWS} items are as near as the last one wanted; Milvus cannot "
            "put them in order"
        )
    return both(none_of(PRODUCT_ID, sorted(products)), none_of(ID, sorted(ids)))


def _order(hit: Hit) -> tuple[float, int]:
    return hit.distance, hit.row[schema.POSITION]


def _distance(score: float, metric: Metric) -> float:
    """Returns Milvus's score as a distance by the proto's definition."""
    if metric is Metric.SQUARED_L2:
        return score
    return 1 - score if metric is Metric.COSINE else -score
