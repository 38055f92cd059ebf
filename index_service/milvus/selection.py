"""Reads the rows of one collection that a condition selects, as of one time or later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from index_service.milvus.connection import MAX_ROWS, MilvusConnection, StoredCollection
from index_service.milvus.expressions import both
from index_service.records import Collection, Matrix

Row = dict[str, Any]


@dataclass(frozen=True)
class Selection:
    """What a search or a listing reads.

    Attributes:
        milvus: The connection.
        stored: The collection.
        read_ts: The time of writes that every read must have seen.
        condition: Which rows are selected; empty for all.
    """

    milvus: MilvusConnection
    stored: StoredCollection
    read_ts: int
    condition: str

    @property
    def collection(self) -> Collection:
        """The collection as callers know it."""
        return self.stored.collection

    def query(self, more: str, fields: Sequence[str], limit: int = MAX_ROWS) -> list[Row]:
        """Returns at most `limit` selected rows that fulfil one more condition, in any order."""
        return self.milvus.query(
            self.stored, both(self.condition, more), fields, self.read_ts, limit
        )

    def count(self, more: str = "") -> int:
        """Counts the selected rows that fulfil one more condition."""
        return self.milvus.count(self.stored, both(self.condition, more), self.read_ts)

    def named(self, ids: Sequence[str], fields: Sequence[str]) -> dict[str, Row]:
        """Returns the rows that exist of some ids, by id, whether they are selected or not."""
        return self.milvus.named(self.stored, ids, fields, self.read_ts)

    def nearest(
        self,
        vectors: Matrix,
        more: str,
        fields: Sequence[str],
        *,
        limit: int,
        bounds: Mapping[str, float] | None = None,
    ) -> list[list[Row]]:
        """Returns for each vector the nearest selected rows that fulfil one more condition.

        Args:
            vectors: Shape (n, dimension), or (dimension,) for a single one.
            more: The condition.
            fields: What to return of each row beside its `distance`, Milvus's score.
            limit: How many rows.
            bounds: Milvus's `radius` and `range_filter`.
        """
        return self.milvus.search(
            self.stored,
            np.atleast_2d(vectors),
            both(self.condition, more),
            fields,
            read_ts=self.read_ts,
            limit=limit,
            bounds=bounds,
        )
