"""Finds all rows within a distance, a page at a time, and counts them.

Milvus bounds the range in float32, so a little more is asked for and compared again in float64.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from index_service.distances import distances
from index_service.milvus import schema
from index_service.milvus.best import Best, Near
from index_service.milvus.connection import MAX_ROWS, Kept, MilvusConnection
from index_service.milvus.expressions import ID, PRODUCT_ID, both, none_of
from index_service.milvus.nearest import COMPARED, RELATIVE_ERROR, rows_at_once
from index_service.milvus.probes import Probe
from index_service.records import Matrix, Metric
from lookalike.errors import NotSupportedError


class Ranges:
    """Searches ranges in one collection as it was at one point or later.

    Args:
        milvus: The connection.
        kept: The collection.
        point: What every search must have seen.
        condition: Which rows count.
    """

    def __init__(self, milvus: MilvusConnection, kept: Kept, point: int, condition: str) -> None:
        self._milvus = milvus
        self._kept = kept
        self._point = point
        self._condition = condition

    def within(
        self, probe: Probe, max_distance: float, number: int, *, distinct: bool
    ) -> tuple[list[Near], int]:
        """Returns the nearest `number` of what is within a distance, and how much that is.

        Raises:
            NotSupportedError: The collection's index may miss rows.
        """
        if not self._kept.exact:
            raise NotSupportedError(
                f"collection '{self._kept.collection.name}' has the index {self._kept.index} in "
                "Milvus, which may miss items; a range search must find all"
            )
        best = Best(number, distinct=distinct)
        total = 0
        products: set[str] = set()
        for page in self._pages(probe, max_distance):
            best.add(sorted(page))
            total += len(page)
            if distinct:
                products.update(near.product_id for near in page)
        return best.rows, len(products) if distinct else total

    def _pages(self, probe: Probe, within: float) -> Iterator[list[Near]]:
        metric = self._kept.collection.metric
        limit = rows_at_once(self._kept.collection)
        skipped = set(probe.without)
        products = sorted(probe.without_products)
        start: float | None = None
        while True:
            bounds = _bounds(probe.vector, within, metric)
            if start is not None:
                bounds["range_filter"] = start
            condition = both(
                self._condition, none_of(PRODUCT_ID, products), none_of(ID, sorted(skipped))
            )
            (rows,) = self._milvus.search(
                self._kept,
                probe.vector[np.newaxis],
                condition,
                COMPARED,
                point=self._point,
                limit=limit,
                bounds=bounds,
            )
            if rows:
                vectors = np.stack([schema.vector_of(row) for row in rows])
                exact = distances(vectors, probe.vector, metric).tolist()
                yield [
                    Near(distance, distance, row[schema.POSITION], row[ID], row[PRODUCT_ID])
                    for row, distance in zip(rows, exact, strict=True)
                    if distance <= within
                ]
            if len(rows) < limit:
                return
            last = rows[-1]["distance"]
            if last != start:
                skipped = set(probe.without)
            # The next page begins with the rows at this very distance: those seen are left out.
            skipped |= {row[ID] for row in rows if row["distance"] == last}
            start = last
            if len(skipped) > MAX_ROWS:
                raise NotSupportedError(
                    f"more than {MAX_ROWS} items are at the same distance; Milvus cannot count them"
                )


def _bounds(query: Matrix, within: float, metric: Metric) -> dict[str, float]:
    """Returns the range of scores in which everything within a distance must be."""
    if metric is Metric.SQUARED_L2:
        length = float(np.linalg.norm(query))
        slack = RELATIVE_ERROR * (2 * length + max(within, 0.0) ** 0.5) ** 2
        return {"radius": within + slack + 1e-30}
    if metric is Metric.COSINE:
        return {"radius": 1 - within - RELATIVE_ERROR}
    length = float(np.linalg.norm(query))
    return {"radius": -within - RELATIVE_ERROR * (abs(within) + length)}
