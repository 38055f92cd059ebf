"""The plain values that the service's layers hand to each other. Knows neither protos nor SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Matrix: TypeAlias = npt.NDArray[np.float32]
"""Vectors of shape (n, dimension), or one of shape (dimension,)."""

DEFAULT_EXACT_UP_TO = 200_000
DEFAULT_TARGET_RECALL = 0.99


class Metric(StrEnum):
    """How distance is measured; smaller is always nearer. The values are stored."""

    SQUARED_L2 = "squared_l2"
    COSINE = "cosine"
    INNER_PRODUCT = "inner_product"


class Method(StrEnum):
    """How an answer was found."""

    EXACT = "exact"
    APPROXIMATE = "approximate"


class View(IntEnum):
    """How much of an item is returned; each has what those before it have."""

    IDS = 1
    FULL = 2
    VECTORS = 3


@dataclass(frozen=True, slots=True)
class Collection:
    """A set of vectors that may be compared with each other."""

    name: str
    embedding_space: str
    dimension: int
    metric: Metric
    indexed_attributes: tuple[str, ...] = ()
    features_dimension: int = 0
    exact_up_to: int = DEFAULT_EXACT_UP_TO
    target_recall: float = DEFAULT_TARGET_RECALL


class Item(NamedTuple):
    """One photo of a listing, without its vectors."""

    id: str
    product_id: str
    category: str = ""
    price: float | None = None
    attributes: Mapping[str, str] = {}


class Vector(NamedTuple):
    """A vector as it comes from a caller: it only claims to fit a collection."""

    values: Sequence[float]
    embedding_space: str


class Batch(NamedTuple):
    """Items to write, each id once, and what belongs to each: row i to item i."""

    items: Sequence[Item]
    vectors: Sequence[Vector]
    features: Sequence[Sequence[float]]  # empty for an item without


@dataclass(frozen=True, slots=True)
class Filter:
    """Which items count: all that is set must hold."""

    categories: tuple[str, ...] = ()
    product_ids: tuple[str, ...] = ()
    min_price: float | None = None
    max_price: float | None = None
    attributes: tuple[tuple[str, tuple[str, ...]], ...] = ()
    exclude_product_ids: tuple[str, ...] = ()


EVERYTHING = Filter()

Example: TypeAlias = "Vector | str"
"""A vector, or the id of an item for its vector."""


class Examples(NamedTuple):
    """What to be near and what to be away from."""

    positives: tuple[Example, ...]
    negatives: tuple[Example, ...] = ()


class Query(NamedTuple):
    """What to look for, and its features for ranking again; empty for those of the item."""

    target: Vector | str | Examples
    features: Sequence[float] = ()


class Packed(NamedTuple):
    """Many queries by vector at once: shape (n, dimension) if they fit the collection."""

    values: npt.NDArray[np.float32]  # flat
    embedding_space: str


Queries: TypeAlias = "Sequence[Query] | Packed"


class Rerank(NamedTuple):
    """A second stage: candidates ranked again by cosine distance + `vector_weight` × distance.

    Attributes:
        candidates: How many of the nearest by vector are ranked; more if they hold fewer than `k`.
        vector_weight: What the distance by vector counts, 0 or more.
        max_distance: Most that the sum may be.
    """

    candidates: int
    vector_weight: float = 0.0
    max_distance: float | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """What the queries of one call have in common.

    Attributes:
        k: How many neighbours each wants.
        distinct_products: At most one item a product.
        exclude_same_product: Without the other items of a queried item's product.
        filter: Which items may be found.
        max_distance: How far they may be, by vector.
        rerank: How they are ranked again by their features, if they are.
        exact: Compare all items, by what they are ranked by.
        view: How much of each item; not its vectors.
    """

    k: int
    distinct_products: bool = False
    exclude_same_product: bool = False
    filter: Filter = EVERYTHING
    max_distance: float | None = None
    rerank: Rerank | None = None
    exact: bool = False
    view: View = View.FULL


class Neighbors(NamedTuple):
    """Items near a query, nearest first, and their distances.

    `first_distances` are those of the first stage, where there were two.
    """

    items: Sequence[Item]
    distances: Sequence[float]
    first_distances: Sequence[float] | None = None


class QueryAnswer(NamedTuple):
    """The neighbours of one query, and why they may be fewer than `k`.

    Attributes:
        ranked: How many candidates were ranked again; 0 if they are in the order of vectors.
        complete: Whether nothing nearer can be missing.
    """

    neighbors: Neighbors
    candidates_scanned: int
    shortfall: str
    method: Method = Method.EXACT
    ranked: int = 0
    complete: bool = True


class Answer(NamedTuple):
    """The answers to the queries of one call, and the newest write they take into account."""

    results: Sequence[QueryAnswer]
    applied_seq: int
    collection: Collection


class RangeAnswer(NamedTuple):
    """The nearest of the items within a distance, and how many there are."""

    neighbors: Neighbors
    total: int
    applied_seq: int
    collection: Collection


class FullItem(NamedTuple):
    """An item with its vectors, each of shape (dimension,); features may be missing."""

    item: Item
    vector: Matrix
    features: Matrix | None = None


class Page(NamedTuple):
    """Some items in the order in which they were written, and where the next page begins.

    `following` is what `list_items` takes as `after`; 0 if this page is the last.
    """

    items: Sequence[FullItem]
    following: int
    collection: Collection


class Count(NamedTuple):
    """How many items there are, of how many products."""

    items: int
    products: int
    applied_seq: int


class Upserted(NamedTuple):
    """What a batch of upserts did."""

    seq: int
    inserted: int
    replaced: int


class Deleted(NamedTuple):
    """What a batch of deletions did."""

    seq: int
    deleted: int


class Snapshot(NamedTuple):
    """A snapshot on disk."""

    name: str
    seq: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class CollectionState:
    """How a collection is searched."""

    name: str
    items: int
    items_in_graph: int = 0
    deleted_rows: int = 0
    memory_bytes: int = 0
    recall: float | None = None
    recall_samples: int = 0
    search_effort: int = 0
    items_with_features: int = 0
    feature_rows_in_memory: int = 0
    most_candidates: int = 0


@dataclass(frozen=True, slots=True)
class IndexState:
    """The service as a whole."""

    backend: str
    read_only: bool
    applied_seq: int
    collections: Sequence[CollectionState]
