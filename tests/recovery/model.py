"""What an index must hold and answer: plain dictionaries, and NumPy in float64.

Slow and obvious, so that it can be believed. Knows neither SQLite nor FAISS nor gRPC.
"""

from __future__ import annotations

from collections.abc import Collection as Members
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from index_service.records import NO_FILTER, Batch, Collection, Filter, Item, Matrix, Metric

Doubles = npt.NDArray[np.float64]

# The index computes in float64 as well, but not in the same order.
TOLERANCE = 1e-6


class Entry(NamedTuple):
    """An item as it was written last; features may be missing."""

    item: Item
    vector: Matrix
    features: Matrix | None


class Ranked(NamedTuple):
    """An item that may be found, and how far it is."""

    distance: float
    item_id: str


@dataclass
class Kept:
    """One collection, its items in the order in which they were written."""

    collection: Collection
    entries: dict[str, Entry] = field(default_factory=dict)

    def upsert(self, batch: Batch) -> int:
        """Returns how many of the items were new."""
        before = len(self.entries)
        for item, vector, features in zip(batch.items, batch.vectors, batch.features, strict=True):
            self.entries.pop(item.id, None)  # so that what is replaced comes last
            self.entries[item.id] = Entry(
                item,
                np.array(vector.values, np.float32),
                np.array(features, np.float32) if len(features) else None,
            )
        return len(self.entries) - before

    def delete(self, item_ids: Members[str], product_ids: Members[str]) -> int:
        """Returns how many items were there and are now gone."""
        gone = [
            id_
            for id_, entry in self.entries.items()
            if id_ in item_ids or entry.item.product_id in product_ids
        ]
        for id_ in gone:
            del self.entries[id_]
        return len(gone)

    def matching(self, where: Filter) -> dict[str, Entry]:
        """Returns what the filter lets through, by id."""
        return {id_: e for id_, e in self.entries.items() if passes(where, e.item)}

    def products(self, where: Filter = NO_FILTER) -> int:
        """Returns how many products have an item that the filter lets through."""
        return len({entry.item.product_id for entry in self.matching(where).values()})

    def rank(
        self,
        target: Doubles,
        where: Filter = NO_FILTER,
        *,
        without: Members[str] = (),
        without_products: Members[str] = (),
    ) -> list[Ranked]:
        """Returns all items that may be found, nearest first, in order of writing if as near."""
        found = {
            id_: entry
            for id_, entry in self.matching(where).items()
            if id_ not in without and entry.item.product_id not in without_products
        }
        if not found:
            return []
        far = distances(self.collection.metric, [e.vector for e in found.values()], target)
        hits = [Ranked(float(d), id_) for d, id_ in zip(far, found, strict=True)]
        return sorted(hits, key=lambda hit: hit.distance)  # a stable sort

    def distinct(self, ranked: Iterable[Ranked]) -> list[Ranked]:
        """Returns the nearest of each product."""
        seen: dict[str, Ranked] = {}
        for hit in ranked:
            seen.setdefault(self.entries[hit.item_id].item.product_id, hit)
        return list(seen.values())


def distances(metric: Metric, rows: Sequence[Matrix], target: Doubles) -> Doubles:
    """Returns the distance of each row from the target: shape (n,)."""
    matrix = np.array(rows, np.float64)
    if metric is Metric.SQUARED_L2:
        squared: Doubles = np.square(matrix - target).sum(axis=1)
        return squared
    products: Doubles = matrix @ target
    if metric is Metric.INNER_PRODUCT:
        return -products
    lengths: Doubles = np.linalg.norm(matrix, axis=1) * np.linalg.norm(target)
    return 1 - products / lengths


def towards(metric: Metric, positives: Sequence[Doubles], negatives: Sequence[Doubles]) -> Doubles:
    """Returns where examples point to: their mean, moved away from the negative ones' mean."""
    near = _mean(metric, positives)
    return near + (near - _mean(metric, negatives)) if negatives else near


def _mean(metric: Metric, vectors: Sequence[Doubles]) -> Doubles:
    if metric is Metric.COSINE:
        vectors = [vector / np.linalg.norm(vector) for vector in vectors]
    mean: Doubles = np.mean(vectors, axis=0)
    return mean


def passes(where: Filter, item: Item) -> bool:
    """Whether the filter lets the item through."""
    low, high = where.min_price, where.max_price
    return (
        (not where.categories or item.category in where.categories)
        and (not where.product_ids or item.product_id in where.product_ids)
        and item.product_id not in where.exclude_product_ids
        and (low is None or (item.price is not None and item.price >= low))
        and (high is None or (item.price is not None and item.price <= high))
        and all(item.attributes.get(key) in values for key, values in where.attributes)
    )


def check_neighbors(
    expected: Sequence[Ranked],
    every: Sequence[Ranked],
    answered: Sequence[tuple[str, float]],
    *,
    in_order: bool,
    exact: bool = True,
    tolerance: float = TOLERANCE,
) -> None:
    """Holds an answer to what it must be; AssertionError says what differs.

    Args:
        expected: What should be found: cut to `k`, and to products if they are to be distinct.
        every: All that may be found, so also another item of a product that is as near.
        answered: Ids and distances, as the index gave them.
        in_order: Whether ids must agree one by one, as they do where distances are computed without
            rounding; otherwise items at nearly the same distance may change places.
        exact: Whether the nearest must be found, or only some that may be.
        tolerance: How far distances may be off.
    """
    far = {hit.item_id: hit.distance for hit in every}
    ids = [item_id for item_id, _ in answered]
    given = [distance for _, distance in answered]
    assert len(ids) == len(expected), (answered, expected)
    assert len(set(ids)) == len(ids), f"an item was found twice: {ids}"
    assert given == sorted(given), f"not nearest first: {answered}"
    for item_id, distance in answered:
        assert item_id in far, f"{item_id} may not be found"
        assert abs(distance - far[item_id]) <= tolerance, (item_id, distance, far[item_id])
    if exact:
        np.testing.assert_allclose(given, [hit.distance for hit in expected], atol=tolerance)
    if exact and in_order:
        assert ids == [hit.item_id for hit in expected], (answered, expected)
