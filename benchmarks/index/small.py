"""A catalogue of 10,000 photos, beside calls that do nothing and FAISS without a service."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import faiss

from benchmarks.index import messages
from benchmarks.index.chroma import compare
from benchmarks.index.clients import called, lone_caller
from benchmarks.index.effort import Effort
from benchmarks.index.messages import K
from benchmarks.index.photos import BLOCK, Matrix, Photos
from benchmarks.index.servers import IndexProcess, empty_service
from benchmarks.report import Figure
from benchmarks.turns import latencies, median_ratio, rates
from lookalike.index.v1 import index_pb2 as pb

SIZE = 10_000
CALLERS = 16
# Calls of 1,000 queries at a time, so that one is read and written while another is searched.
OVERLAPPED = 4
EMPTY_CALL = "empty call of the same size, p50"
_NAME = "catalogue"


def measure(effort: Effort, photos: Photos, folder: Path) -> list[Figure]:
    """Returns the figures, those of another server included."""
    with IndexProcess(folder / "index") as index:
        request = messages.collection(_NAME, photos.dimension)
        index.fill(request, messages.batches(photos, _NAME, SIZE, rich=True))
        with lone_caller(index.address) as stub:
            probe = messages.query(_NAME, photos.queries(1)[0])
            response = stub.FindNeighbors(probe)
        with empty_service(folder / "empty", response) as empty:
            figures = _one_query(effort, photos, index.address, empty)
            figures += _many_callers(effort, photos, index.address, empty)
        figures += _batched(effort, photos, index.address)
        return figures + compare(effort, photos, _NAME, index.address, folder)


def _one_query(effort: Effort, photos: Photos, address: str, empty: str) -> list[Figure]:
    vectors = photos.queries(effort.calls)
    full = [messages.query(_NAME, vector) for vector in vectors]
    ids = [messages.query(_NAME, vector, view=pb.ITEM_VIEW_IDS) for vector in vectors]
    with lone_caller(address) as stub, lone_caller(empty) as nothing:
        ours, theirs, bare = latencies(
            [
                lambda number: stub.FindNeighbors(full[number]),
                lambda number: nothing.FindNeighbors(full[number]),
                lambda number: stub.FindNeighbors(ids[number]),
            ],
            rounds=effort.rounds,
            calls=effort.calls,
        )
    return [
        Figure("one query at 10 k, p50", ours.ms(), "ms"),
        Figure("one query at 10 k, ids only, p50", bare.ms(), "ms"),
        Figure(EMPTY_CALL, theirs.ms(), "ms"),
        Figure("one query at 10 k / empty call", ours.over(theirs), "ratio", at_most=1.3),
    ]


def _many_callers(effort: Effort, photos: Photos, address: str, empty: str) -> list[Figure]:
    requests = [
        messages.query(_NAME, vector).SerializeToString()
        for vector in photos.queries(effort.many_calls)
    ]
    ours, theirs = rates(
        [
            lambda: called(address, "FindNeighbors", requests, CALLERS),
            lambda: called(empty, "FindNeighbors", requests, CALLERS),
        ],
        rounds=effort.rounds,
    )
    return [
        Figure(f"{CALLERS} callers at 10 k", statistics.median(ours), "queries/s"),
        Figure(f"{CALLERS} callers of empty calls", statistics.median(theirs), "calls/s"),
        Figure(f"{CALLERS} callers / empty", median_ratio(ours, theirs), "ratio", at_least=0.7),
    ]


def _batched(effort: Effort, photos: Photos, address: str) -> list[Figure]:
    vectors = photos.queries(BLOCK)
    requests = [messages.packed(_NAME, vectors).SerializeToString()] * effort.batched_calls
    flat = faiss.IndexFlatL2(photos.dimension)
    flat.add(photos.first(SIZE))
    ours, alone, theirs, tuned = rates(
        [
            lambda: BLOCK * called(address, "FindNeighbors", requests, OVERLAPPED),
            lambda: BLOCK * called(address, "FindNeighbors", requests, 1),
            lambda: _flat_rate(flat, vectors, effort.batched_calls),
            lambda: _tuned_rate(flat, vectors, effort.batched_calls),
        ],
        rounds=effort.rounds,
    )
    ratio = median_ratio(ours, theirs)
    return [
        Figure(f"1,000 queries a call, {OVERLAPPED} calls", statistics.median(ours), "queries/s"),
        Figure("1,000 queries a call, one after another", statistics.median(alone), "queries/s"),
        Figure("FAISS in process, all cores", statistics.median(theirs), "queries/s"),
        Figure("FAISS, one thread, by matrix products", statistics.median(tuned), "queries/s"),
        Figure("1,000 queries a call / FAISS", ratio, "ratio", at_least=0.7),
    ]


def _flat_rate(flat: faiss.IndexFlatL2, vectors: Matrix, calls: int) -> float:
    flat.search(vectors, K)  # wakes its threads
    started = time.perf_counter()
    for _ in range(calls):
        flat.search(vectors, K)
    return calls * len(vectors) / (time.perf_counter() - started)


def _tuned_rate(flat: faiss.IndexFlatL2, vectors: Matrix, calls: int) -> float:
    """The same by matrix products, which FAISS 1.15 as it is set does not use for so few queries.

    In one thread: those of a product wait for each other, and spin meanwhile.
    """
    usual, threads = faiss.cvar.distance_compute_blas_threshold, faiss.omp_get_max_threads()
    faiss.cvar.distance_compute_blas_threshold = 20
    faiss.omp_set_num_threads(1)
    try:
        return _flat_rate(flat, vectors, calls)
    finally:
        faiss.cvar.distance_compute_blas_threshold = usual
        faiss.omp_set_num_threads(threads)
