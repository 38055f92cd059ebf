"""Rows of the store as values, verified by their checksums.

SQLite's own check finds damaged structure; these CRC-32s find changed content.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from index_service.records import Item, Matrix

FLOAT = np.dtype("<f4")  # little-endian on every machine, so that a file can move

ITEM_COLUMNS = "key, id, product, category, price, attributes, vector, features, i.checksum"
"""What `verify_item` checks of a row of `items i`."""

PRODUCT_COLUMNS = "p.collection, product_id, p.checksum"
"""What `verify_item` checks beside it of `items i JOIN products p ON product = number`."""


class DamagedRowError(Exception):
    """A row is not as it was written; the message names it."""


def item_checksum(  # noqa: PLR0917 - SQLite calls it too
    id_: str,
    product: int,
    category: str,
    price: float | None,
    attributes: str,
    vector: bytes,
    features: bytes | None,
) -> int:
    """Returns the CRC-32 of an item's row."""
    amount = None if price is None else price + 0.0  # SQLite stores no negative zero
    text = f"{id_}\0{product}\0{category}\0{amount!r}\0{attributes}\0"
    value = zlib.crc32(vector, zlib.crc32(text.encode("utf-8", "surrogatepass")))
    return zlib.crc32(features, value) if features else value


def checksum(*values: str | float) -> int:
    """Returns the CRC-32 of the values of any other row."""
    return zlib.crc32("\0".join(map(str, values)).encode("utf-8", "surrogatepass"))


def collection_checksum(*values: str | float) -> int:
    """Returns the CRC-32 of a collection's row, whose last value is its `text_attributes`.

    Of a collection without any it is the one that layout 3 gave it, which had no such column.
    """
    return checksum(*(values[:-1] if values[-1] == "[]" else values))


def verify(table: str, name: str, values: tuple[str | float, ...], expected: int | None) -> None:
    """Checks a row that is no item's.

    Args:
        table: Kind of the row, for the error message.
        name: Name of the row, for the error message.
        values: Its values.
        expected: Its checksum; None in a store from before these rows had one.

    Raises:
        DamagedRowError: The checksum is not that of the values.
    """
    found = collection_checksum if table == "collection" else checksum
    if expected is not None and found(*values) != expected:
        raise DamagedRowError(f"{table} '{name}' is not as it was written")


def verify_item(row: Sequence[Any]) -> None:
    """Checks an item by a row of `ITEM_COLUMNS`, and its product if these columns follow.

    Raises:
        DamagedRowError: The item or its product is not as it was written.
    """
    if item_checksum(*row[1:8]) != row[8]:
        raise DamagedRowError(f"item '{row[1]}' is not as it was written")
    if len(row) > 9:
        collection, product_id, expected = row[9:]
        verify("product", product_id, (row[2], collection, product_id), expected)


def item_of(row: Sequence[Any]) -> Item:
    """Returns the item of a row of `ITEM_COLUMNS` and `PRODUCT_COLUMNS`."""
    return Item(row[1], row[10], row[3], row[4], json.loads(row[5]))


def floats(blob: bytes) -> Matrix:
    """Returns a vector, float32 of shape (dimension,)."""
    return np.frombuffer(blob, FLOAT).astype(np.float32)
