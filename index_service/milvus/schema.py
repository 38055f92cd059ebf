"""The layout of collections and items in Milvus.

A collection is a Milvus collection of one shard whose property `lookalike` holds in JSON what
Milvus has no place for. Every item is a row: `id` is the primary key, a missing price is -1, all
attributes are one JSON text, and indexed attributes also have a field each. Features are base64
text, since the oldest release that is supported allows one vector field. `position` orders rows by
the time of writing.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pymilvus import DataType, MilvusClient

from index_service.milvus.expressions import (
    CATEGORY,
    ID,
    PRICE,
    PRODUCT_ID,
    attribute_field,
    attribute_value,
)
from index_service.records import Collection, FullItem, Item, Matrix, Metric
from lookalike.errors import NotSupportedError

PROPERTY = "lookalike"
POSITION = "position"
VECTOR = "vector"
FEATURES = "features"
ATTRIBUTES = "attributes"

HAS_FEATURES = f'{FEATURES} != ""'
"""The condition that a row has features, where the collection keeps them."""

METRICS = {Metric.SQUARED_L2: "L2", Metric.COSINE: "COSINE", Metric.INNER_PRODUCT: "IP"}

FULL_FIELDS = (ID, PRODUCT_ID, CATEGORY, PRICE, ATTRIBUTES)

# Milvus counts bytes, our limits count characters, of at most four bytes each.
_ID_BYTES = 4 * 128
_CATEGORY_BYTES = 4 * 256
_TEXT_BYTES = 65_535  # the longest text that Milvus takes

# Positions count microseconds from 2025 on, in 51 bits: 71 years.
_POSITIONS_BEGIN_US = 1_735_689_600_000_000
_TAG_BITS = 12
POSITION_STEP = 1 << _TAG_BITS
"""How far apart the positions of one batch are."""

_SLACK = 60_000_000 << _TAG_BITS  # a minute, by which clocks may differ


def milvus_name(name: str) -> str:
    """Returns the name of a collection or alias in Milvus, which allows no `-`."""
    return name.replace("_", "__").replace("-", "_d")


def our_name(name: str) -> str:
    """Returns the name that `milvus_name` was given."""
    return "_".join(part.replace("_d", "-") for part in name.split("__"))


def properties(collection: Collection, index: str) -> dict[str, str]:
    """Returns the property that describes the collection.

    Its random `made` makes any two descriptions differ: if two services create a collection at the
    same time, Milvus refuses one of them.
    """
    described = {
        "name": collection.name,
        "embedding_space": collection.embedding_space,
        "dimension": collection.dimension,
        "metric": collection.metric.value,
        "indexed_attributes": collection.indexed_attributes,
        "features_dimension": collection.features_dimension,
        "exact_up_to": collection.full_scan_threshold,
        "target_recall": collection.target_recall,
        "index": index,
        "since": position_now() - 2 * _SLACK,
        "made": secrets.token_hex(8),
    }
    return {PROPERTY: json.dumps(described)}


def collection_of(properties: Mapping[str, str]) -> tuple[Collection, str, int] | None:
    """Returns a collection, its index, and a position before those of all its rows.

    None if the properties are not of a collection that `properties` described.
    """
    if (text := properties.get(PROPERTY)) is None:
        return None
    stored = json.loads(text)
    collection = Collection(
        name=stored["name"],
        embedding_space=stored["embedding_space"],
        dimension=stored["dimension"],
        metric=Metric(stored["metric"]),
        indexed_attributes=tuple(stored["indexed_attributes"]),
        features_dimension=stored["features_dimension"],
        full_scan_threshold=stored["exact_up_to"],
        target_recall=stored["target_recall"],
    )
    return collection, stored["index"], stored["since"]


def schema(collection: Collection) -> Any:
    """Returns the fields of the collection for pymilvus."""
    fields = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    fields.add_field(ID, DataType.VARCHAR, is_primary=True, max_length=_ID_BYTES)
    fields.add_field(PRODUCT_ID, DataType.VARCHAR, max_length=_ID_BYTES)
    fields.add_field(CATEGORY, DataType.VARCHAR, max_length=_CATEGORY_BYTES)
    fields.add_field(PRICE, DataType.DOUBLE)
    fields.add_field(POSITION, DataType.INT64)
    fields.add_field(ATTRIBUTES, DataType.VARCHAR, max_length=_TEXT_BYTES)
    for i in range(len(collection.indexed_attributes)):
        fields.add_field(attribute_field(i), DataType.VARCHAR, max_length=_TEXT_BYTES)
    if collection.features_dimension:
        fields.add_field(FEATURES, DataType.VARCHAR, max_length=_TEXT_BYTES)
    fields.add_field(VECTOR, DataType.FLOAT_VECTOR, dim=collection.dimension)
    return fields


def rows(
    collection: Collection,
    items: Sequence[Item],
    vectors: Matrix,
    features: Sequence[str],
    positions: Sequence[int],
) -> list[dict[str, Any]]:
    """Returns the items as rows; `vectors` has shape (n, dimension), `features` is encoded."""
    made = []
    for i, item in enumerate(items):
        attributes = json.dumps(dict(item.attributes), ensure_ascii=False, separators=(",", ":"))
        if (size := len(attributes.encode())) > _TEXT_BYTES:
            raise NotSupportedError(
                f"items[{i}].attributes have {size} bytes as JSON; Milvus keeps at most "
                f"{_TEXT_BYTES}",
                field=f"items[{i}].attributes",
            )
        row = {
            ID: item.id,
            PRODUCT_ID: item.product_id,
            CATEGORY: item.category,
            PRICE: -1.0 if item.price is None else float(item.price),
            POSITION: positions[i],
            ATTRIBUTES: attributes,
            VECTOR: vectors[i],
        }
        for j, key in enumerate(collection.indexed_attributes):
            row[attribute_field(j)] = attribute_value(item.attributes.get(key))
        if collection.features_dimension:
            row[FEATURES] = features[i]
        made.append(row)
    return made


def size_of(row: Mapping[str, Any]) -> int:
    """Estimates the size of the row in a message to Milvus."""
    return sum(
        len(value.encode()) if isinstance(value, str) else getattr(value, "nbytes", 8)
        for value in row.values()
    )


def item_of(row: Mapping[str, Any]) -> Item:
    """Returns the item of a row, as far as its fields were read."""
    price = row.get(PRICE, -1.0)
    return Item(
        row[ID],
        row[PRODUCT_ID],
        row.get(CATEGORY, ""),
        None if price < 0 else price,
        json.loads(row.get(ATTRIBUTES, "{}")),
    )


def full_item_of(row: Mapping[str, Any]) -> FullItem:
    """Returns the item of a row with its vectors."""
    return FullItem(item_of(row), vector_of(row), features_of(row))


def vector_of(row: Mapping[str, Any]) -> Matrix:
    """Returns the vector of a row, of shape (dimension,)."""
    return np.asarray(row[VECTOR], np.float32)


def features_of(row: Mapping[str, Any]) -> Matrix | None:
    """Returns the features of a row, of shape (features_dimension,); None if it has none."""
    encoded = row.get(FEATURES, "")
    return np.frombuffer(b64decode(encoded), "<f4") if encoded else None


def encoded(features: Matrix | None) -> str:
    """Returns features as text."""
    return "" if features is None else b64encode(features.astype("<f4").tobytes()).decode("ascii")


def position_now() -> int:
    """Returns a position above all given out so far, if clocks agree to the minute."""
    return (time.time_ns() // 1000 - _POSITIONS_BEGIN_US << _TAG_BITS) + _SLACK


class Positions:
    """Numbers rows in the order of writing, without a call to Milvus.

    A number is a time in microseconds and a random tag of this process: unique, and in order across
    services as far as their clocks agree.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next = 0
        self._tag = secrets.randbits(_TAG_BITS)

    def take(self, number: int) -> list[int]:
        """Returns `number` positions, each above all before it."""
        with self._lock:
            now = time.time_ns() // 1000 - _POSITIONS_BEGIN_US
            first = max(self._next, now)
            self._next = first + number
        return [(first + i) << _TAG_BITS | self._tag for i in range(number)]
