"""What a collection costs by its size: time of a query, exact and approximate, and memory."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks.index import messages
from benchmarks.index.clients import lone_caller
from benchmarks.index.effort import Effort
from benchmarks.index.messages import ALWAYS_EXACT, NEVER_EXACT
from benchmarks.index.photos import Photos
from benchmarks.index.servers import IndexProcess
from benchmarks.report import Figure
from benchmarks.turns import latencies
from lookalike.index.v1 import index_pb2 as pb

_NAME = "sized"


@dataclass(frozen=True)
class Cost:
    """What one collection costs, in a service that has only this one.

    Attributes:
        items: How many it has.
        approximate: Whether a graph leads to them.
        query_ms: p50 of one query by a lone caller.
        resident: Resident bytes an item beyond those of the service with an empty collection,
            after a restart.
        resident_after_ingest: The same before it.
        counted: Bytes an item that the service itself counts.
    """

    items: int
    approximate: bool
    query_ms: float
    resident: float
    resident_after_ingest: float
    counted: float


def measure(effort: Effort, photos: Photos, folder: Path) -> tuple[list[Figure], list[Cost]]:
    """Returns the figures, and every size's costs."""
    empty = _empty_bytes(photos, folder / "empty-collection", effort)
    costs = [
        cost(
            effort,
            photos,
            folder / f"{size}-{approximate}",
            size,
            empty=empty,
            approximate=approximate,
        )
        for size in effort.sizes
        for approximate in (False, True)
    ]
    if effort.huge:
        huge = cost(effort, photos, folder / "one", effort.huge, empty=empty, approximate=False)
        costs.append(huge)
    largest = max((one for one in costs if not one.approximate), key=lambda one: one.items)
    size = f"{largest.items:,}"
    return [
        Figure("resident with an empty collection", empty / 1e6, "MB"),
        Figure(
            f"resident an item at {size}, exact",
            largest.resident,
            "bytes",
            at_most=120 if effort.huge else None,
        ),
        Figure(f"likewise before a restart, {size}", largest.resident_after_ingest, "bytes"),
        Figure(f"one query at {size}, exact, p50", largest.query_ms, "ms"),
    ], costs


def cost(
    effort: Effort, photos: Photos, folder: Path, size: int, *, empty: float, approximate: bool
) -> Cost:
    """Fills a collection, measures it, removes it; `empty` is what a service without items has."""
    bound = NEVER_EXACT if approximate else ALWAYS_EXACT
    with IndexProcess(folder) as index:
        request = messages.collection(_NAME, photos.dimension, bound)
        index.fill(request, messages.batches(photos, _NAME, size))
        if approximate:
            index.wait_for_graph(_NAME)
        before = index.resident_bytes
        index.restart()
        state = _state(index)
        if approximate and state.items_in_graph < size:
            index.wait_for_graph(_NAME)
        query_ms = _query_ms(effort, photos, index)
        after = index.resident_bytes
    shutil.rmtree(folder)  # gigabytes, of the largest
    return Cost(
        size,
        approximate,
        query_ms,
        (after - empty) / size,
        (before - empty) / size,
        state.memory_bytes / size,
    )


def _empty_bytes(photos: Photos, folder: Path, effort: Effort) -> int:
    with IndexProcess(folder) as index:
        with lone_caller(index.address) as stub:
            stub.CreateCollection(messages.collection(_NAME, photos.dimension, ALWAYS_EXACT))
        index.restart()
        _query_ms(effort, photos, index)
        return index.resident_bytes


def _query_ms(effort: Effort, photos: Photos, index: IndexProcess) -> float:
    requests = [messages.query(_NAME, vector) for vector in photos.queries(effort.calls)]
    with lone_caller(index.address) as stub:
        (ours,) = latencies(
            [lambda number: stub.FindNeighbors(requests[number])],
            rounds=3,
            calls=max(20, effort.calls // 4),
        )
    return ours.ms()


def _state(index: IndexProcess) -> pb.CollectionState:
    with lone_caller(index.address) as stub:
        (state,) = stub.GetIndex(pb.GetIndexRequest()).collections
    return state
