"""Rewrites a segment without its dead rows, and gives it a graph, while writes go on.

Both begin with a segment as it is and take their time; what was written meanwhile is brought up at
the end, which is quick. Knows neither the store nor who asks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np

from index_service.native.memory import graph
from index_service.native.memory.segments import EMPTY_BITS, MOST_ROWS, Segment, Segments
from index_service.records import Collection

# Shares of a segment: dead rows above which it is rewritten, and rows behind its graph above which
# it gets a new one.
_DEAD_SHARE = 0.2
_TAIL_SHARE = 0.05
_FEW = 1000


def wants_rewriting(segment: Segment) -> bool:
    """Returns whether enough of its rows are dead."""
    return segment.dead_count > max(_FEW, _DEAD_SHARE * segment.size)


def wants_graph(segments: Segments, segment: Segment) -> bool:
    """Returns whether it has so many rows without a graph that answers are slow."""
    if len(segments) <= segments.collection.exact_up_to:
        return False
    tail = segment.size - segment.in_graph
    # Ten thousand rows behind a graph are compared so quickly that it need not grow.
    least = 10 * _FEW if segment.graph else _FEW
    return tail > max(least, _TAIL_SHARE * segment.in_graph)


def mergeable(segments: Segments) -> tuple[int, int] | None:
    """Returns where the first two neighbours that are both small begin and end, if there are some.

    Segments are filled one after the other, so such are left by deletions alone. One with features
    and one without stay apart: together they would have none.
    """
    for i, (one, other) in enumerate(pairwise(segments.parts)):
        small = max(one.live_count, other.live_count) <= MOST_ROWS // 4
        if small and one.has_features == other.has_features:
            return i, i + 2
    return None


def rewritten(parts: tuple[Segment, ...], collection: Collection) -> Segment:
    """Returns one segment of the rows of some neighbours that are not dead."""
    # Of several, one that lacks features: what memory does not hold cannot be taken over.
    like = min(parts, key=lambda part: part.has_features)
    whole = Segment(like.rows.part(slice(0)), 0, EMPTY_BITS)
    for part in parts:
        if len(rows := part.live()):
            whole = whole.with_rows(rows, collection)
    return whole


def with_graph(
    segment: Segment,
    collection: Collection,
    threads: int,
    given_up: Callable[[], bool] = lambda: False,
) -> Segment | None:
    """Returns the segment with a graph over all of its rows, dead ones too; None if given up.

    Rows behind its graph are added to a copy of that: a tenth of the work, where a segment grows.
    """
    known = segment.graph or graph.empty(collection.dimension, collection.metric)
    vectors = segment.rows.vectors[len(known) : segment.size]
    extended = known.extended(vectors, threads, given_up)
    return None if extended is None else replace(segment, graph=extended)


def caught_up(
    made: Segment, before: tuple[Segment, ...], now: tuple[Segment, ...], collection: Collection
) -> Segment:
    """Returns what was made of some neighbours, with what was written to them since.

    Args:
        made: Of `before`.
        before: The neighbours as they were.
        now: The same as they are; rows may have come to the last one, and any may have died.
        collection: Whose they are.
    """
    old, new = before[-1], now[-1]
    if made.graph and made.rows is old.rows:
        return replace(new, graph=made.graph)
    if new.size > old.size:
        made = made.with_rows(new.rows.part(slice(old.size, new.size)), collection)
    dead = [part.rows.keys[: part.size][part.dead[: part.size]] for part in now]
    return made.without(np.concatenate(dead))
