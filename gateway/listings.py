"""What the gateway talks about: listings, categories, hits. Knows neither protos nor services."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


class NearDuplicateKind(StrEnum):
    """How much another listing's photo is the same; the values are stored."""

    IDENTICAL = "identical"
    SIMILAR = "similar"


@dataclass(frozen=True)
class NearDuplicate:
    """A photo of another listing that looks the same.

    Attributes:
        item_id: That photo.
        product_id: Its listing.
        kind: The same bytes, or merely near.
        distance: By the collection's metric.
        linked: Whether the two listings were linked, or one flagged for review.
    """

    item_id: str
    product_id: str
    kind: NearDuplicateKind
    distance: float
    linked: bool = False


@dataclass(frozen=True)
class Listing:
    """One photo of a listing, as the catalogue knows it."""

    item_id: str
    product_id: str
    category: str = ""
    title: str = ""
    price: float | None = None
    location: str = ""
    near_duplicate: NearDuplicate | None = None
    has_thumbnail: bool = False


@dataclass(frozen=True)
class ListingFilter:
    """Which listings count: all that is set must hold."""

    categories: tuple[str, ...] = ()
    min_price: float | None = None
    max_price: float | None = None
    locations: tuple[str, ...] = ()
    product_ids: tuple[str, ...] = ()
    exclude_product_ids: tuple[str, ...] = ()
    near_duplicates: bool = False


EVERY_LISTING = ListingFilter()


@dataclass(frozen=True)
class PhotoVector:
    """A photo's default embedding, its embedding space, and the same photo's features, if known."""

    values: Sequence[float]
    embedding_space: str
    features: Sequence[float] = ()


@dataclass(frozen=True)
class ItemId:
    """A photo of the catalogue."""

    item_id: str


@dataclass(frozen=True)
class ProductId:
    """A listing of the catalogue, with all its photos."""

    product_id: str


Target: TypeAlias = "ItemId | ProductId"
"""What to get or to delete."""


@dataclass(frozen=True)
class Photos:
    """Encoded photos of one thing."""

    images: tuple[bytes, ...]


PhotoQuery: TypeAlias = "Photos | ItemId | PhotoVector"
"""What to look for."""


@dataclass(frozen=True)
class Wanted:
    """What is wanted of a search; `k` of 0 means 10."""

    k: int = 0
    filter: ListingFilter = EVERY_LISTING
    every_photo: bool = False
    max_distance: float | None = None
    exact: bool = False
    min_seq: int = 0
    allow_partial: bool = False


@dataclass(frozen=True)
class CategoryScore:
    """A label, its place among the model's labels, and its probability."""

    category: str
    index: int
    probability: float


@dataclass(frozen=True)
class Classification:
    """All categories, most likely first."""

    scores: Sequence[CategoryScore]
    embedding_space: str


@dataclass(frozen=True)
class Hit:
    """A listing near a query, and its distance; smaller is nearer."""

    listing: Listing
    distance: float


@dataclass(frozen=True)
class Neighbors:
    """The index's answer: hits, nearest first, and why there are fewer than asked, if so."""

    hits: Sequence[Hit]
    shortfall: str
    exact: bool
    applied_seq: int = 0
    candidates_scanned: int = 0


@dataclass(frozen=True)
class Page:
    """Photos of the catalogue, and where the next page begins; empty after the last."""

    photos: Sequence[Listing]
    next_page_token: str


@dataclass(frozen=True)
class Written:
    """What the index says of an upsert."""

    seq: int
    replaced: bool
