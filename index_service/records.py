"""The plain values that the service's layers exchange."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Matrix: TypeAlias = npt.NDArray[np.float32]
"""Vectors of shape (n, dimension), or one of shape (dimension,)."""

DEFAULT_FULL_SCAN_THRESHOLD = 200_000
DEFAULT_TARGET_RECALL = 0.99


class Metric(StrEnum):
    """How distance is measured; smaller is always nearer. Stores contain these values."""

    SQUARED_L2 = "squared_l2"
    COSINE = "cosine"
    INNER_PRODUCT = "inner_product"


class Method(StrEnum):
    """How an answer was found."""

    EXACT = "exact"
    APPROXIMATE = "approximate"


class View(IntEnum):
    """How much of an item to return; each level includes the previous."""

    IDS = 1
    FULL = 2
    VECTORS = 3


@dataclass(frozen=True, slots=True)
class Collection:
    """A set of vectors that may be compared with each other.

    Searches compare all vectors up to `full_scan_threshold` items; above, they may use a graph.
    """

    name: str
    embedding_space: str
    dimension: int
    metric: Metric
    indexed_attributes: tuple[str, ...] = ()
    features_dimension: int = 0
    full_scan_threshold: int = DEFAULT_FULL_SCAN_THRESHOLD
    target_recall: float = DEFAULT_TARGET_RECALL
    text_attributes: tuple[str, ...] = ()


class Item(NamedTuple):
    """One photo of a listing, without its vectors."""

    id: str
    product_id: str
    category: str = ""
    price: float | None = None
    attributes: Mapping[str, str] = {}


class Vector(NamedTuple):
    """A vector as a caller sent it, not yet checked against a collection."""

    values: Sequence[float]
    embedding_space: str


class Batch(NamedTuple):
    """Items to write, each id once; vector i and features i belong to item i."""

    items: Sequence[Item]
    vectors: Sequence[Vector]
    features: Sequence[Sequence[float]]  # empty for an item without


@dataclass(frozen=True, slots=True)
class Filter:
    """Which items may be found: all conditions that are set must hold."""

    categories: tuple[str, ...] = ()
    product_ids: tuple[str, ...] = ()
    min_price: float | None = None
    max_price: float | None = None
    attributes: tuple[tuple[str, tuple[str, ...]], ...] = ()
    exclude_product_ids: tuple[str, ...] = ()


NO_FILTER = Filter()

Example: TypeAlias = "Vector | str"
"""A vector, or the id of an item whose vector is meant."""


class Examples(NamedTuple):
    """Examples of what to find, and of what not to find."""

    positives: tuple[Example, ...]
    negatives: tuple[Example, ...] = ()


class Query(NamedTuple):
    """What to look for, and features to rank by; empty features stand for those of the item.

    There is a target, or there are words, or both.
    """

    target: Vector | str | Examples | None
    features: Sequence[float] = ()
    words: str = ""


class PackedVectors(NamedTuple):
    """Many queries by vector, end to end: shape (n, dimension) if they fit the collection."""

    values: npt.NDArray[np.float32]  # flat
    embedding_space: str


Queries: TypeAlias = "Sequence[Query] | PackedVectors"


class Rerank(NamedTuple):
    """The second stage: ranks candidates by cosine distance of features + weight × distance.

    Attributes:
        candidates: How many of the nearest by vector are ranked; more if they hold fewer than `k`.
        vector_weight: Weight of the distance by vector, 0 or more.
        max_distance: Limit of the sum.
    """

    candidates: int
    vector_weight: float = 0.0
    max_distance: float | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """The options of a search, which the queries of one call share.

    Attributes:
        k: How many neighbours to find for each query.
        distinct_products: Find at most one item a product.
        exclude_same_product: Leave out the other items of a queried item's product.
        filter: Which items may be found.
        max_distance: Limit of the distance by vector.
        rerank: How to rank again by features; None to rank by vector alone.
        exact: Compare all items, by whatever they are ranked by.
        view: How much of each item to return; never its vectors.
    """

    k: int
    distinct_products: bool = False
    exclude_same_product: bool = False
    filter: Filter = NO_FILTER
    max_distance: float | None = None
    rerank: Rerank | None = None
    exact: bool = False
    view: View = View.FULL


class Neighbors(NamedTuple):
    """Items near a query, nearest first, and their distances.

    `first_distances` are their distances by vector, if they were ranked again.
    """

    items: Sequence[Item]
    distances: Sequence[float]
    first_distances: Sequence[float] | None = None


class QueryAnswer(NamedTuple):
    """The neighbours of one query, and why they are fewer than `k`, if they are.

    Attributes:
        ranked: How many candidates were ranked again; 0 if they are ranked by vector.
        complete: Whether nothing nearer can be missing.
        words_matched: How many items that may be found have one of the words.
        fused_scores: What neighbours are ranked by if the query has words, greatest first.
    """

    neighbors: Neighbors
    candidates_scanned: int
    shortfall: str
    method: Method = Method.EXACT
    ranked: int = 0
    complete: bool = True
    words_matched: int = 0
    fused_scores: Sequence[float] | None = None


class Answer(NamedTuple):
    """The answers to the queries of one call, and the newest write that they include."""

    results: Sequence[QueryAnswer]
    applied_seq: int
    collection: Collection


class RangeAnswer(NamedTuple):
    """The nearest items within a distance, and how many there are within it."""

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
    """Some items in the order of writing, and where the next page begins.

    `following` is the next page's `after` in `list_items`; 0 if this page is the last.
    """

    items: Sequence[FullItem]
    following: int
    collection: Collection


class Count(NamedTuple):
    """The number of items, and of their products."""

    items: int
    products: int
    applied_seq: int


class Upserted(NamedTuple):
    """The result of a batch of upserts."""

    seq: int
    inserted: int
    replaced: int


class Deleted(NamedTuple):
    """The result of a batch of deletions."""

    seq: int
    deleted: int


class Snapshot(NamedTuple):
    """A snapshot on disk."""

    name: str
    seq: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class CollectionState:
    """The state of a collection, and how it is searched."""

    name: str
    items: int
    items_in_graph: int = 0
    deleted_rows: int = 0
    memory_bytes: int = 0
    recall: float | None = None
    recall_samples: int = 0
    ef_search: int = 0
    items_with_features: int = 0
    feature_rows_in_memory: int = 0
    most_candidates: int = 0
    embedding_space: str = ""
    target_recall: float = 0.0


@dataclass(frozen=True, slots=True)
class IndexState:
    """The state of the service as a whole."""

    backend: str
    read_only: bool
    applied_seq: int
    collections: Sequence[CollectionState]
