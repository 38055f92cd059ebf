"""How fast durable writes are, and what they do to queries meanwhile."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from benchmarks.index import messages
from benchmarks.index.clients import called, lone_caller, streamed
from benchmarks.index.effort import Effort
from benchmarks.index.ingest import Ingest
from benchmarks.index.photos import BLOCK, Photos
from benchmarks.index.servers import IndexProcess, in_stream
from benchmarks.report import Figure
from benchmarks.turns import paced
from lookalike.index.v1 import index_pb2 as pb

CALLERS = 64
# A second: few enough to be answered beside the writer, so that callers wait for the service and
# not for each other.
ASKED = 50
_SIZE = 10_000


def measure(effort: Effort, photos: Photos, folder: Path) -> list[Figure]:
    """Returns the figures."""
    with IndexProcess(folder / "writes") as index:
        return [
            _batched(effort, photos, index),
            _single(effort, photos, index),
            *_beside(effort, photos, index),
        ]


def during(
    effort: Effort, photos: Photos, index: IndexProcess, *, asked: str, written: str, first: int
) -> tuple[float, float, float]:
    """Asks a collection 50 times a second, first alone, then while new items are written.

    Args:
        effort: How many batches.
        photos: What is written.
        index: The service.
        asked: Name of the collection that is asked.
        written: Name of the one that is written to, which may be the same.
        first: Block of the first new item.

    Returns:
        p99 alone and while writing, in milliseconds, and items written a second.
    """
    requests = [messages.query(asked, vector) for vector in photos.queries(effort.calls)]
    with (
        lone_caller(index.address) as stub,
        Ingest(index.address, written, photos, first, effort.ingest) as ingest,
    ):

        def ask(number: int) -> None:
            stub.FindNeighbors(requests[number % len(requests)])

        for number in range(len(requests)):  # connects, and reads from the disk what is asked for
            ask(number)
        # About as long as the writing takes, at the rate that it is to reach.
        until = time.perf_counter() + max(1.0, effort.ingest * BLOCK / 30_000)
        idle = paced(ask, ASKED, lambda: time.perf_counter() < until)
        ingest.begin()
        busy = paced(ask, ASKED, ingest.going)
        rate = ingest.rate()
    return float(np.percentile(idle, 99)) * 1e3, float(np.percentile(busy, 99)) * 1e3, rate


def _batched(effort: Effort, photos: Photos, index: IndexProcess) -> Figure:
    count = effort.batches * BLOCK
    made = messages.batches(photos, "batched", count)
    batches = [batch.SerializeToString() for batch in in_stream(made)]
    with lone_caller(index.address) as stub:
        stub.CreateCollection(messages.collection("batched", photos.dimension))
    rate = count / streamed(index.address, batches)
    return Figure("durable upserts, 1,000 a call", rate, "items/s", at_least=30_000)


def _single(effort: Effort, photos: Photos, index: IndexProcess) -> Figure:
    with lone_caller(index.address) as stub:
        stub.CreateCollection(messages.collection("single", photos.dimension))
    requests = [
        pb.BatchUpsertItemsRequest(collection="single", items=[item]).SerializeToString()
        for block in range(-(-effort.singles // BLOCK))
        for item in messages.items(photos, block)
    ]
    rate = called(index.address, "BatchUpsertItems", requests[: effort.singles], CALLERS)
    name = f"durable upserts, 1 a call, {CALLERS} callers"
    return Figure(name, rate, "items/s", at_least=1500)


def _beside(effort: Effort, photos: Photos, index: IndexProcess) -> list[Figure]:
    index.fill(
        messages.collection("asked", photos.dimension), messages.batches(photos, "asked", _SIZE)
    )
    with lone_caller(index.address) as stub:
        stub.CreateCollection(messages.collection("written", photos.dimension))
    idle, busy, rate = during(
        effort, photos, index, asked="asked", written="written", first=_SIZE // BLOCK
    )
    return [
        Figure("idle p99 at 10 k", idle, "ms"),
        Figure("p99 at 10 k while another collection is filled", busy, "ms"),
        Figure("filled meanwhile", rate, "items/s"),
        Figure("p99 during ingest / idle, 10 k", busy / idle, "ratio", at_most=3),
    ]
