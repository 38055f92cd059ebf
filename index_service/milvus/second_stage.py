"""Finds candidates in Milvus and ranks them again by their features; see `ranking/rerank.py`.

The candidates are the rows nearest by vector in exact order, four times as many if they are of too
few products. If Milvus cannot give so many at once, and if everything must be ranked, all rows are
read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from index_service import checks
from index_service.distances import Distances, distances
from index_service.milvus import schema
from index_service.milvus.expressions import ID, PRODUCT_ID
from index_service.milvus.listing import MilvusListing
from index_service.milvus.nearest import (
    COMPARED,
    NamedQuery,
    Nearest,
    NearestRows,
    parts,
    rows_at_once,
)
from index_service.milvus.selection import Row, Selection
from index_service.milvus.top_rows import SPARE, RankedRow, TopRows
from index_service.ranking.order import Places
from index_service.ranking.rerank import Reranker
from index_service.records import Matrix, Metric, Search
from index_service.workers import stop_if_caller_left
from lookalike import limits
from lookalike.errors import NotSupportedError

Bits: TypeAlias = npt.NDArray[np.bool_]

"""How many rows one search gives in exact order: below `MAX_ROWS`, with room to settle it."""

MAX_RANKED = 1_000_000
"""How many rows are read to rank them all: some 3 s for each 100,000."""

_GROWTH = 4


class Ranked(NamedTuple):
    """The best rows of one query, a few more than `k` where there are.

    Attributes:
        best: In their order.
        seen: How many rows Milvus gave.
        ranked: How many were ranked.
        complete: Whether no other row can be nearer.
        exact: Whether no graph chose which rows were ranked.
    """

    best: list[RankedRow]
    seen: int
    ranked: int
    complete: bool
    exact: bool


class SecondStage:
    """Ranks the selected rows.

    Args:
        selection: The rows.
        search: What is asked for; it has `rerank`.
    """

    def __init__(self, selection: Selection, search: Search) -> None:
        self._selection = selection
        self._search = search
        self._reranker = Reranker.of(search, selection.collection.metric)
        self._nearest = NearestRows(
            selection, fields=[schema.FEATURES], max_distance=search.max_distance
        )
        self._most = rows_at_once(selection.collection, features=True)

    def of(self, queries: Sequence[NamedQuery]) -> list[Ranked]:
        """Returns the best rows for each query; all must have features."""
        done: dict[int, Ranked] = {}
        left = list(range(len(queries)))
        for number in self._numbers():
            found = self._nearest.of([queries[i] for i in left], number)
            for i, nearest in zip(left, found, strict=True):
                stop_if_caller_left()
                if (ranked := self._of_nearest(nearest, number)) is not None:
                    done[i] = ranked
            left = [i for i in left if i not in done]
            if not left:
                break
        if left:
            done |= zip(left, self._of_all([queries[i] for i in left]), strict=True)
        return [done[i] for i in range(len(queries))]

    def _numbers(self) -> Iterator[int]:
        """Yields how many candidates to rank, then how many if these are too few."""
        number = self._search.k
        if not self._search.exact:
            number = max(self._reranker.rerank.candidates, number)
        elif self._search.max_distance is None:
            return
        while number < limits.MAX_CANDIDATES:
            yield number
            number *= _GROWTH
        yield limits.MAX_CANDIDATES

    def _of_nearest(self, nearest: Nearest, number: int) -> Ranked | None:
        """Ranks the nearest `number` rows; None if these are too few, and there are more."""
        hits, lower_bound = nearest.first(number)
        if self._search.distinct_products:
            found = len({hit.row[PRODUCT_ID] for hit in hits})
        else:
            found = len(hits)
        # With `exact`, all rows within the distance are ranked, which may be few of all rows.
        if (self._search.exact or found < self._search.k) and lower_bound < math.inf:
            return None
        best = self._top_rows()
        for part in parts(hits, self._most):
            table = _Table([hit.row for hit in part])
            by_vector = np.array([hit.distance for hit in part])
            self._rank(table, by_vector, np.ones(len(part), bool), nearest.query, best)
        exact = self._selection.stored.exact
        complete = self._reranker.is_complete([row.distance for row in best.rows], lower_bound)
        return Ranked(best.rows, nearest.seen, len(hits), complete and exact, exact)

    def _of_all(self, queries: Sequence[NamedQuery]) -> list[Ranked]:
        """Ranks every row that may be found."""
        count = self._selection.count()
        self._refuse_too_many(count)
        if self._search.exact:
            checks.ranked(len(queries), count, "exact")
        metric, within = self._selection.collection.metric, self._search.max_distance
        best = [self._top_rows() for _ in queries]
        ranked = [0] * len(queries)
        seen = 0
        for rows in MilvusListing(self._selection).rows([*COMPARED, schema.FEATURES], self._most):
            stop_if_caller_left()
            seen += len(rows)
            self._refuse_too_many(seen)
            if not rows:
                continue
            table = _Table(rows)
            vectors = np.stack([schema.vector_of(row) for row in rows])
            for i, query in enumerate(queries):
                by_vector = distances(vectors, query.vector, metric)
                allowed = table.allowed(query)
                if within is not None:
                    allowed &= by_vector <= within
                ranked[i] += int(allowed.sum())
                self._rank(table, by_vector, allowed, query, best[i])
        return [
            Ranked(own.rows, seen, number, complete=True, exact=True)
            for own, number in zip(best, ranked, strict=True)
        ]

    def _refuse_too_many(self, rows: int) -> None:
        if rows <= MAX_RANKED:
            return
        why = "exact is set" if self._search.exact else "the nearest are of fewer than k products"
        raise NotSupportedError(
            f"{why}, so {rows} items or more would have to be ranked; Milvus cannot rank by "
            f"features, and reading those of more than {MAX_RANKED} items would take too long: "
            "narrow the filter" + (", or leave exact away" if self._search.exact else ""),
            field="exact" if self._search.exact else "distinct_products",
        )

    def _top_rows(self) -> TopRows:
        return TopRows(self._search.k + SPARE, distinct=self._search.distinct_products)

    def _rank(
        self, table: _Table, by_vector: Distances, allowed: Bits, query: NamedQuery, best: TopRows
    ) -> None:
        """Adds the best of a table's rows that are allowed."""
        assert query.features is not None
        ranked_by = self._reranker.distances(table.cosine_distances(query.features), by_vector)
        which = np.flatnonzero(allowed)

        def products(places: Places) -> list[str]:
            return [table.rows[i][PRODUCT_ID] for i in which[places].tolist()]

        places = self._reranker.best(
            ranked_by[which],
            by_vector[which],
            table.positions[which],
            products,
            self._search.k + SPARE,
        )
        best.add(
            table.ranked_row(i, float(ranked_by[i]), float(by_vector[i]))
            for i in which[places].tolist()
        )


class _Table:
    """Rows whose features are compared together."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows
        self.positions = np.array([row[schema.POSITION] for row in rows], np.int64)
        known = [schema.features_of(row) for row in rows]
        self._having = np.flatnonzero([features is not None for features in known])
        self._features = [features for features in known if features is not None]

    def cosine_distances(self, query: Matrix) -> Distances:
        """Returns the cosine distances of the rows' features; 1 for a row without features."""
        found = np.ones(len(self.rows))
        if self._features:
            found[self._having] = distances(np.stack(self._features), query, Metric.COSINE)
        return found

    def allowed(self, query: NamedQuery) -> Bits:
        """Returns a mask of the rows that the query does not leave out."""
        ids, products = query.own_items, query.own_products
        left_out = [row[ID] in ids or row[PRODUCT_ID] in products for row in self.rows]
        return ~np.array(left_out, bool)

    def ranked_row(self, i: int, distance: float, first_distance: float) -> RankedRow:
        """Returns row `i` by what decides its place."""
        row = self.rows[i]
        return RankedRow(distance, first_distance, row[schema.POSITION], row[ID], row[PRODUCT_ID])
