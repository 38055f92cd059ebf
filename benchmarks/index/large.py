"""A large collection: what its graph gives and costs, filters, writes, and starting with it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.index import messages
from benchmarks.index.clients import lone_caller
from benchmarks.index.effort import FULL, Effort
from benchmarks.index.messages import NEVER_EXACT, RARE, K
from benchmarks.index.photos import BLOCK, Photos
from benchmarks.index.servers import IndexProcess, empty_service
from benchmarks.index.writes import during
from benchmarks.report import Figure
from benchmarks.turns import latencies
from lookalike.index.v1 import index_pb2 as pb
from lookalike.index.v1.index_pb2_grpc import IndexServiceStub

_NAME = "large"


def measure(effort: Effort, photos: Photos, folder: Path) -> list[Figure]:
    """Returns the figures."""
    size = f"{effort.large:,}"
    with IndexProcess(folder / "large") as index:
        request = messages.collection(_NAME, photos.dimension, NEVER_EXACT)
        seconds = index.fill(request, messages.batches(photos, _NAME, effort.large))
        state = index.wait_for_graph(_NAME)
        graph = f"graph of {state.items_in_graph / state.items:.1%} of the items"
        figures = [
            Figure(f"filled to {size}", effort.large / seconds, "items/s"),
            *_approximate(effort, photos, index, folder, graph),
            _filtered(effort, photos, index),
        ]
        starts = [index.restart() for _ in range(effort.restarts)]
        rebuilt = index.restart_without_cache()
        index.start()
        index.wait_for_graph(_NAME)
        idle, busy, rate = during(
            effort, photos, index, asked=_NAME, written=_NAME, first=effort.large // BLOCK
        )
    full = effort.large == FULL.large  # what the targets are of
    return [
        *figures,
        Figure(
            f"start to ready at {size}, from the cache",
            statistics.median(starts),
            "s",
            at_most=3 if full else None,
        ),
        Figure(
            f"start to ready at {size}, rebuilt from SQLite",
            rebuilt,
            "s",
            at_most=20 if full else None,
        ),
        Figure(f"idle p99 at {size}, approximate", idle, "ms"),
        Figure(f"p99 at {size} while it is written to", busy, "ms"),
        Figure("written meanwhile", rate, "items/s"),
        Figure(f"p99 during ingest / idle, {size}", busy / idle, "ratio", at_most=3),
    ]


def _approximate(
    effort: Effort, photos: Photos, index: IndexProcess, folder: Path, note: str
) -> list[Figure]:
    vectors = photos.queries(effort.calls)
    requests = [messages.query(_NAME, vector) for vector in vectors]
    with lone_caller(index.address) as stub:
        response = stub.FindNeighbors(requests[0])
        approximate = response.results[0].method == pb.SEARCH_METHOD_APPROXIMATE
        found = _recall(stub, photos, effort.recall)
        with (
            empty_service(folder / "empty-large", response) as empty,
            lone_caller(empty) as nothing,
        ):
            ours, theirs = latencies(
                [
                    lambda number: stub.FindNeighbors(requests[number]),
                    lambda number: nothing.FindNeighbors(requests[number]),
                ],
                rounds=effort.rounds,
                calls=effort.calls,
            )
    size = f"{effort.large:,}"
    beyond = ours.beyond_ms(theirs)
    method = "" if approximate else "the answers were exact"
    return [
        Figure(f"recall@{K} at {size}", found, "ratio", at_least=0.99, note=method or note),
        Figure(f"one query at {size}, p50", ours.ms(), "ms", note=method),
        Figure(f"one query at {size} less an empty call", beyond, "ms", at_most=0.5),
    ]


def _recall(stub: IndexServiceStub, photos: Photos, count: int) -> float:
    """Returns how many of the exact answers' neighbours are in the approximate ones."""
    vectors = photos.queries(count)
    shares = []
    for start in range(0, count, BLOCK):
        some = vectors[start : start + BLOCK]
        given = stub.FindNeighbors(messages.packed(_NAME, some)).columns
        wanted = stub.FindNeighbors(messages.packed(_NAME, some, exact=True)).columns
        shares.append(recall(_lists(given), _lists(wanted)))
    return float(np.mean(shares))


def recall(given: Sequence[Sequence[str]], wanted: Sequence[Sequence[str]]) -> float:
    """Returns the share of what is wanted that is given, over all queries."""
    pairs = zip(given, wanted, strict=True)
    found = sum(len(set(one) & set(other)) for one, other in pairs)
    return found / sum(len(other) for other in wanted)


def _lists(columns: pb.NeighborColumns) -> list[list[str]]:
    ends = np.cumsum(columns.counts)
    ids = list(columns.item_ids)
    return [ids[end - count : end] for end, count in zip(ends, columns.counts, strict=True)]


def _filtered(effort: Effort, photos: Photos, index: IndexProcess) -> Figure:
    vectors = photos.queries(effort.calls)
    every = [messages.query(_NAME, vector, exact=True) for vector in vectors]
    some = [messages.query(_NAME, vector, exact=True, category=RARE) for vector in vectors]
    with lone_caller(index.address) as stub:
        filtered, scanned = latencies(
            [
                lambda number: stub.FindNeighbors(some[number]),
                lambda number: stub.FindNeighbors(every[number]),
            ],
            rounds=effort.rounds,
            calls=max(20, effort.calls // 4),
        )
    name = f"1 % filter at {effort.large:,}, exact / no filter"
    full = effort.large == FULL.large  # what the target is of
    note = f"{filtered.ms():.2f} ms / {scanned.ms():.2f} ms"
    return Figure(name, filtered.over(scanned), "ratio", at_most=0.5 if full else None, note=note)
