"""Chooses the source of candidates: every row, the rows that a filter lets through, or the graphs.

Chooses an exact one wherever that is fast. At 13 dimensions comparing a row takes about 3 ns and
gathering one first about 10 ns more, so a filter that lets a third of the rows through is cheaper
to apply afterwards.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from index_service.native.memory.segments import Segments
from index_service.native.search.candidates import AllRows, GraphRows, Row, SomeRows, Source
from index_service.native.search.filters import Condition

_GATHERED_SHARE = 0.3


class Plan(NamedTuple):
    """A source, and the share of its rows that are neither dead nor dropped by the filter."""

    source: Source
    share: float


def plan(segments: Segments, condition: Condition, *, exact: bool, ef_search: int) -> Plan:
    """Returns how to search.

    Args:
        segments: What is searched.
        condition: What rows must fulfil.
        exact: Whether graphs may not be used.
        ef_search: Size of the candidate list with which graphs are searched.
    """
    rows, matching = segments.row_count, len(segments)
    if not condition.is_empty and not condition.only_excludes_products:
        allowed = [
            np.flatnonzero(condition.of_segment(part)) + start
            for part, start in zip(segments.parts, segments.starts, strict=False)
        ]
        matching = sum(len(some) for some in allowed)
        few = matching <= _GATHERED_SHARE * rows
        if few and (exact or matching <= segments.collection.full_scan_threshold):
            return Plan(SomeRows(segments, _joined(allowed)), 1.0)
    share = matching / rows if matching else 1.0
    many = matching > segments.collection.full_scan_threshold
    if many and not exact and any(part.graph for part in segments.parts):
        return Plan(GraphRows(segments, ef_search), share)
    return Plan(AllRows(segments), share)


def _joined(rows: list[Row]) -> Row:
    return np.concatenate(rows) if rows else np.empty(0, np.int64)
