"""Writes conditions in Milvus's expression language. Knows neither pymilvus nor how rows are kept.

A caller's text enters an expression as a quoted literal and in no other way. The four escapes
below are the ones that Milvus's servers and milvus-lite read alike; every other character, control
characters and NUL among them, stands for itself in both.
"""

from __future__ import annotations

from collections.abc import Iterable

from index_service.records import Collection, Filter
from lookalike.errors import UnknownFilterFieldError

ID = "id"
PRODUCT_ID = "product_id"
CATEGORY = "category"
PRICE = "price"

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r"})


def quoted(text: str) -> str:
    """Returns the literal that stands for the text."""
    return f'"{text.translate(_ESCAPES)}"'


def one_of(field: str, values: Iterable[str]) -> str:
    """Returns the condition that the field has one of the values."""
    return f"{field} in [{','.join(map(quoted, values))}]"


def none_of(field: str, values: Iterable[str]) -> str:
    """Returns the condition that the field has none of the values; empty for no values."""
    listed = ",".join(map(quoted, values))
    return f"{field} not in [{listed}]" if listed else ""


def both(*conditions: str) -> str:
    """Returns the condition that all hold, those that are empty left out."""
    return " and ".join(f"({condition})" for condition in conditions if condition)


def attribute_field(position: int) -> str:
    """Returns the field of the indexed attribute at a position of `indexed_attributes`."""
    return f"attribute_{position}"


def attribute_value(value: str | None) -> str:
    """Returns what such a field holds: never null, and for no value something else than for ""."""
    return "" if value is None else f"={value}"


def matching(wanted: Filter, collection: Collection) -> str:
    """Returns the condition that an item passes the filter; empty if every one does.

    Raises:
        UnknownFilterFieldError: It names an attribute that the collection does not index.
    """
    conditions = []
    if wanted.categories:
        conditions.append(one_of(CATEGORY, wanted.categories))
    if wanted.product_ids:
        conditions.append(one_of(PRODUCT_ID, wanted.product_ids))
    conditions.append(none_of(PRODUCT_ID, wanted.exclude_product_ids))
    if wanted.min_price is not None or wanted.max_price is not None:
        # An item without a price has -1, so one of the bounds must be 0 at least.
        conditions.append(f"{PRICE} >= {max(wanted.min_price or 0.0, 0.0)!r}")
    if wanted.max_price is not None:
        conditions.append(f"{PRICE} <= {wanted.max_price!r}")
    for i, (key, values) in enumerate(wanted.attributes):
        if key not in collection.indexed_attributes:
            known = ", ".join(collection.indexed_attributes) or "none"
            raise UnknownFilterFieldError(
                f"filter.attributes[{i}].key is '{key}', which collection '{collection.name}' does "
                f"not index; it indexes {known}",
                field=f"filter.attributes[{i}].key",
            )
        field = attribute_field(collection.indexed_attributes.index(key))
        conditions.append(one_of(field, map(attribute_value, values)))
    return both(*conditions)
