"""What the gateway talks about: listings, categories, hits. Knows neither protos nor services."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Listing:
    """One photo of a listing, as the catalogue knows it."""

    item_id: str
    product_id: str
    category: str = ""
    title: str = ""
    price: float | None = None
    location: str = ""


@dataclass(frozen=True)
class PhotoVector:
    """A photo's default embedding and the embedding space that it belongs to."""

    values: Sequence[float]
    embedding_space: str


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


@dataclass(frozen=True)
class Written:
    """What the index says of an upsert."""

    seq: int
    replaced: bool
