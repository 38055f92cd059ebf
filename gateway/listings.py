"""What the gateway talks about: listings, categories, hits. Knows neither protos nor services."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias


class RankingMethod(StrEnum):
    """By what similar listings are ranked."""

    BLEND = "blend"
    FEATURES = "features"
    CATEGORY = "category"


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
class CataloguePhoto:
    """One photo of a listing, as the catalogue knows it."""

    item_id: str
    product_id: str
    category: str = ""
    title: str = ""
    price: float | None = None
    location: str = ""
    near_duplicate: NearDuplicate | None = None
    has_thumbnail: bool = False
    currency: str = ""


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


@dataclass(frozen=True, slots=True)
class PhotoVector:
    """A photo's vectors and the embedding space that they belong to.

    Attributes:
        values: The model's default output.
        embedding_space: Of the model.
        features: What listings are ranked by too, float32 (`array("f")`) where there are many of
            them; empty where the model has none, or nobody asked.
    """

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
class SearchOptions:
    """What is wanted of a search; `k` of 0 means 10, no ranking the best that there is."""

    k: int = 0
    filter: ListingFilter = EVERY_LISTING
    every_photo: bool = False
    max_distance: float | None = None
    exact: bool = False
    min_seq: int = 0
    allow_partial: bool = False
    ranking: RankingMethod | None = None
    min_likeness: float | None = None
    include_price: bool = False


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
class Rerank:
    """How the index ranks candidates again: cosine distance of features + weight x distance.

    Attributes:
        candidates: How many of the nearest by vector; 0 leaves that to the index.
        vector_weight: What a distance by vector counts.
    """

    candidates: int
    vector_weight: float


class Hit(NamedTuple):
    """A listing near a query; smaller distances are nearer. Made by the thousand, so a tuple.

    Attributes:
        photo: Its photo that is nearest.
        distance: By vector.
        ranked_by: What it was ranked by.
        likeness: How likely both photos show the same item; None if that was not calibrated.
    """

    photo: CataloguePhoto
    distance: float
    ranked_by: float
    likeness: float | None = None


@dataclass(frozen=True)
class Neighbors:
    """The index's answer: hits, nearest first, and why there are fewer than asked, if so.

    Attributes:
        exact: Whether nothing nearer can be missing.
        candidates_ranked: How many were ranked by features too.
    """

    hits: Sequence[Hit]
    shortfall: str
    exact: bool
    applied_seq: int = 0
    candidates_scanned: int = 0
    candidates_ranked: int = 0


@dataclass(frozen=True)
class Page:
    """Photos of the catalogue, and where the next page begins; empty after the last."""

    photos: Sequence[CataloguePhoto]
    next_page_token: str


@dataclass(frozen=True)
class Written:
    """What the index says of an upsert."""

    seq: int
    replaced: bool
