"""What tests of the index's modules share."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from index_service.distances import comparable
from index_service.native import changes
from index_service.native.catalog import Catalog
from index_service.native.changes import Operation
from index_service.native.finder import Finder
from index_service.native.item_cache import ItemCache
from index_service.native.memory import loading
from index_service.native.memory.columns import Rows
from index_service.native.memory.features import quantised
from index_service.native.memory.segments import Segments
from index_service.native.memory.state import State
from index_service.native.reads import Reads
from index_service.native.store.database import Store
from index_service.records import (
    Batch,
    Collection,
    Deleted,
    Item,
    Matrix,
    Metric,
    Query,
    QueryAnswer,
    Search,
    Upserted,
    Vector,
)

R = TypeVar("R")

SPACE = "space-1"
LISTINGS = Collection("listings", SPACE, 2, Metric.SQUARED_L2)
NOWHERE = Path("/nowhere")


def rows(
    collection: Collection,
    vectors: npt.NDArray[Any],
    *,
    first_key: int = 1,
    products: Sequence[int] = (),
    prices: Sequence[float] = (),
    features: npt.NDArray[Any] | None = None,
    codes: Sequence[Sequence[int]] = (),
) -> Rows:
    """Rows with keys one after the other; each of a product of its own where none are given."""
    count = len(vectors)
    kinds = 1 + len(collection.indexed_attributes)
    if features is None:
        features = np.zeros((count, collection.features_dimension))
    return Rows(
        np.arange(first_key, first_key + count),
        comparable(np.asarray(vectors, np.float32), collection.metric),
        np.array(products if len(products) else range(count), np.int32),
        np.array(prices if len(prices) else [np.nan] * count, np.float64),
        *quantised(np.asarray(features, np.float32)),
        tuple(np.array(each, np.int32) for each in codes or [[0] * count] * kinds),
    )


def segments_of(collection: Collection, vectors: npt.NDArray[Any], **columns: Any) -> Segments:
    return Segments(collection).with_rows(rows(collection, vectors, **columns))


class Photo(NamedTuple):
    """An item as a caller sends it."""

    item: Item
    vector: Vector
    features: Sequence[float] = ()


def vector(*values: float, space: str = SPACE) -> Vector:
    return Vector(values, space)


def photo(
    item_id: str,
    product_id: str,
    *values: float,
    category: str = "",
    price: float | None = None,
    attributes: Mapping[str, str] | None = None,
    features: Sequence[float] = (),
) -> Photo:
    item = Item(item_id, product_id, category, price, dict(attributes or {}))
    return Photo(item, vector(*values), features)


def batch(photos: Iterable[Photo]) -> Batch:
    items, vectors, features = zip(*photos, strict=True)
    return Batch(items, vectors, features)


@dataclass
class Index:
    """A store, and what readers see of it, changed by one operation at a time."""

    store: Store
    cache_directory: Path = NOWHERE
    feature_bytes: int = 1 << 62
    writing: threading.Lock = field(default_factory=threading.Lock)
    state: State = field(init=False)

    def __post_init__(self) -> None:
        self.state = loading.load(self.store, self.cache_directory, self.feature_bytes)
        self.items = ItemCache(1000)
        self.reads = Reads(self.store, self.items, lambda: self.state, self.writing)
        self.catalog = Catalog(self.reads)
        self.finder = Finder(self.reads)

    def publish(self, state: State) -> None:
        self.state = state

    def apply(self, operation: Operation[R]) -> R:
        with self.store.transaction() as write:
            with write.operation():
                state, answer = operation(write, self.state)
            seq = write.seq
        self.state = replace(state, seq=seq)
        return answer

    def create(self, collection: Collection = LISTINGS) -> None:
        self.apply(changes.create_collection(collection))

    def upsert(self, *photos: Photo, name: str = "listings") -> Upserted:
        return self.apply(self.upserting(*photos, name=name))

    def upserting(self, *photos: Photo, name: str = "listings") -> Operation[Upserted]:
        sent = batch(photos)
        return changes.Upsert(name, sent, changes.validate(self.state.find(name), sent))

    def delete(self, *ids: str, products: Sequence[str] = (), name: str = "listings") -> Deleted:
        return self.apply(changes.delete_items(name, ids, products))

    def find(self, query: Query | Vector | str, search: Search) -> QueryAnswer:
        asked = query if isinstance(query, Query) else Query(query)
        (result,) = self.finder.find("listings", [asked], search).results
        return result

    def found(self, query: Query | Vector | str, search: Search) -> list[str]:
        return [item.id for item in self.find(query, search).neighbors.items]

    def segments(self, name: str = "listings") -> Segments:
        return self.state.find(name).segments


def distances_by_hand(vectors: Matrix, query: Matrix, metric: Metric) -> list[float]:
    """In float64, one by one."""
    rows, target = vectors.astype(np.float64), query.astype(np.float64)
    if metric is Metric.SQUARED_L2:
        return [float(np.square(row - target).sum()) for row in rows]
    if metric is Metric.INNER_PRODUCT:
        return [-float(row @ target) for row in rows]
    length = np.linalg.norm(target)
    return [1 - float(row @ target / (np.linalg.norm(row) * length)) for row in rows]
