"""Errors that every backend raises alike."""

from __future__ import annotations

from index_service.records import Collection
from lookalike.errors import ItemNotFoundError, UnknownFilterFieldError


def item_not_found(collection: Collection, item_id: str, field: str) -> ItemNotFoundError:
    """Returns the error for an id that no item has."""
    return ItemNotFoundError(
        f"collection '{collection.name}' has no item '{item_id}'",
        field=field,
        resource=("item", item_id),
    )


def attribute_not_indexed(number: int, key: str, collection: Collection) -> UnknownFilterFieldError:
    """Returns the error for the filter's n-th attribute, which is not indexed."""
    known = ", ".join(collection.indexed_attributes) or "none"
    return UnknownFilterFieldError(
        f"filter.attributes[{number}].key is '{key}', which collection '{collection.name}' does "
        f"not index; it indexes {known} (Collection.indexed_attributes)",
        field=f"filter.attributes[{number}].key",
    )
