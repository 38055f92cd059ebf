"""Features quantised to a byte a value, and cosines that do not depend on the order of summation.

Rows are whole numbers from -127 to 127, which keep a vector's direction; cosines need no length.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from index_service.records import Matrix

Bytes: TypeAlias = npt.NDArray[np.int8]
Scales: TypeAlias = npt.NDArray[np.float32]

_MOST = 127
# A dot product of whole numbers is exact in float32 while every sum stays below 2**24, in whatever
# order BLAS adds: equal photos are equally near, in a batch or alone.
_EXACT_IN_FLOAT32 = 1 << 24
_COLUMNS = 128


class FeaturesQuery(NamedTuple):
    """A query's features: whole numbers, shape (features_dimension,), and their scale."""

    numbers: Matrix
    scale: float


def quantised(features: Matrix) -> tuple[Bytes, Scales]:
    """Quantises features, and returns them with the factors that give each row length 1.

    Args:
        features: float32 (n, features_dimension), finite; zeros for an item without features.

    Returns:
        int8 of that shape, and float32 (n,), 0 for an item without features.
    """
    if not features.size:
        return features.astype(np.int8), np.zeros(len(features), np.float32)
    wide = features.astype(np.float64)  # float32 may overflow in the quotient
    greatest = np.abs(wide).max(axis=1, keepdims=True)
    np.divide(wide, greatest, out=wide, where=greatest > 0)
    values = np.rint(wide * _MOST).astype(np.int8)
    lengths = np.sqrt(np.square(values.astype(np.float64)).sum(axis=1))
    scales = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return values, scales.astype(np.float32)


def restored(values: Bytes, scales: Scales) -> Matrix:
    """Returns features of length 1, float32 (n, features_dimension)."""
    found: Matrix = values.astype(np.float32) * scales[:, None]
    return found


def query_of(features: Matrix) -> FeaturesQuery:
    """Quantises the features of a query, to ten bits or more, so that the rows limit the accuracy.

    Args:
        features: float32 (features_dimension,), finite and not all 0.
    """
    wide = features.astype(np.float64)
    most = _EXACT_IN_FLOAT32 // (_MOST * min(len(wide), _COLUMNS))
    numbers = np.rint(wide / np.abs(wide).max() * min(most, 1 << 14))
    return FeaturesQuery(numbers.astype(np.float32), float(1 / np.sqrt(np.square(numbers).sum())))


def cosine_distances(
    values: Bytes, scales: Scales, query: FeaturesQuery
) -> npt.NDArray[np.float64]:
    """Returns one minus the cosine, 0 to 2, of each row; 1 for a row without features.

    Args:
        values: int8 (n, features_dimension).
        scales: float32 (n,).
        query: What to compare them with.
    """
    products = np.zeros(len(values))
    for start in range(0, values.shape[1], _COLUMNS):
        columns = slice(start, start + _COLUMNS)
        products += values[:, columns].astype(np.float32) @ query.numbers[columns]
    return np.clip(1 - products * scales * query.scale, 0, 2)
