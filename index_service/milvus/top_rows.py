"""Keeps the best of rows that come a page at a time."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import merge
from typing import NamedTuple

from index_service.ranking.order import first_of_each_product

SPARE = 16
"""Rows kept beyond those wanted, in case some are deleted before their items are read."""


class RankedRow(NamedTuple):
    """A row by what decides its place: sorts nearest first, then in the order of writing.

    `distance` is what ranks; `first_distance` is the distance by vector, which breaks ties.
    """

    distance: float
    first_distance: float
    position: int
    item_id: str
    product_id: str


class TopRows:
    """The best rows so far, in order.

    Args:
        count: How many are wanted.
        distinct: Whether only the best row of each product counts.
    """

    def __init__(self, count: int, *, distinct: bool) -> None:
        self._count = count
        self._distinct = distinct
        self.rows: list[RankedRow] = []

    def add(self, more: Iterable[RankedRow]) -> None:
        """Adds rows, given in order; those that are not among the best are dropped for good."""
        rows = list(merge(self.rows, more))
        if self._distinct:
            rows = [
                rows[i] for i in first_of_each_product((r.product_id for r in rows), self._count)
            ]
        self.rows = rows[: self._count]
