"""The gateway's domain values: queries, hits, classifications."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from lookalike.catalogue.listings import CataloguePhoto, ListingFilter


class RankingMethod(StrEnum):
    """Which outputs of the model rank similar listings."""

    BLEND = "blend"
    FEATURES = "features"
    CATEGORY = "category"
    HYBRID = "hybrid"
    WORDS = "words"


EVERY_LISTING = ListingFilter()


@dataclass(frozen=True, slots=True)
class PhotoVector:
    """A photo's vectors and the embedding space that they belong to.

    Attributes:
        values: The model's default output.
        embedding_space: The model's.
        features: The second output to rank by, kept as float32 (`array("f")`) where there are many
            vectors; empty if the model has none or it was not requested.
    """

    values: Sequence[float]
    embedding_space: str
    features: Sequence[float] = ()


@dataclass(frozen=True)
class ItemId:
    """Id of a photo of the catalogue."""

    item_id: str


@dataclass(frozen=True)
class ProductId:
    """Id of a listing of the catalogue, which stands for all its photos."""

    product_id: str


Target: TypeAlias = "ItemId | ProductId"
"""What to get or delete."""


@dataclass(frozen=True)
class Photos:
    """Encoded photos of one thing."""

    images: tuple[bytes, ...]


@dataclass(frozen=True)
class Words:
    """What a listing says, or what somebody looks for (the title alone); false if that is blank."""

    title: str = ""
    description: str = ""

    def __bool__(self) -> bool:
        return bool(self.title.strip() or self.description.strip())


@dataclass(frozen=True)
class MixPart:
    """A photo, words or a photo of the catalogue, and how much it counts; below 0 it leads away."""

    part: bytes | Words | ItemId
    weight: float = 1.0


@dataclass(frozen=True)
class Mix:
    """Several things of which each leads towards it or away from it."""

    parts: tuple[MixPart, ...]


Query: TypeAlias = "Photos | ItemId | PhotoVector | Words | Mix"
"""What to look for."""


@dataclass(frozen=True)
class SearchOptions:
    """Options of a search; a `k` of 0 means 10, no ranking means the best available."""

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
    """A label, its index among the model's labels, and its probability."""

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
    """How the index re-ranks candidates: cosine distance of features + weight x distance.

    Attributes:
        candidates: How many of the nearest by vector to re-rank; 0 leaves that to the index.
        vector_weight: Weight of the distance by vector.
    """

    candidates: int
    vector_weight: float


class Hit(NamedTuple):
    """A listing near a query. A tuple, since searches make thousands.

    Attributes:
        photo: Its photo that is nearest.
        distance: Distance by vector; smaller is nearer.
        ranked_by: The distance that it was ranked by.
        likeness: Probability that both photos show the same item; None if not calibrated.
    """

    photo: CataloguePhoto
    distance: float
    ranked_by: float
    likeness: float | None = None


@dataclass(frozen=True)
class Neighbors:
    """The index's answer to a search.

    Attributes:
        hits: Nearest first.
        shortfall: Why there are fewer than requested; empty if there are not.
        exact: Whether nothing nearer can be missing.
        applied_seq: The newest write taken into account.
        candidates_scanned: Rows compared by vector.
        candidates_ranked: Rows ranked by features too.
    """

    hits: Sequence[Hit]
    shortfall: str
    exact: bool
    applied_seq: int = 0
    candidates_scanned: int = 0
    candidates_ranked: int = 0


@dataclass(frozen=True)
class Page:
    """A page of the catalogue; `next_page_token` is empty on the last one."""

    photos: Sequence[CataloguePhoto]
    next_page_token: str


@dataclass(frozen=True)
class Written:
    """Result of an upsert: the write's number, and whether it replaced an item."""

    seq: int
    replaced: bool
