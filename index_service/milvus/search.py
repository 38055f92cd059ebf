"""Finds neighbours with Milvus's searches: exact order, distinct products, everything in a range.

Milvus gives the rows nearest by float32, as many as it is asked for. Here they are compared again
in float64, and it is asked for more until no row that it has kept back can belong to the answer.
Knows nothing of how queries come to their vectors.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from index_service.distances import distances
from index_service.milvus import schema
from index_service.milvus.connection import MAX_ROWS, Kept, MilvusConnection
from index_service.milvus.expressions import ID, PRODUCT_ID, both, none_of, one_of
from index_service.milvus.probes import Probe
from index_service.records import Matrix, Method, Metric, Neighbors, QueryAnswer, Search, View
from lookalike.errors import NotSupportedError

# Rows beyond those wanted: they show whether the order at the end is settled.
_SPARE = 16
_ROUND_GROWTH = 4
# What one answer of Milvus may hold, well below its limit of 100 MiB.
_ANSWER_BYTES = 24 << 20
_ROW_BYTES = 1_024
_FIELDS_TO_COUNT = (ID, PRODUCT_ID, schema.POSITION, schema.VECTOR)
# A float32 distance is off by less than this part of the lengths it comes from, up to a dimension
# of some thousands.
_RELATIVE_ERROR = 1e-5


class _Near(NamedTuple):
    """What decides the order in a range, and whose it is."""

    distance: float
    position: int
    item_id: str


@dataclass(slots=True)
class _Hit:
    row: dict[str, Any]
    distance: float
    first_distance: float = 0.0


@dataclass(slots=True)
class _Ranking:
    """The best hits of one query so far, and whether any can be missing."""

    probe: Probe
    hits: list[_Hit] = field(default_factory=list)
    seen: int = 0
    settled: bool = False


class MilvusSearch:
    """Searches one collection as it was at one point or later.

    Args:
        milvus: The connection.
        kept: The collection.
        point: What every search must have seen.
        condition: Which rows count.
        search: What is wanted.
    """

    def __init__(
        self, milvus: MilvusConnection, kept: Kept, point: int, condition: str, search: Search
    ) -> None:
        self._milvus = milvus
        self._kept = kept
        self._point = point
        self._condition = condition
        self._search = search
        # Ranked again, products are told apart only then.
        self._distinct = search.distinct_products and not search.candidates
        self._wanted = max(search.k, search.candidates)
        self._fields = [ID, PRODUCT_ID, schema.POSITION, schema.VECTOR]
        if search.view is not View.IDS:
            self._fields += [f for f in schema.FULL_FIELDS if f not in self._fields]
        if search.candidates:
            self._fields.append(schema.FEATURES)

    def neighbors(self, probes: Sequence[Probe]) -> list[QueryAnswer]:
        """Returns the neighbours of each probe."""
        return [self._answer(ranking) for ranking in self._rankings(probes)]

    def _rankings(self, probes: Sequence[Probe]) -> Iterator[_Ranking]:
        most = max((len(probe.without) for probe in probes), default=0)
        width = min(self._wanted * (2 if self._distinct else 1) + most + _SPARE, MAX_ROWS)
        alike = [_Ranking(probe) for probe in probes]
        # Those that leave no product out have the same condition: one call for many of them.
        together = [ranking for ranking in alike if not ranking.probe.without_products]
        for part in _parts(together, self._searches_at_once(width)):
            found = self._find(np.stack([r.probe.vector for r in part]), self._condition, width)
            for ranking, rows in zip(part, found, strict=True):
                self._add(ranking, rows, width)
        for ranking in alike:
            limit = width
            while not ranking.settled:
                condition = both(self._condition, self._rest(ranking))
                (rows,) = self._find(ranking.probe.vector[np.newaxis], condition, limit)
                self._add(ranking, rows, limit)
                limit = min(limit * _ROUND_GROWTH, MAX_ROWS)
            yield ranking

    def _rest(self, ranking: _Ranking) -> str:
        """Returns the condition that a row is none of those found, and may be found."""
        products = set(ranking.probe.without_products)
        if self._distinct:
            products |= {hit.row[PRODUCT_ID] for hit in ranking.hits}
            ids = ranking.probe.without
        else:
            ids = ranking.probe.without | {hit.row[ID] for hit in ranking.hits}
        if len(products) + len(ids) > MAX_ROWS:
            raise NotSupportedError(
                f"more than {MAX_ROWS} items are as near as the last one wanted; Milvus cannot "
                "put them in order"
            )
        return both(none_of(PRODUCT_ID, sorted(products)), none_of(ID, sorted(ids)))

    def _add(self, ranking: _Ranking, rows: list[dict[str, Any]], limit: int) -> None:
        collection, probe = self._kept.collection, ranking.probe
        ranking.seen += len(rows)
        if rows:
            vectors = np.stack([schema.vector_of(row) for row in rows])
            exact = distances(vectors, probe.vector, collection.metric).tolist()
            ranking.hits += [
                _Hit(row, distance)
                for row, distance in zip(rows, exact, strict=True)
                if row[ID] not in probe.without
            ]
        ranking.hits.sort(key=_order)
        if self._distinct:
            ranking.hits = _first_of_each_product(ranking.hits)
        if len(rows) < limit:
            ranking.settled = True
            return
        # Every row that was kept back is at least this far.
        reach = _converted(rows[-1]["distance"], collection.metric)
        reach -= _error(probe.vector, vectors, collection.metric)
        within = self._search.max_distance
        far = within is not None and not self._search.candidates and reach > within
        enough = len(ranking.hits) >= self._wanted
        last = ranking.hits[self._wanted - 1].distance if enough else np.inf
        # A graph has given its best at the first try, and nothing is settled by asking again.
        ranking.settled = far or (enough and (last < reach or not self._kept.exact))

    def _answer(self, ranking: _Ranking) -> QueryAnswer:
        search = self._search
        found = ranking.hits[: self._wanted]
        if search.candidates:
            found = _ranked_again(ranking.probe, found)
            if search.distinct_products:
                found = _first_of_each_product(found)
        if search.max_distance is not None:
            found = [hit for hit in found if hit.distance <= search.max_distance]
        found = found[: search.k]
        neighbors = Neighbors(
            [schema.item_of(hit.row) for hit in found],
            [hit.distance for hit in found],
            [hit.first_distance for hit in found] if search.candidates else None,
        )
        return QueryAnswer(
            neighbors,
            ranking.seen,
            self._shortfall(len(found), ranking.probe),
            Method.EXACT if self._kept.exact else Method.APPROXIMATE,
        )

    def _shortfall(self, found: int, probe: Probe) -> str:
        if found == self._search.k:
            return ""
        noun = "product" if self._search.distinct_products else "item"
        other = "other " if probe.without else ""
        text = f"the collection has {found or 'no'} {other}{noun}{'s' * (found != 1)}"
        reasons = []
        if self._condition or probe.without_products:
            reasons.append("that the filter lets through")
        if self._search.max_distance is not None:
            reasons.append(f"within {self._search.max_distance:g}")
        if self._search.candidates:
            reasons.append(f"with features among the {self._search.candidates} candidates")
        return " ".join([text, *reasons])

    # -- ranges -----------------------------------------------------------------------------------

    def within(self, probe: Probe) -> tuple[Neighbors, int]:
        """Returns the nearest `k` of what is within `max_distance`, and how many there are."""
        if not self._kept.exact:
            raise NotSupportedError(
                f"collection '{self._kept.collection.name}' has the index {self._kept.index} in "
                "Milvus, which may miss items; a range search must find all"
            )
        assert self._search.max_distance is not None
        total = 0
        products: dict[str, _Near] = {}
        best: list[_Near] = []
        for product, near in self._all_within(probe, self._search.max_distance):
            if self._distinct:
                products[product] = min(near, products.get(product, near))
            else:
                total += 1
                best.append(near)
                if len(best) > 2 * MAX_ROWS:
                    best = heapq.nsmallest(self._search.k, best)
        if self._distinct:
            total, best = len(products), list(products.values())
        nearest = heapq.nsmallest(self._search.k, best)
        fields = [name for name in self._fields if name != schema.VECTOR]
        rows = {}
        for part in _parts([near.item_id for near in nearest], self._searches_at_once(1)):
            found = self._milvus.query(self._kept, one_of(ID, part), fields, self._point)
            rows.update({row[ID]: row for row in found})
        # One that was deleted in between is not there any more.
        nearest = [near for near in nearest if near.item_id in rows]
        items = [schema.item_of(rows[near.item_id]) for near in nearest]
        return Neighbors(items, [near.distance for near in nearest]), total

    def _all_within(self, probe: Probe, within: float) -> Iterator[tuple[str, _Near]]:
        metric = self._kept.collection.metric
        query = probe.vector[np.newaxis]
        limit = self._searches_at_once(1)
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
            (rows,) = self._find(query, condition, limit, _FIELDS_TO_COUNT, bounds)
            if rows:
                vectors = np.stack([schema.vector_of(row) for row in rows])
                exact = distances(vectors, probe.vector, metric).tolist()
                for row, distance in zip(rows, exact, strict=True):
                    if distance <= within:
                        yield row[PRODUCT_ID], _Near(distance, row[schema.POSITION], row[ID])
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

    def _find(
        self,
        vectors: Matrix,
        condition: str,
        limit: int,
        fields: Sequence[str] = (),
        bounds: dict[str, float] | None = None,
    ) -> list[list[dict[str, Any]]]:
        return self._milvus.search(
            self._kept,
            vectors,
            condition,
            fields or self._fields,
            point=self._point,
            limit=limit,
            bounds=bounds,
        )

    def _searches_at_once(self, width: int) -> int:
        """Returns how many searches of a width one call may hold, or rows if the width is 1."""
        collection = self._kept.collection
        row = _ROW_BYTES + 4 * collection.dimension
        if self._search.candidates:
            row += 6 * collection.features_dimension
        return max(1, min(_ANSWER_BYTES // row, MAX_ROWS) // width)


def _ranked_again(probe: Probe, hits: Sequence[_Hit]) -> list[_Hit]:
    """Returns the hits by the cosine of their features; those without features are left out."""
    assert probe.features is not None
    having = [(hit, schema.features_of(hit.row)) for hit in hits]
    ranked = [
        _Hit(hit.row, float(distances(features, probe.features, Metric.COSINE)), hit.distance)
        for hit, features in having
        if features is not None
    ]
    return sorted(ranked, key=_order)


def _order(hit: _Hit) -> tuple[float, int]:
    return hit.distance, hit.row[schema.POSITION]


def _first_of_each_product(hits: Sequence[_Hit]) -> list[_Hit]:
    first: dict[str, _Hit] = {}
    for hit in hits:
        first.setdefault(hit.row[PRODUCT_ID], hit)
    return list(first.values())


def _parts(values: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (values[i : i + size] for i in range(0, len(values), size))


def _converted(score: float, metric: Metric) -> float:
    """Returns Milvus's score as a distance by the proto's definition."""
    if metric is Metric.SQUARED_L2:
        return score
    return 1 - score if metric is Metric.COSINE else -score


def _error(query: Matrix, vectors: Matrix, metric: Metric) -> float:
    """Returns by how much a float32 distance may be off."""
    if metric is Metric.COSINE:
        return _RELATIVE_ERROR
    length = float(np.linalg.norm(query))
    longest = float(np.linalg.norm(vectors, axis=1).max())
    if metric is Metric.SQUARED_L2:
        return _RELATIVE_ERROR * (length + longest) ** 2
    return _RELATIVE_ERROR * length * longest


def _bounds(query: Matrix, within: float, metric: Metric) -> dict[str, float]:
    """Returns the range of scores in which everything within a distance must be."""
    if metric is Metric.SQUARED_L2:
        length = float(np.linalg.norm(query))
        slack = _RELATIVE_ERROR * (2 * length + max(within, 0.0) ** 0.5) ** 2
        return {"radius": within + slack + 1e-30}
    if metric is Metric.COSINE:
        return {"radius": 1 - within - _RELATIVE_ERROR}
    length = float(np.linalg.norm(query))
    return {"radius": -within - _RELATIVE_ERROR * (abs(within) + length)}
