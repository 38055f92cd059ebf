"""What the second stage adds to a search, and what features add to an item's memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.index import messages
from benchmarks.index.clients import lone_caller
from benchmarks.index.effort import FULL, Effort
from benchmarks.index.photos import BLOCK, Photos
from benchmarks.index.servers import IndexProcess
from benchmarks.report import Figure
from benchmarks.turns import latencies
from lookalike.index.v1 import index_pb2 as pb

# Of a real model: 0.002 to 0.003 were fitted, with 2,000 candidates.
RERANK = pb.Rerank(candidates=2000, vector_weight=0.002)
_SMALL = 10_000
_NAME = "ranked"


def measure(effort: Effort, photos: Photos, folder: Path) -> list[Figure]:
    """Returns the figures at 10,000 items and in a large collection."""
    figures: list[Figure] = []
    for size, most_ms in ((_SMALL, 0.6), (effort.large, 2.0)):
        with IndexProcess(folder / f"ranked-{size}") as index:
            before = index.resident_bytes
            exact_up_to = messages.NEVER_EXACT if size > _SMALL else 0
            request = messages.collection(_NAME, photos.dimension, exact_up_to)
            request.collection.features_dimension = messages.FEATURES
            index.fill(request, _batches(photos, size))
            if size > _SMALL:
                index.wait_for_graph(_NAME)
            target = most_ms if size in (_SMALL, FULL.large) else None
            figures += _added(effort, photos, index, size, target)
            figures += _memory(index, size, before)
    return figures


def _batches(photos: Photos, size: int) -> Iterator[pb.BatchUpsertItemsRequest]:
    for block in range(size // BLOCK):
        items = messages.items(photos, block, features=True)
        yield pb.BatchUpsertItemsRequest(collection=_NAME, items=items)


def _added(
    effort: Effort, photos: Photos, index: IndexProcess, size: int, most_ms: float | None
) -> list[Figure]:
    plain = [messages.query(_NAME, vector) for vector in photos.queries(effort.calls)]
    ranked = []
    for number, request in enumerate(plain):
        request.distinct_products = True
        again = pb.FindNeighborsRequest()
        again.CopyFrom(request)
        again.rerank.CopyFrom(RERANK)
        again.queries[0].features.extend(messages.query_features(number))
        ranked.append(again)
    with lone_caller(index.address) as stub:
        found = stub.FindNeighbors(ranked[0]).results[0]
        one, two = latencies(
            [
                lambda number: stub.FindNeighbors(plain[number]),
                lambda number: stub.FindNeighbors(ranked[number]),
            ],
            rounds=effort.rounds,
            calls=effort.calls,
        )
    note = f"{found.candidates_ranked:,} candidates"
    return [
        Figure(f"one query at {size:,}, by vector, p50", one.ms(), "ms"),
        Figure(f"one query at {size:,}, in two stages, p50", two.ms(), "ms", note=note),
        Figure(f"two stages at {size:,} add", two.beyond_ms(one), "ms", at_most=most_ms),
    ]


def _memory(index: IndexProcess, size: int, before: int) -> list[Figure]:
    with lone_caller(index.address) as stub:
        (state,) = stub.GetIndex(pb.GetIndexRequest()).collections
    counted = state.memory_bytes / state.items
    graph = "with a graph" if state.items_in_graph else "exact"
    figures = [Figure(f"memory an item, {size:,}, {graph}", counted, "bytes", at_most=400)]
    if size > _SMALL:  # a small one does not show beside what the process takes anyway
        index.restart()
        resident = (index.resident_bytes - before) / size
        figures.append(Figure(f"resident an item after a restart, {size:,}", resident, "bytes"))
    return figures
