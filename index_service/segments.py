"""Immutable snapshots of a collection's vectors, and exact search in them.

The only place that knows FAISS; knows neither items' attributes nor the store. A write builds the
next snapshot from the last one, and whoever holds the last one goes on reading it, so readers need
no lock. Each write copies the whole collection: 2 ms for 10,000 vectors of 13 values, less than the
write's own disk sync, but 250 ms for a million.

How an exact answer is found: FAISS compares every vector in float32 and returns somewhat more than
`k`; filters drop some; the rest is compared again in float64. If the last row that FAISS returned
is farther than the k-th answer by more than float32 can err, no row left out can belong to the
answer; otherwise the query goes again with four times the width. Ties thus come out by id, and
filters never leave fewer than `k` where there are `k`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import faiss
import numpy as np
import numpy.typing as npt

from index_service.records import Matrix, Metric, Search

_FLOAT32 = np.finfo(np.float32)
# Distances per call to FAISS: 12 bytes each, so 48 MiB, however many queries and rows there are.
_MAX_CELLS = 1 << 22

_FAISS = {
    Metric.SQUARED_L2: faiss.METRIC_L2,
    Metric.COSINE: faiss.METRIC_INNER_PRODUCT,
    Metric.INNER_PRODUCT: faiss.METRIC_INNER_PRODUCT,
}

Rows = npt.NDArray[np.int64]
Distances = npt.NDArray[np.float64]


class Probe(NamedTuple):
    """What to search for: a vector of shape (dimension,), and its row if it is an item's own."""

    vector: Matrix
    row: int = -1


class Hit(NamedTuple):
    """An item that was found."""

    item_id: str
    distance: float


@dataclass(frozen=True, eq=False)
class Segment:
    """The vectors of one collection as they were after some write. Rows are in the order of ids."""

    metric: Metric
    vectors: Matrix
    ids: npt.NDArray[np.object_]
    # A product is a number here, to filter with array operations. Numbers are not used again.
    product_numbers: Mapping[str, int]
    products: Rows
    # What FAISS compares, and the length of the longest of them.
    compared: Matrix = field(init=False)
    longest: float = field(init=False)

    def __post_init__(self) -> None:
        compared = _comparable(self.vectors, self.metric)
        object.__setattr__(self, "compared", compared)
        object.__setattr__(self, "longest", float(_lengths(compared).max(initial=0)))

    @classmethod
    def empty(cls, dimension: int, metric: Metric) -> Segment:
        """Returns the segment of a new collection."""
        vectors = np.empty((0, dimension), np.float32)
        return cls(metric, vectors, np.empty(0, object), {}, np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(self.ids)

    def row(self, item_id: str) -> int | None:
        """Returns the item's row, or None if there is no such item."""
        (row,), (known,) = self._locate(np.array([item_id], object))
        return int(row) if known else None

    def with_items(
        self, ids: Sequence[str], product_ids: Sequence[str], vectors: Matrix
    ) -> Segment:
        """Returns a segment that also has these items, each id given once; known ids are replaced.

        Args:
            ids: Ids of n items.
            product_ids: Their products.
            vectors: Shape (n, dimension), float32.
        """
        order = sorted(range(len(ids)), key=ids.__getitem__)
        added = np.array(ids, object)[order]
        numbers = dict(self.product_numbers)
        products = np.fromiter(
            (numbers.setdefault(product_ids[i], len(numbers)) for i in order), np.int64, len(ids)
        )
        vectors = vectors[order]
        rows, known = self._locate(added)
        kept_vectors, kept_products = self.vectors.copy(), self.products.copy()
        kept_vectors[rows[known]], kept_products[rows[known]] = vectors[known], products[known]
        rows = rows[~known]
        return Segment(
            self.metric,
            np.insert(kept_vectors, rows, vectors[~known], axis=0),
            np.insert(self.ids, rows, added[~known]),
            numbers,
            np.insert(kept_products, rows, products[~known]),
        )

    def without_items(self, ids: Sequence[str]) -> Segment:
        """Returns a segment without these items; unknown ids are skipped."""
        rows, known = self._locate(np.array(ids, object))
        gone = rows[known]
        return Segment(
            self.metric,
            np.delete(self.vectors, gone, axis=0),
            np.delete(self.ids, gone),
            self.product_numbers,
            np.delete(self.products, gone),
        )

    def search(self, probes: Sequence[Probe], search: Search) -> list[list[Hit]]:
        """Returns each probe's hits, nearest first, at the same distance by id.

        There are fewer than `k` only if no more items (or products, if they are to be distinct)
        are allowed. Distances are float64: squared L2, one minus the cosine (0 to 2), or the
        negative inner product.
        """
        barred = np.zeros(len(self.product_numbers), bool)
        for product_id in search.exclude_product_ids & self.product_numbers.keys():
            barred[self.product_numbers[product_id]] = True
        found: list[list[Hit] | None] = [None] * len(probes)
        pending = list(range(len(probes)))
        width = 2 * search.k + 32  # room for a product's second photo, excluded products and ties
        while pending:
            nearest = self._nearest([probes[i].vector for i in pending], width)
            for i, (rows, reach) in zip(pending, nearest, strict=True):
                found[i] = self._select(probes[i], rows, reach, search, barred)
            pending = [i for i in pending if found[i] is None]
            width *= 4
        return [hits for hits in found if hits is not None]

    def _locate(self, ids: npt.NDArray[np.object_]) -> tuple[Rows, npt.NDArray[np.bool_]]:
        """Returns the row at which each id is, or would be inserted, and whether it is there."""
        rows = np.searchsorted(self.ids, ids)
        known = rows < len(self)
        known[known] = self.ids[rows[known]] == ids[known]
        return rows, known

    def _nearest(self, queries: Sequence[Matrix], width: int) -> Iterator[tuple[Rows, float]]:
        """Yields, for each query, at least its `width` nearest rows and how far they reach.

        Any other row is at least that far, by float32. All rows reach infinitely far.
        """
        if width >= len(self):
            yield from ((np.arange(len(self)), math.inf) for _ in queries)
            return
        chunk = max(1, _MAX_CELLS // width)
        for start in range(0, len(queries), chunk):
            block = np.stack(queries[start : start + chunk])
            scores, rows = faiss.knn(
                _comparable(block, self.metric), self.compared, width, metric=_FAISS[self.metric]
            )
            reach: Distances = scores[:, -1].astype(np.float64)
            if self.metric is not Metric.SQUARED_L2:  # FAISS gives products, greatest first
                reach = (1 if self.metric is Metric.COSINE else 0) - reach
            yield from zip(rows, reach.tolist(), strict=True)

    def _select(
        self,
        probe: Probe,
        rows: Rows,
        reach: float,
        search: Search,
        barred: npt.NDArray[np.bool_],
    ) -> list[Hit] | None:
        """Returns the best of the rows that are allowed; None if better ones may be elsewhere."""
        allowed = ~barred[self.products[rows]]
        if probe.row >= 0:
            allowed &= rows != probe.row
            if search.exclude_same_product:
                allowed &= self.products[rows] != self.products[probe.row]
        rows = rows[allowed]
        distances = self._distances(probe.vector, rows)
        order = np.lexsort((rows, distances))
        if search.distinct_products:
            _, firsts = np.unique(self.products[rows[order]], return_index=True)
            order = order[np.sort(firsts)]
        order = order[: search.k]
        if reach < math.inf:
            if len(order) < search.k:
                return None
            farthest = float(distances[order[-1]])
            if not reach > farthest + self._float32_error(probe.vector, farthest):
                return None
        ids = self.ids[rows[order]].tolist()
        return [Hit(*hit) for hit in zip(ids, distances[order].tolist(), strict=True)]

    def _distances(self, query: Matrix, rows: Rows) -> Distances:
        vectors, target = self.vectors[rows].astype(np.float64), query.astype(np.float64)
        # `sum` adds every row in the same order, so equal vectors are at equal distances; neither
        # `einsum` nor a matrix product promises that.
        if self.metric is Metric.SQUARED_L2:
            squared: Distances = np.square(vectors - target).sum(axis=1)
            return squared
        products: Distances = (vectors * target).sum(axis=1)
        if self.metric is Metric.INNER_PRODUCT:
            return -products
        cosines = products / (_lengths(vectors) * _lengths(target))
        return np.clip(1 - cosines, 0, 2)

    def _float32_error(self, query: Matrix, distance: float) -> float:
        """Bounds by how much FAISS can overrate a row that is no farther than `distance`.

        A dot product of d terms errs by less than d·u·|x||y|, u being half of epsilon (Higham,
        Accuracy and Stability of Numerical Algorithms, 3.1). FAISS takes squared L2 of a batch
        from |x|² + |y|² − 2xy, which errs by about d·u·(|x| + |y|)²; and |x| is at most
        |y| + √distance. Doubled to be safe.
        """
        length = 1.0 if self.metric is Metric.COSINE else float(_lengths(query))
        if (length + self.longest) ** 2 > float(_FLOAT32.max) / 4:
            return math.inf  # float32 overflows: only a comparison of all rows will do
        dimension: int = self.vectors.shape[1]
        unit = (dimension + 4) * float(_FLOAT32.eps)
        underflow = dimension * float(_FLOAT32.tiny)
        if self.metric is Metric.SQUARED_L2:
            bound = unit * (2 * length + math.sqrt(distance)) ** 2
        else:
            bound = 4 * unit * length * self.longest  # 4: scaling to length 1 errs as well
        return bound + underflow


def _comparable(vectors: Matrix, metric: Metric) -> Matrix:
    """Returns the vectors, scaled to length 1 for the cosine: it is then their inner product."""
    if metric is not Metric.COSINE:
        return vectors
    return (vectors / _lengths(vectors)[:, None]).astype(np.float32)


def _lengths(vectors: npt.NDArray[np.float32 | np.float64]) -> Distances:
    """Returns the Euclidean lengths along the last axis; float32 would overflow in the squares."""
    lengths: Distances = np.sqrt(np.square(vectors.astype(np.float64)).sum(axis=-1))
    return lengths
