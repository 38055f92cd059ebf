"""The columns of a collection's items: append-only arrays with one entry an item.

A column may be longer than its readers know: the rows that they know never change, and the writer
fills those beyond. So appending needs no copy, and readers need no lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from index_service.native.memory.features import Bytes, Scales
from index_service.records import Collection, Matrix

Keys: TypeAlias = npt.NDArray[np.int64]
Numbers: TypeAlias = npt.NDArray[np.int32]

MISSING = -1
"""The code of an item that lacks an attribute."""

_LEAST_ROWS = 1024


class Codes:
    """Numbers the values of one field, such as the category, in order of first occurrence."""

    def __init__(self, values: Sequence[str] = ()) -> None:
        self._codes = {value: code for code, value in enumerate(values)}

    def code(self, value: str | None) -> int:
        """Returns the value's number, a new one if it has none; only the writer may call this."""
        if value is None:
            return MISSING
        return self._codes.setdefault(value, len(self._codes))

    def known(self, values: Sequence[str]) -> list[int]:
        """Returns the numbers of the values that have one."""
        return [code for value in values if (code := self._codes.get(value)) is not None]

    def values(self) -> list[str]:
        """Returns all values, by number."""
        return list(self._codes)


@dataclass(frozen=True)
class Rows:
    """Items as columns: row i of each column belongs to item i.

    Attributes:
        keys: int64, ascending.
        vectors: float32 (n, dimension), comparable: of length 1 for the cosine.
        products: int32, numbers of products.
        prices: float64, NaN for none.
        features: int8 (n, features_dimension), or of width 0 if memory holds none.
        scales: float32, factors that give each row of features length 1; 0 for an item without.
        codes: int32 arrays, of the category and of each indexed attribute.
    """

    keys: Keys
    vectors: Matrix
    products: Numbers
    prices: npt.NDArray[np.float64]
    features: Bytes
    scales: Scales
    codes: tuple[Numbers, ...]

    def __len__(self) -> int:
        return len(self.keys)

    def part(self, rows: slice | npt.NDArray[np.generic]) -> Rows:
        """Returns some of the rows."""
        return Rows(
            self.keys[rows],
            self.vectors[rows],
            self.products[rows],
            self.prices[rows],
            self.features[rows],
            self.scales[rows],
            tuple(codes[rows] for codes in self.codes),
        )

    def without_features(self) -> Rows:
        """Returns the rows without their features, but with the scales, which tell who has some."""
        return replace(self, features=self.features[:, :0])

    def column(self, name: str) -> npt.NDArray[np.generic]:
        """Returns a column by its name; `codes0` is that of the category."""
        if name.startswith("codes"):
            return self.codes[int(name.removeprefix("codes"))]
        column: npt.NDArray[np.generic] = getattr(self, name)
        return column

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Returns the columns by name."""
        columns: dict[str, npt.NDArray[np.generic]] = {
            "keys": self.keys,
            "vectors": self.vectors,
            "products": self.products,
            "prices": self.prices,
            "features": self.features,
            "scales": self.scales,
        }
        return columns | {f"codes{i}": codes for i, codes in enumerate(self.codes)}

    @property
    def nbytes(self) -> int:
        """Bytes of all columns."""
        return sum(array.nbytes for array in self.arrays().values())


def blank(collection: Collection, count: int, features: int) -> Rows:
    """Returns uninitialised rows, which take memory only as they are written.

    Args:
        collection: The collection.
        count: How many rows.
        features: Width of their features.
    """
    return Rows(
        np.empty(count, np.int64),
        np.empty((count, collection.dimension), np.float32),
        np.empty(count, np.int32),
        np.empty(count, np.float64),
        np.empty((count, features), np.int8),
        np.empty(count, np.float32),
        tuple(np.empty(count, np.int32) for _ in range(1 + len(collection.indexed_attributes))),
    )


def appended(rows: Rows, size: int, new: Rows, most: int, collection: Collection) -> Rows:
    """Returns columns of the first `size` rows of `rows`, followed by `new`.

    They are the same columns if these have room; otherwise longer copies.

    Args:
        rows: Columns of at least `size` rows.
        size: How many of these rows are in use.
        new: The rows to append.
        most: The most rows that columns may have room for.
        collection: The collection.
    """
    end = size + len(new)
    if end > len(rows):
        count = min(most, max(_LEAST_ROWS, 2 * end))
        longer = blank(collection, count, rows.features.shape[1])
        for name, array in longer.arrays().items():
            array[:size] = rows.arrays()[name][:size]
        rows = longer
    for name, array in rows.arrays().items():
        array[size:end] = new.arrays()[name]
    return rows
