"""The plain values that the service's layers hand to each other. Knows neither protos nor SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Matrix: TypeAlias = npt.NDArray[np.float32]
"""Vectors of shape (n, dimension), or one of shape (dimension,)."""


class Metric(StrEnum):
    """How distance is measured; smaller is always nearer. The values are stored."""

    SQUARED_L2 = "squared_l2"
    COSINE = "cosine"
    INNER_PRODUCT = "inner_product"


@dataclass(frozen=True, slots=True)
class Collection:
    """A set of vectors that may be compared with each other."""

    name: str
    embedding_space: str
    dimension: int
    metric: Metric


class Item(NamedTuple):
    """One photo of a listing, without its vector."""

    id: str
    product_id: str
    category: str
    price: float | None
    attributes: Mapping[str, str]


class Vector(NamedTuple):
    """A vector as it comes from a caller: it only claims to fit a collection."""

    values: Sequence[float]
    embedding_space: str


@dataclass(frozen=True, slots=True)
class Search:
    """What the queries of one call have in common."""

    k: int
    distinct_products: bool = False
    exclude_product_ids: frozenset[str] = frozenset()
    exclude_same_product: bool = False


class Neighbor(NamedTuple):
    """An item near a query."""

    item: Item
    distance: float


class QueryAnswer(NamedTuple):
    """The neighbours of one query, nearest first, and why they may be fewer than `k`."""

    neighbors: list[Neighbor]
    candidates_scanned: int
    shortfall: str


class Answer(NamedTuple):
    """The answers to the queries of one call, and the newest write they take into account."""

    results: list[QueryAnswer]
    applied_seq: int
    embedding_space: str


class Upserted(NamedTuple):
    """What a batch of upserts did."""

    seq: int
    inserted: int
    replaced: int


class Deleted(NamedTuple):
    """What a batch of deletions did."""

    seq: int
    deleted: int
