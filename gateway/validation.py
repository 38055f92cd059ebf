"""Validates arguments of the use cases; errors name the proto's field, the limit and the value.

Only the upstreams can check whether bytes are a photo, or whether an item exists.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence, Sized
from dataclasses import replace

from gateway.listings import (
    ItemId,
    Mix,
    MixPart,
    Photos,
    PhotoVector,
    Query,
    SearchOptions,
    Target,
    Words,
)
from lookalike.catalogue.listings import CataloguePhoto, ListingFilter
from lookalike.errors import InvalidArgumentError, NonFiniteVectorError
from lookalike.limits import (
    DEFAULT_PAGE_SIZE,
    MAX_CATEGORY_LENGTH,
    MAX_DIMENSION,
    MAX_FILTER_PRODUCTS,
    MAX_FILTER_VALUES,
    MAX_ID_LENGTH,
    MAX_K,
    MAX_PAGE_SIZE,
    MAX_TEXT_LENGTH,
    MAX_WORDS_LENGTH,
)

DEFAULT_K = 10
MAX_IMAGES = 16
MAX_WEIGHT = 10.0
# Beside the greatest, less than that is nothing to the vectors, which are float32.
MIN_WEIGHT = 1e-6
MAX_SEQ = (1 << 63) - 1
_CURRENCY = re.compile(r"[A-Z]{3}")


def photo(sent: CataloguePhoto) -> CataloguePhoto:
    """Validates a photo to ingest, and clears its output-only fields."""
    _new_id(sent.item_id, "photo.item_id")
    _new_id(sent.product_id, "photo.product_id")
    _text(sent.category, MAX_CATEGORY_LENGTH, "category")
    _text(sent.title, MAX_TEXT_LENGTH, "title")
    _text(sent.description, MAX_TEXT_LENGTH, "description")
    _text(sent.location, MAX_TEXT_LENGTH, "location")
    if sent.price is not None:
        _price(sent.price, "price", "photo.price")
    if sent.currency and not _CURRENCY.fullmatch(sent.currency):
        raise InvalidArgumentError(
            f"currency is '{sent.currency[:20]}'; it must be empty or three letters A to Z as of "
            "ISO 4217, such as GBP",
            field="photo.currency",
        )
    return replace(sent, near_duplicate=None, has_thumbnail=False)


def query(sent: Query) -> Query:
    """Validates a query."""
    match sent:
        case ItemId(item_id):
            _id(item_id, "item_id")
        case Photos(sent_images):
            images(sent_images, "images.images")
        case Words(title):
            search_words(title, "text")
        case Mix(parts):
            mix(parts)
        case PhotoVector(values, embedding_space, features):
            _finite(vector_values(values), "vector.values")
            _finite(vector_features(features), "vector.features")
            _id(embedding_space, "vector.embedding_space")
    return sent


def listing(sent: Sequence[bytes], words: Words | None) -> None:
    """Validates what a listing is classified by."""
    if not sent and not words:
        raise InvalidArgumentError(
            "there are neither images nor title nor description; one is needed", field="images"
        )
    _count(sent, 0, MAX_IMAGES, "images")
    if words:
        _length(words.title, MAX_TEXT_LENGTH, "title")
        _length(words.description, MAX_TEXT_LENGTH, "description")


def images(sent: Sequence[bytes], field: str) -> None:
    """Validates the number of photos of one thing."""
    _count(sent, 1, MAX_IMAGES, field)


def search_words(sent: str, field: str) -> None:
    """Validates words to look for."""
    if not sent.strip():
        raise InvalidArgumentError(f"{field} is empty; say what to look for", field=field)
    _length(sent, MAX_WORDS_LENGTH, field)


def mix(parts: Sequence[MixPart]) -> None:
    """Validates the parts of a mix."""
    _count(parts, 1, MAX_IMAGES, "mix.parts")
    for number, part in enumerate(parts):
        field = f"mix.parts[{number}]"
        weight(part.weight, f"{field}.weight", f"{field}.weight")
        match part.part:
            case ItemId(item_id):
                _id(item_id, f"{field}.item_id")
            case Words(title):
                search_words(title, f"{field}.text")
    if not any(part.weight > 0 for part in parts):
        raise InvalidArgumentError(
            "no part of the mix has a weight above 0; say what to look for", field="mix.parts"
        )


def weight(sent: float, name: str, field: str) -> None:
    """Validates how much a part of a mix counts."""
    if not MIN_WEIGHT <= abs(sent) <= MAX_WEIGHT:
        raise InvalidArgumentError(
            f"{name} is {str(sent)[:20]}; it must be -{MAX_WEIGHT:g} to {MAX_WEIGHT:g}, and no "
            f"nearer to 0 than {MIN_WEIGHT:f}",
            field=field,
        )


def vector_values(sent: Sequence[float]) -> Sequence[float]:
    """Validates the number of values of a vector, but none of the values."""
    if not sent:
        raise InvalidArgumentError(
            "vector.values has 0 entries; it must have as many as the collection has dimensions",
            field="vector.values",
        )
    _count(sent, 1, MAX_DIMENSION, "vector.values")
    return sent


def vector_features(sent: Sequence[float]) -> Sequence[float]:
    """Validates the number of features, which may be 0, but none of the values."""
    _count(sent, 0, MAX_DIMENSION, "vector.features")
    return sent


def search_options(sent: SearchOptions) -> SearchOptions:
    """Validates the options of a search, and sets the default `k`."""
    if not 0 <= sent.k <= MAX_K:
        raise InvalidArgumentError(
            f"k is {sent.k}; it must be 1 to {MAX_K}, or 0 for {DEFAULT_K}", field="k"
        )
    if sent.max_distance is not None and not math.isfinite(sent.max_distance):
        raise InvalidArgumentError(
            f"max_distance is {sent.max_distance}; it must be finite", field="max_distance"
        )
    if sent.min_likeness is not None and not 0 <= sent.min_likeness <= 1:
        raise InvalidArgumentError(
            f"min_likeness is {sent.min_likeness}; it must be 0 to 1", field="min_likeness"
        )
    if not 0 <= sent.min_seq <= MAX_SEQ:
        raise InvalidArgumentError(
            f"min_seq is {sent.min_seq}; it must be 0 to {MAX_SEQ}", field="min_seq"
        )
    return replace(sent, k=sent.k or DEFAULT_K, filter=listing_filter(sent.filter))


def listing_filter(sent: ListingFilter) -> ListingFilter:
    """Validates a filter."""
    _count(sent.categories, 0, MAX_FILTER_VALUES, "filter.categories")
    _count(sent.locations, 0, MAX_FILTER_VALUES, "filter.locations")
    for name in ("product_ids", "exclude_product_ids"):
        ids: Sequence[str] = getattr(sent, name)
        _count(ids, 0, MAX_FILTER_PRODUCTS, f"filter.{name}")
        for i, product_id in enumerate(ids):
            _id(product_id, f"filter.{name}[{i}]")
    low, high = sent.min_price, sent.max_price
    for name, price in (("min_price", low), ("max_price", high)):
        if price is not None:
            _price(price, name, f"filter.{name}")
    if low is not None and high is not None and low > high:
        raise InvalidArgumentError(
            f"min_price is {low}, above max_price, which is {high}", field="filter.min_price"
        )
    return sent


def target(sent: Target) -> Target:
    """Validates the photo or listing to get or delete."""
    if isinstance(sent, ItemId):
        _id(sent.item_id, "item_id")
    else:
        _id(sent.product_id, "product_id")
    return sent


def page_size(sent: int) -> int:
    """Validates a page size, and returns the default for 0."""
    if not 0 <= sent <= MAX_PAGE_SIZE:
        raise InvalidArgumentError(
            f"page_size is {sent}; it must be 1 to {MAX_PAGE_SIZE}, or 0 for {DEFAULT_PAGE_SIZE}",
            field="page_size",
        )
    return sent or DEFAULT_PAGE_SIZE


def request_id(sent: str) -> str:
    """Validates a caller's key for retries, which may be empty."""
    if len(sent) > MAX_ID_LENGTH:
        raise InvalidArgumentError(
            f"request_id has {len(sent)} characters; the limit is {MAX_ID_LENGTH}",
            field="request_id",
        )
    return sent


def _id(value: str, field: str) -> None:
    if not 1 <= len(value) <= MAX_ID_LENGTH:
        raise InvalidArgumentError(
            f"{field} has {len(value)} characters; it must have 1 to {MAX_ID_LENGTH}",
            field=field,
        )


def _new_id(value: str, field: str) -> None:
    _id(value, field)
    # The only ones that no path of a URL can name: browsers and clients resolve them.
    if value in {".", ".."}:
        raise InvalidArgumentError(f"{field} is '{value}', which no URL can name", field=field)


def _text(value: str, limit: int, name: str) -> None:
    _length(value, limit, name, f"photo.{name}")


def _length(value: str, limit: int, name: str, field: str = "") -> None:
    if len(value) > limit:
        raise InvalidArgumentError(
            f"{name} has {len(value)} characters; the limit is {limit}", field=field or name
        )


def _finite(values: Sequence[float], field: str) -> None:
    for i, value in enumerate(values):
        if not math.isfinite(value):
            raise NonFiniteVectorError(f"{field}[{i}] is {value}; it must be finite", field=field)


def _price(value: float, name: str, field: str) -> None:
    if not (value >= 0 and math.isfinite(value)):
        raise InvalidArgumentError(
            f"{name} is {value}; it must be 0 or more, and finite", field=field
        )


def _count(entries: Sized, low: int, high: int, field: str) -> None:
    if not low <= len(entries) <= high:
        raise InvalidArgumentError(
            f"{field} has {len(entries)} entries; it must have {low} to {high}", field=field
        )
