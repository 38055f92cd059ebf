"""Rewrites segments without their dead rows, and builds their graphs, while writes go on.

Both take long and start from a segment as it is; what was written meanwhile is applied at the end,
which is quick.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np

from index_service.native.memory import graph
from index_service.native.memory.segments import EMPTY_BITS, MOST_ROWS, Segment, Segments
from index_service.records import Collection

# Shares of a segment: of dead rows, above which it is rewritten, and of rows behind its graph,
# above which the graph is extended.
_DEAD_SHARE = 0.2
_TAIL_SHARE = 0.05
_FEW = 1000


def wants_rewriting(segment: Segment) -> bool:
    """Returns whether enough of a segment's rows are dead."""
    return segment.dead_count > max(_FEW, _DEAD_SHARE * segment.size)


def wants_graph(segments: Segments, segment: Segment) -> bool:
    """Returns whether a segment has so many rows without a graph that searches are slow."""
    if len(segments) <= segments.collection.full_scan_threshold:
        return False
    tail = segment.size - segment.in_graph
    # Ten thousand rows behind a graph are scanned so quickly that it need not grow.
    least = 10 * _FEW if segment.graph else _FEW
    return tail > max(least, _TAIL_SHARE * segment.in_graph)


def mergeable(segments: Segments) -> tuple[int, int] | None:
    """Returns the range of the first two neighbouring segments that are both small, if any.

    Segments are filled one after the other, so only deletions leave small ones. A segment with
    features is not merged with one without: together they would have none.
    """
    for i, (one, other) in enumerate(pairwise(segments.parts)):
        small = max(one.live_count, other.live_count) <= MOST_ROWS // 4
        if small and one.has_features == other.has_features:
            return i, i + 2
    return None


def rewritten(parts: tuple[Segment, ...], collection: Collection) -> Segment:
    """Merges neighbouring segments into one without dead rows."""
    # If one of them lacks features, so does the result: memory does not hold them.
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

    An existing graph is copied and extended: a tenth of the work for a segment that grows.
    """
    known = segment.graph or graph.empty(collection.dimension, collection.metric)
    vectors = segment.rows.vectors[len(known) : segment.size]
    extended = known.extended(vectors, threads, given_up)
    return None if extended is None else replace(segment, graph=extended)


def caught_up(
    made: Segment, before: tuple[Segment, ...], now: tuple[Segment, ...], collection: Collection
) -> Segment:
    """Applies the writes since `before` to a segment made from it.

    Args:
        made: What was made of `before`.
        before: Neighbouring segments as they were.
        now: The same segments as they are: the last one may have more rows, each more dead ones.
        collection: The collection.
    """
    old, new = before[-1], now[-1]
    if made.graph and made.rows is old.rows:
        return replace(new, graph=made.graph)
    if new.size > old.size:
        made = made.with_rows(new.rows.part(slice(old.size, new.size)), collection)
    dead = [part.rows.keys[: part.size][part.dead[: part.size]] for part in now]
    return made.without(np.concatenate(dead))
