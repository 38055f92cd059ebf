"""Converts items, as sent or as stored, to the rows of memory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np

from index_service.distances import comparable
from index_service.native.memory.columns import Codes, Rows
from index_service.native.memory.features import Bytes, Scales, quantised
from index_service.native.memory.state import CollectionSnapshot
from index_service.native.store.database import Columns
from index_service.records import Item, Matrix


def rows_of(  # noqa: PLR0917 - in the order of a row
    snapshot: CollectionSnapshot,
    first_key: int,
    items: Sequence[Item],
    products: Sequence[int],
    vectors: Matrix,
    features: tuple[Bytes, Scales],
) -> Rows:
    """Converts items as they were sent."""
    keys = range(first_key, first_key + len(items))
    prices = [item.price for item in items]
    codes = [_codes(snapshot.codes[0], [item.category for item in items])]
    for name, known in zip(snapshot.collection.indexed_attributes, snapshot.codes[1:], strict=True):
        codes.append(_codes(known, [item.attributes.get(name) for item in items]))
    return _rows(snapshot, keys, vectors, features, products=products, prices=prices, codes=codes)


def rows_of_columns(snapshot: CollectionSnapshot, columns: Columns) -> Rows:
    """Converts items as they are stored."""
    codes = [_codes(snapshot.codes[0], columns.categories)]
    if names := snapshot.collection.indexed_attributes:
        parsed: list[Mapping[str, str]] = [json.loads(text) for text in columns.attributes]
        for name, known in zip(names, snapshot.codes[1:], strict=True):
            codes.append(_codes(known, [each.get(name) for each in parsed]))
    c = columns
    features = quantised(c.features)
    return _rows(
        snapshot, c.keys, c.vectors, features, products=c.products, prices=c.prices, codes=codes
    )


def _rows(
    snapshot: CollectionSnapshot,
    keys: Sequence[int],
    vectors: Matrix,
    features: tuple[Bytes, Scales],
    *,
    products: Sequence[int],
    prices: Sequence[float | None],
    codes: Sequence[Sequence[int]],
) -> Rows:
    return Rows(
        np.array(keys, np.int64),
        comparable(vectors, snapshot.collection.metric),
        np.array(products, np.int32),
        np.array(prices, np.float64),  # None becomes NaN
        *features,
        tuple(np.array(each, np.int32) for each in codes),
    )


def _codes(known: Codes, values: Sequence[str | None]) -> list[int]:
    return [known.code(value) for value in values]
