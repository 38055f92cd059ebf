"""Ranks the nearest rows again: by the cosine distance of features and the distance by vector.

The candidates are the rows nearest by vector in exact order, four times as many where they are of
too few products; beyond what Milvus returns at once, and where everything must be ranked, all rows
are read. An answer is complete where no row was left out, or where none that was can come before
the last: its cosine distance is at least 0, and its distance by vector at least the candidates'
reach.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from index_service import checks
from index_service.distances import Distances, distances
from index_service.milvus import schema
from index_service.milvus.best import SPARE, Best, Near
from index_service.milvus.connection import Kept, MilvusConnection
from index_service.milvus.expressions import ID, PRODUCT_ID
from index_service.milvus.listing import MilvusListing
from index_service.milvus.nearest import COMPARED, Nearest, NearestRows, parts, rows_at_once
from index_service.milvus.probes import Probe
from index_service.records import Matrix, Metric, Rerank, Search
from index_service.workers import stop_if_caller_left
from lookalike.errors import NotSupportedError

Bits: TypeAlias = npt.NDArray[np.bool_]

MAX_CANDIDATES = 10_000
"""What one search gives in exact order, below `MAX_ROWS` by what shows that it is settled."""

MAX_RANKED = 1_000_000
"""How many rows are read to rank them all: some 3 s for each 100,000."""

_WIDER = 4


class Ranked(NamedTuple):
    """The best rows of one query, a few more than `k` where there are.

    Attributes:
        best: In their order.
        seen: How many rows Milvus gave.
        ranked: How many were ranked.
        complete: Whether no other row can be nearer.
        exact: Whether no graph chose which rows were ranked.
    """

    best: list[Near]
    seen: int
    ranked: int
    complete: bool
    exact: bool


class SecondStage:
    """Ranks rows of one collection as it was at one point or later.

    Args:
        milvus: The connection.
        kept: The collection.
        point: What every read must have seen.
        condition: Which rows count.
        search: What is wanted, ranked again.
    """

    def __init__(
        self, milvus: MilvusConnection, kept: Kept, point: int, condition: str, search: Search
    ) -> None:
        assert search.rerank is not None
        self._milvus = milvus
        self._kept = kept
        self._point = point
        self._condition = condition
        self._search = search
        self._rerank: Rerank = search.rerank
        self._nearest = NearestRows(
            milvus,
            kept,
            point,
            condition,
            fields=[schema.FEATURES],
            max_distance=search.max_distance,
        )
        self._most = rows_at_once(kept.collection, features=True)

    def of(self, probes: Sequence[Probe]) -> list[Ranked]:
        """Returns the best rows for each probe; all must have features."""
        done: dict[int, Ranked] = {}
        left = list(range(len(probes)))
        for number in self._numbers():
            found = self._nearest.of([probes[i] for i in left], number)
            for i, nearest in zip(left, found, strict=True):
                stop_if_caller_left()
                if (ranked := self._of_nearest(nearest, number)) is not None:
                    done[i] = ranked
            left = [i for i in left if i not in done]
            if not left:
                break
        if left:
            done |= zip(left, self._of_all([probes[i] for i in left]), strict=True)
        return [done[i] for i in range(len(probes))]

    def _numbers(self) -> Iterator[int]:
        """Gives how many candidates to rank, then how many if these are too few."""
        number = self._search.k
        if not self._search.exact:
            number = max(self._rerank.candidates, number)
        elif self._search.max_distance is None:
            return
        while number < MAX_CANDIDATES:
            yield number
            number *= _WIDER
        yield MAX_CANDIDATES

    def _of_nearest(self, nearest: Nearest, number: int) -> Ranked | None:
        """Ranks the nearest `number` rows; None if these are too few, and there are more."""
        search, limit = self._search, self._rerank.max_distance
        hits, beyond = nearest.first(number)
        if search.distinct_products:
            there = len({hit.row[PRODUCT_ID] for hit in hits})
        else:
            there = len(hits)
        # With exact all that is within the distance is ranked, which may be few of all rows.
        if (search.exact or there < search.k) and beyond < math.inf:
            return None
        best = self._best()
        for part in parts(hits, self._most):
            table = _Table([hit.row for hit in part])
            first = np.array([hit.distance for hit in part])
            self._rank(table, first, np.ones(len(part), bool), nearest.probe, best)
        complete = beyond == math.inf
        if not complete and self._kept.collection.metric is not Metric.INNER_PRODUCT:
            least = self._rerank.vector_weight * beyond
            if len(best.rows) >= search.k:
                complete = best.rows[search.k - 1].distance <= least
            else:
                complete = limit is not None and limit < least
        exact = self._kept.exact
        return Ranked(best.rows, nearest.seen, len(hits), complete and exact, exact)

    def _of_all(self, probes: Sequence[Probe]) -> list[Ranked]:
        """Ranks every row that may be found."""
        count = self._milvus.count(self._kept, self._condition, self._point)
        self._refuse_too_many(count)
        if self._search.exact:
            checks.ranked(len(probes), count, "exact")
        metric, within = self._kept.collection.metric, self._search.max_distance
        listing = MilvusListing(self._milvus, self._kept, self._point, self._condition)
        best = [self._best() for _ in probes]
        ranked = [0] * len(probes)
        seen = 0
        for rows in listing.rows([*COMPARED, schema.FEATURES], self._most):
            stop_if_caller_left()
            seen += len(rows)
            self._refuse_too_many(seen)
            if not rows:
                continue
            table = _Table(rows)
            vectors = np.stack([schema.vector_of(row) for row in rows])
            for i, probe in enumerate(probes):
                first = distances(vectors, probe.vector, metric)
                may = table.let_through(probe)
                if within is not None:
                    may &= first <= within
                ranked[i] += int(may.sum())
                self._rank(table, first, may, probe, best[i])
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

    def _best(self) -> Best:
        return Best(self._search.k + SPARE, distinct=self._search.distinct_products)

    def _rank(self, table: _Table, first: Distances, may: Bits, probe: Probe, best: Best) -> None:
        """Takes those rows of a table in that may be found; `first` is how far they are."""
        assert probe.features is not None
        sums = table.cosine_distances(probe.features) + self._rerank.vector_weight * first
        if self._rerank.max_distance is not None:
            may = may & (sums <= self._rerank.max_distance)
        which = np.flatnonzero(may)
        order = which[np.lexsort((table.positions[which], sums[which]))]
        best.add(table.near(i, float(sums[i]), float(first[i])) for i in order.tolist())


class _Table:
    """Rows whose features are compared together."""

    def __init__(self, rows: Sequence[dict[str, Any]]) -> None:
        self._rows = rows
        self.positions = np.array([row[schema.POSITION] for row in rows], np.int64)
        known = [schema.features_of(row) for row in rows]
        self._having = np.flatnonzero([features is not None for features in known])
        self._features = [features for features in known if features is not None]

    def cosine_distances(self, query: Matrix) -> Distances:
        """Returns those of features; 1 for a row without any."""
        found = np.ones(len(self._rows))
        if self._features:
            found[self._having] = distances(np.stack(self._features), query, Metric.COSINE)
        return found

    def let_through(self, probe: Probe) -> Bits:
        """Returns which rows the probe does not leave out."""
        ids, products = probe.without, probe.without_products
        left_out = [row[ID] in ids or row[PRODUCT_ID] in products for row in self._rows]
        return ~np.array(left_out, bool)

    def near(self, i: int, distance: float, first_distance: float) -> Near:
        """Returns what decides where row `i` belongs."""
        row = self._rows[i]
        return Near(distance, first_distance, row[schema.POSITION], row[ID], row[PRODUCT_ID])
