"""Photos of listings and conditions on them, as the SDK and the gateway know them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class NearDuplicateKind(StrEnum):
    """How similar the photos of two listings are."""

    IDENTICAL = "identical"
    SIMILAR = "similar"


@dataclass(frozen=True)
class NearDuplicate:
    """A photo of another listing that looks the same.

    Attributes:
        item_id: Id of that photo.
        product_id: Id of its listing.
        kind: Identical bytes, or merely near.
        distance: Distance by the collection's metric.
        linked: Whether the two listings were linked, rather than one flagged for review.
    """

    item_id: str
    product_id: str
    kind: NearDuplicateKind
    distance: float
    linked: bool = False


@dataclass(frozen=True)
class CataloguePhoto:
    """One photo of a listing, as the catalogue knows it.

    Attributes:
        item_id: Unique id of the photo, 1 to 128 characters; not `.` or `..`: no URL can name them.
        product_id: Id of the listing that it belongs to; of the same characters.
        category: The seller's category; may be empty.
        title: The seller's title; may be empty.
        price: Price in `currency`, 0 or more.
        location: Where it is sold; may be empty.
        near_duplicate: Only in answers: the near duplicate found when this photo was ingested.
        has_thumbnail: Only in answers: whether the gateway has a thumbnail of it.
        currency: Currency of the price, three letters of ISO 4217, such as GBP; may be empty.
        description: The seller's description; may be empty.
    """

    item_id: str
    product_id: str
    category: str = ""
    title: str = ""
    price: float | None = None
    location: str = ""
    near_duplicate: NearDuplicate | None = None
    has_thumbnail: bool = False
    currency: str = ""
    description: str = ""


@dataclass(frozen=True)
class ListingFilter:
    """Conditions on listings; all that are set must hold.

    Attributes:
        categories: One of these; at most 100.
        min_price: At least this price; a listing without a price is left out.
        max_price: At most this price; a listing without a price is left out.
        locations: One of these, exactly as written; at most 100.
        product_ids: Only these listings; at most 1,000.
        exclude_product_ids: Not these listings; at most 1,000.
        near_duplicates: Only photos flagged or linked as near duplicates.
    """

    categories: Sequence[str] = ()
    min_price: float | None = None
    max_price: float | None = None
    locations: Sequence[str] = ()
    product_ids: Sequence[str] = ()
    exclude_product_ids: Sequence[str] = ()
    near_duplicates: bool = False
