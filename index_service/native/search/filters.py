"""Evaluates filters on the columns in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from index_service.native.memory.columns import Codes
from index_service.native.memory.segments import Bits, Segment, Segments
from index_service.records import Collection, Filter
from index_service.refusals import attribute_not_indexed

Column: TypeAlias = Callable[[str], npt.NDArray[Any]]


@dataclass(frozen=True)
class Condition:
    """A filter in terms of columns; everything in it must hold.

    Attributes:
        among: Columns, and the numbers of which a row must have one there.
        none_of: Numbers of the products that a row must not belong to.
        min_price: Least price of a row.
        max_price: Greatest price of a row.
    """

    among: tuple[tuple[str, tuple[int, ...]], ...] = ()
    none_of: tuple[int, ...] = ()
    min_price: float | None = None
    max_price: float | None = None

    @property
    def is_empty(self) -> bool:
        """Whether every row fulfils it."""
        return self == Condition()

    @property
    def only_excludes_products(self) -> bool:
        """Whether it only excludes products, so that most rows are left."""
        return replace(self, none_of=()).is_empty

    def of_segment(self, segment: Segment) -> Bits:
        """Returns a mask of a segment's rows that fulfil it and are not dead."""
        size = segment.size
        allowed = self._hold(lambda name: segment.rows.column(name)[:size], size)
        return allowed & ~segment.dead[:size] if segment.dead_count else allowed

    def at(self, segments: Segments, rows: npt.NDArray[np.int64]) -> Bits:
        """Returns a mask of the rows, of any shape, that fulfil it, dead or not."""
        return self._hold(lambda name: segments.take(name, rows), rows.shape)

    def _hold(self, column: Column, shape: int | tuple[int, ...]) -> Bits:
        allowed = np.ones(shape, bool)
        for name, numbers in self.among:
            allowed &= _is_one_of(column(name), numbers)
        if self.none_of:
            allowed &= ~_is_one_of(column("products"), self.none_of)
        if self.min_price is not None:  # a missing price is NaN, which fails both comparisons
            allowed &= column("prices") >= self.min_price
        if self.max_price is not None:
            allowed &= column("prices") <= self.max_price
        return allowed


EVERY_ROW = Condition()


def condition(
    where: Filter,
    collection: Collection,
    codes: Sequence[Codes],
    numbers_of: Callable[[Sequence[str]], Sequence[int]],
) -> Condition:
    """Translates a filter into a condition on columns.

    Args:
        where: The filter.
        collection: The collection that it is for.
        codes: Codes of its categories, and of the values of each indexed attribute.
        numbers_of: Returns the numbers of the products that have one.

    Raises:
        UnknownFilterFieldError: It names an attribute that is not indexed.
    """
    among: list[tuple[str, tuple[int, ...]]] = []
    if where.categories:
        among.append(("codes0", tuple(codes[0].known(where.categories))))
    for i, (key, values) in enumerate(where.attributes):
        if key not in collection.indexed_attributes:
            raise attribute_not_indexed(i, key, collection)
        number = 1 + collection.indexed_attributes.index(key)
        among.append((f"codes{number}", tuple(codes[number].known(values))))
    if where.product_ids:
        among.append(("products", tuple(numbers_of(where.product_ids))))
    none_of = numbers_of(where.exclude_product_ids) if where.exclude_product_ids else ()
    return Condition(tuple(among), tuple(none_of), where.min_price, where.max_price)


def _is_one_of(column: npt.NDArray[Any], numbers: Sequence[int]) -> Bits:
    if len(numbers) == 1:
        equal: Bits = column == numbers[0]
        return equal
    # A lookup table of all numbers between the least and the greatest: sorting takes far longer.
    found: Bits = np.isin(
        column, np.array(numbers, column.dtype), kind="table" if numbers else None
    )
    return found
