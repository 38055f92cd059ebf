"""Writes conditions in Milvus's expression language.

A caller's text enters an expression only as a quoted literal. The four escapes below are those that
Milvus's servers and milvus-lite read alike; every other character, including control characters and
NUL, stands for itself in both.
"""

from __future__ import annotations

from collections.abc import Iterable

from index_service.records import Collection, Filter
from index_service.refusals import attribute_not_indexed

ID = "id"
PRODUCT_ID = "product_id"
CATEGORY = "category"
PRICE = "price"

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r"})


def quoted(text: str) -> str:
    """Returns the text as a literal."""
    return f'"{text.translate(_ESCAPES)}"'


def one_of(field: str, values: Iterable[str]) -> str:
    """Returns the condition that the field has one of the values."""
    return f"{field} in [{','.join(map(quoted, values))}]"


def none_of(field: str, values: Iterable[str]) -> str:
    """Returns the condition that the field has none of the values; empty for no values."""
    listed = ",".join(map(quoted, values))
    return f"{field} not in [{listed}]" if listed else ""


def both(*conditions: str) -> str:
    """Returns the conjunction of the conditions that are not empty."""
    return " and ".join(f"({condition})" for condition in conditions if condition)


def attribute_field(position: int) -> str:
    """Returns the field of the indexed attribute at a position of `indexed_attributes`."""
    return f"attribute_{position}"


def attribute_value(value: str | None) -> str:
    """Returns the content of such a field: never null, and different for no value and for ""."""
    return "" if value is None else f"={value}"


def matching(where: Filter, collection: Collection) -> str:
    """Returns the condition that an item passes the filter; empty if every one does.

    Raises:
        UnknownFilterFieldError: It names an attribute that the collection does not index.
    """
    conditions = []
    if where.categories:
        conditions.append(one_of(CATEGORY, where.categories))
    if where.product_ids:
        conditions.append(one_of(PRODUCT_ID, where.product_ids))
    conditions.append(none_of(PRODUCT_ID, where.exclude_product_ids))
    if where.min_price is not None or where.max_price is not None:
        # An item without a price has -1, so one of the bounds must be 0 at least.
        conditions.append(f"{PRICE} >= {max(where.min_price or 0.0, 0.0)!r}")
    if where.max_price is not None:
        conditions.append(f"{PRICE} <= {where.max_price!r}")
    for i, (key, values) in enumerate(where.attributes):
        if key not in collection.indexed_attributes:
            raise attribute_not_indexed(i, key, collection)
        field = attribute_field(collection.indexed_attributes.index(key))
        conditions.append(one_of(field, map(attribute_value, values)))
    return both(*conditions)
