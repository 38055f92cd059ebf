"""Converts photos of the catalogue to items of the index and back; names the attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.listings import PhotoVector
from gateway.vectors import compact
from lookalike.catalogue.listings import (
    CataloguePhoto,
    ListingFilter,
    NearDuplicate,
    NearDuplicateKind,
)
from lookalike.catalogue.schema import (
    CURRENCY,
    DESCRIPTION,
    INGEST_REQUEST_ID,
    INGEST_REQUEST_SHA256,
    LOCATION,
    NEAR_DUPLICATE,
    NEAR_DUPLICATE_DISTANCE,
    NEAR_DUPLICATE_KIND,
    NEAR_DUPLICATE_OF,
    NEAR_DUPLICATE_PRODUCT,
    PHOTO_SHA256,
    THUMBNAIL,
    TITLE,
)
from lookalike.index.v1 import index_pb2

_FLAGGED, _LINKED = "flagged", "linked"


@dataclass(frozen=True)
class StoredPhoto:
    """A photo of the catalogue, with what the gateway stores for its own use.

    Attributes:
        photo: The part that callers see.
        vector: Its vectors; None if the index did not send them.
        sha256: Hash of the encoded photo, in hexadecimal; empty if another program wrote the item.
        request_id: The caller's key for retries, if there was one.
        request_sha256: Hash of the arguments sent with that key.
    """

    photo: CataloguePhoto
    vector: PhotoVector | None
    sha256: str = ""
    request_id: str = ""
    request_sha256: str = ""


@dataclass(frozen=True)
class NearPhoto:
    """A photo near a query.

    Attributes:
        stored: The photo, without its vectors.
        distance: Distance by vector.
        ranked_by: Distance by features and vector, if the index was asked to rank by both.
    """

    stored: StoredPhoto
    distance: float
    ranked_by: float | None = None


def vector(sent: PhotoVector) -> index_pb2.Vector:
    """Returns the index's message for a vector."""
    return index_pb2.Vector(values=sent.values, embedding_space=sent.embedding_space)


def item(stored: StoredPhoto, features: Sequence[float] = ()) -> index_pb2.Item:
    """Returns the index's item for a photo, which must have its vector.

    Args:
        stored: The photo.
        features: Its features, if the collection keeps features.
    """
    assert stored.vector is not None
    photo = stored.photo
    texts = {
        TITLE: photo.title,
        DESCRIPTION: photo.description,
        CURRENCY: photo.currency,
        LOCATION: photo.location,
        THUMBNAIL: "1" if photo.has_thumbnail else "",
        PHOTO_SHA256: stored.sha256,
        INGEST_REQUEST_ID: stored.request_id,
        INGEST_REQUEST_SHA256: stored.request_sha256,
        **_near_duplicate_texts(photo.near_duplicate),
    }
    return index_pb2.Item(
        id=photo.item_id,
        product_id=photo.product_id,
        category=photo.category,
        price=photo.price,
        attributes={name: text for name, text in texts.items() if text},
        vector=vector(stored.vector),
        features=features,
    )


def stored_photo(found: index_pb2.Item) -> StoredPhoto:
    """Returns a photo with all that is stored, from an item of the index."""
    attributes: Mapping[str, str] = found.attributes
    return StoredPhoto(
        photo(found),
        _vectors(found) if found.vector.values else None,
        attributes.get(PHOTO_SHA256, ""),
        attributes.get(INGEST_REQUEST_ID, ""),
        attributes.get(INGEST_REQUEST_SHA256, ""),
    )


def photo(found: index_pb2.Item) -> CataloguePhoto:
    """Returns the part of a photo that callers see, from an item of the index."""
    attributes: Mapping[str, str] = found.attributes
    return CataloguePhoto(
        item_id=found.id,
        product_id=found.product_id,
        category=found.category,
        title=attributes.get(TITLE, ""),
        price=found.price if found.HasField("price") else None,
        location=attributes.get(LOCATION, ""),
        near_duplicate=_near_duplicate(attributes),
        has_thumbnail=THUMBNAIL in attributes,
        currency=attributes.get(CURRENCY, ""),
        description=attributes.get(DESCRIPTION, ""),
    )


def _vectors(found: index_pb2.Item) -> PhotoVector:
    sent = found.vector
    return PhotoVector(tuple(sent.values), sent.embedding_space, compact(found.features))


def to_filter(listings: ListingFilter) -> index_pb2.Filter:
    """Returns the index's filter for listings."""
    conditions = {
        LOCATION: listings.locations,
        NEAR_DUPLICATE: (_FLAGGED, _LINKED) if listings.near_duplicates else (),
    }
    return index_pb2.Filter(
        categories=listings.categories,
        product_ids=listings.product_ids,
        min_price=listings.min_price,
        max_price=listings.max_price,
        attributes=[
            index_pb2.AttributeFilter(key=key, values=values)
            for key, values in conditions.items()
            if values
        ],
        exclude_product_ids=listings.exclude_product_ids,
    )


def _near_duplicate_texts(near: NearDuplicate | None) -> dict[str, str]:
    if near is None:
        return {}
    return {
        NEAR_DUPLICATE: _LINKED if near.linked else _FLAGGED,
        NEAR_DUPLICATE_OF: near.item_id,
        NEAR_DUPLICATE_PRODUCT: near.product_id,
        NEAR_DUPLICATE_KIND: near.kind.value,
        NEAR_DUPLICATE_DISTANCE: repr(near.distance),
    }


def _near_duplicate(attributes: Mapping[str, str]) -> NearDuplicate | None:
    marked = attributes.get(NEAR_DUPLICATE)
    if marked not in (_FLAGGED, _LINKED):
        return None
    try:
        return NearDuplicate(
            attributes[NEAR_DUPLICATE_OF],
            attributes[NEAR_DUPLICATE_PRODUCT],
            NearDuplicateKind(attributes[NEAR_DUPLICATE_KIND]),
            float(attributes[NEAR_DUPLICATE_DISTANCE]),
            linked=marked == _LINKED,
        )
    except (KeyError, ValueError):
        return None  # another program wrote the item
