"""Keeps the best of rows that come a page at a time. Calls nothing."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from heapq import merge
from typing import NamedTuple

SPARE = 16
"""Rows beyond those wanted, for what is deleted before its item is read."""


class Near(NamedTuple):
    """What decides the order, and whose it is: sorts nearest first, then in the order of writing.

    `distance` is what ranks, `first_distance` that by vector, which decides where it is the same.
    """

    distance: float
    first_distance: float
    position: int
    item_id: str
    product_id: str


class Best:
    """The best so far, in order.

    Args:
        number: How many are wanted.
        distinct: Whether only the best row of each product counts.
    """

    def __init__(self, number: int, *, distinct: bool) -> None:
        self._number = number
        self._distinct = distinct
        self.rows: list[Near] = []

    def add(self, more: Iterable[Near]) -> None:
        """Takes in those rows, given in order, that are among the best; drops others for good."""
        best: dict[Hashable, Near] = {}
        for near in merge(self.rows, more):
            # The first of a product is its best.
            best.setdefault(near.product_id if self._distinct else near, near)
            if len(best) == self._number:
                break
        self.rows = list(best.values())
