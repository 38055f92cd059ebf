"""Finds all rows within a distance, a page at a time, and counts them.

Milvus bounds the range in float32, so a little more is asked for and compared again in float64.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from index_service.distances import distances
from index_service.milvus import schema
from index_service.milvus.connection import MAX_ROWS
from index_service.milvus.expressions import ID, PRODUCT_ID, both, none_of
from index_service.milvus.nearest import COMPARED, NamedQuery, longest, rows_at_once
from index_service.milvus.selection import Selection
from index_service.milvus.top_rows import RankedRow, TopRows
from index_service.ranking.float32 import float32_error
from index_service.records import Matrix, Metric
from lookalike.errors import NotSupportedError

_GREATEST = float(np.finfo(np.float32).max)


class Ranges:
    """Searches ranges among the selected rows."""

    def __init__(self, selection: Selection) -> None:
        self._selection = selection

    def within(
        self, query: NamedQuery, max_distance: float, number: int, *, distinct: bool
    ) -> tuple[list[RankedRow], int]:
        """Returns the nearest `number` rows within a distance, and how many there are within it.

        Raises:
            NotSupportedError: The collection's index may miss rows.
        """
        stored = self._selection.stored
        if not stored.exact:
            raise NotSupportedError(
                f"collection '{stored.collection.name}' has the index {stored.index} in "
                "Milvus, which may miss items; a range search must find all"
            )
        best = TopRows(number, distinct=distinct)
        total = 0
        products: set[str] = set()
        for page in self._pages(query, max_distance):
            best.add(sorted(page))
            total += len(page)
            if distinct:
                products.update(row.product_id for row in page)
        return best.rows, len(products) if distinct else total

    def _pages(self, query: NamedQuery, within: float) -> Iterator[list[RankedRow]]:
        metric = self._selection.collection.metric
        limit = rows_at_once(self._selection.collection)
        skipped = set(query.own_items)
        products = sorted(query.own_products)
        start: float | None = None
        while True:
            bounds = {"radius": _radius(query.vector, within, metric)}
            if start is not None:
                bounds["range_filter"] = start
            more = both(none_of(PRODUCT_ID, products), none_of(ID, sorted(skipped)))
            (rows,) = self._selection.nearest(
                query.vector, more, COMPARED, limit=limit, bounds=bounds
            )
            if rows:
                vectors = np.stack([schema.vector_of(row) for row in rows])
                exact = distances(vectors, query.vector, metric).tolist()
                yield [
                    RankedRow(distance, distance, row[schema.POSITION], row[ID], row[PRODUCT_ID])
                    for row, distance in zip(rows, exact, strict=True)
                    if distance <= within
                ]
            if len(rows) < limit:
                return
            last = rows[-1]["distance"]
            if last != start:
                skipped = set(query.own_items)
            # The next page begins with the rows at this very distance: leave out those seen.
            skipped |= {row[ID] for row in rows if row["distance"] == last}
            start = last
            if len(skipped) > MAX_ROWS:
                raise NotSupportedError(
                    f"more than {MAX_ROWS} items are at the same distance; Milvus cannot count them"
                )


def _radius(query: Matrix, within: float, metric: Metric) -> float:
    """Returns the bound of the scores that rows within a distance have."""
    length = longest(query, metric)
    if metric is Metric.INNER_PRODUCT and length:
        # How long a row must be to be at this distance, if it has the direction of the query.
        length = 1 + abs(within) / length
    farthest = min(within + float32_error(query, length, within, metric), _GREATEST)
    if metric is Metric.SQUARED_L2:
        return farthest
    return 1 - farthest if metric is Metric.COSINE else -farthest
