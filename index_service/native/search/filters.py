"""Filters as conditions on columns. Knows neither vectors nor the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from index_service.native.memory.columns import Codes
from index_service.native.memory.segments import Bits, Segment, Segments
from index_service.records import Collection, Filter
from lookalike.errors import UnknownFilterFieldError

Column: TypeAlias = Callable[[str], npt.NDArray[Any]]


@dataclass(frozen=True)
class Condition:
    """What a filter asks of the columns; all of it must hold.

    Attributes:
        among: Columns with the numbers of which a row must have one.
        none_of: Numbers of products of which it must have none.
        min_price: Its least price.
        max_price: Its greatest.
    """

    among: tuple[tuple[str, tuple[int, ...]], ...] = ()
    none_of: tuple[int, ...] = ()
    min_price: float | None = None
    max_price: float | None = None

    @property
    def lets_all_through(self) -> bool:
        """Whether there is nothing that it asks."""
        return self == Condition()

    @property
    def excludes_alone(self) -> bool:
        """Whether it only leaves some products out, so that most rows are left."""
        return replace(self, none_of=()).lets_all_through

    def of_segment(self, segment: Segment) -> Bits:
        """Returns which of a segment's rows are allowed; dead ones are not."""
        size = segment.size
        allowed = self._hold(lambda name: segment.rows.column(name)[:size], size)
        return allowed & ~segment.dead[:size] if segment.dead_count else allowed

    def at(self, segments: Segments, rows: npt.NDArray[np.int64]) -> Bits:
        """Returns which of some rows, of any shape, are allowed, dead or not."""
        return self._hold(lambda name: segments.take(name, rows), rows.shape)

    def _hold(self, column: Column, shape: int | tuple[int, ...]) -> Bits:
        allowed = np.ones(shape, bool)
        for name, numbers in self.among:
            allowed &= _is_one_of(column(name), numbers)
        if self.none_of:
            allowed &= ~_is_one_of(column("products"), self.none_of)
        if self.min_price is not None:  # a missing price is NaN, and NaN is on no side
            allowed &= column("prices") >= self.min_price
        if self.max_price is not None:
            allowed &= column("prices") <= self.max_price
        return allowed


EVERY_ROW = Condition()


def condition(
    only: Filter,
    collection: Collection,
    codes: Sequence[Codes],
    numbers_of: Callable[[Sequence[str]], Sequence[int]],
) -> Condition:
    """Returns what a filter asks of the columns.

    Args:
        only: The filter.
        collection: Whose.
        codes: The numbers of its categories, and of each indexed attribute's values.
        numbers_of: Returns the numbers of those products that have one.

    Raises:
        UnknownFilterFieldError: It names an attribute that is not indexed.
    """
    among: list[tuple[str, tuple[int, ...]]] = []
    if only.categories:
        among.append(("codes0", tuple(codes[0].known(only.categories))))
    for i, (key, values) in enumerate(only.attributes):
        if key not in collection.indexed_attributes:
            raise unknown_attribute(i, key, collection)
        number = 1 + collection.indexed_attributes.index(key)
        among.append((f"codes{number}", tuple(codes[number].known(values))))
    if only.product_ids:
        among.append(("products", tuple(numbers_of(only.product_ids))))
    none_of = numbers_of(only.exclude_product_ids) if only.exclude_product_ids else ()
    return Condition(tuple(among), tuple(none_of), only.min_price, only.max_price)


def unknown_attribute(number: int, key: str, collection: Collection) -> UnknownFilterFieldError:
    """Returns the error for the filter's n-th attribute, which is not indexed."""
    known = ", ".join(collection.indexed_attributes) or "none"
    return UnknownFilterFieldError(
        f"filter.attributes[{number}].key is '{key}', which collection '{collection.name}' does "
        f"not index; it indexes {known} (Collection.indexed_attributes)",
        field=f"filter.attributes[{number}].key",
    )


def _is_one_of(column: npt.NDArray[Any], numbers: Sequence[int]) -> Bits:
    if len(numbers) == 1:
        equal: Bits = column == numbers[0]
        return equal
    # By a table of all numbers between the least and the greatest: sorting would take far longer.
    found: Bits = np.isin(
        column, np.array(numbers, column.dtype), kind="table" if numbers else None
    )
    return found
