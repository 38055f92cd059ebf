"""Chroma's server with the same vectors and queries; the environment that it is installed in.

It has an environment of its own, because it brings a hundred packages along that nothing of ours
wants. Its server is asked over HTTP, without its client, by callers that read no answers, as ours
are. Its index is approximate (HNSW); ours of this size is exact.
"""

from __future__ import annotations

import asyncio
import json
import math
import statistics
import subprocess
import sys
import urllib.request
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.http_client import poster
from benchmarks.index import messages
from benchmarks.index.clients import called, rate
from benchmarks.index.effort import Effort
from benchmarks.index.messages import K
from benchmarks.index.photos import BLOCK, Photos
from benchmarks.processes import HttpProcess, free_port
from benchmarks.report import Figure
from benchmarks.turns import median_ratio, rates
from lookalike.index.v1 import index_pb2 as pb

VERSION = "1.5.9"
_ENVIRONMENT = Path("var/bench/chroma-env")
_COLLECTIONS = "/api/v2/tenants/default_tenant/databases/default_database/collections"
_SIZE = 10_000
_CALLERS = 16
_OVERLAPPED = 4
_AT_LEAST = 3.0


def compare(effort: Effort, photos: Photos, name: str, ours: str, folder: Path) -> list[Figure]:
    """Returns the figures; without values where Chroma is not installed and cannot be.

    Args:
        effort: How much.
        photos: The first 10,000 of which our service has.
        name: Of the collection that it has them in.
        ours: Its address.
        folder: For Chroma's data and log.
    """
    if why := _missing(install=effort.install):
        return [
            Figure(what, math.nan, "ratio", at_least=_AT_LEAST, note=why)
            for what in ("batched / Chroma", f"{_CALLERS} callers / Chroma")
        ]
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [str(_ENVIRONMENT / "bin/chroma"), "run", "--path", str(folder / "chroma")]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    server = HttpProcess(command, port, folder / "chroma.log", {"ANONYMIZED_TELEMETRY": "False"})
    try:
        theirs = server.start()
        path = _filled(theirs, photos)
        return _compared(effort, photos, name, ours=ours, theirs=theirs, path=path)
    finally:
        server.stop()


def _compared(
    effort: Effort, photos: Photos, name: str, *, ours: str, theirs: str, path: str
) -> list[Figure]:
    vectors = photos.queries(effort.many_calls)
    batch = photos.queries(BLOCK)
    calls = max(2, effort.batched_calls // 4)  # it takes its time
    our_batches = [messages.packed(name, batch).SerializeToString()] * calls
    their_batches = [_query(batch.tolist())] * calls
    our_singles = [
        messages.query(name, vector, view=pb.ITEM_VIEW_IDS).SerializeToString()
        for vector in vectors
    ]
    their_singles = [_query([vector]) for vector in vectors.tolist()]
    batched, their_batched, single, their_single = rates(
        [
            lambda: BLOCK * called(ours, "FindNeighbors", our_batches, _OVERLAPPED),
            lambda: BLOCK * _posted(theirs, path, their_batches, _OVERLAPPED),
            lambda: called(ours, "FindNeighbors", our_singles, _CALLERS),
            lambda: _posted(theirs, path, their_singles, _CALLERS),
        ],
        rounds=max(1, effort.rounds // 3),
    )
    note = f"Chroma {VERSION}"
    return [
        Figure("Chroma, 1,000 queries a call", statistics.median(their_batched), "queries/s"),
        Figure(
            "batched / Chroma",
            median_ratio(batched, their_batched),
            "ratio",
            at_least=_AT_LEAST,
            note=note,
        ),
        Figure(f"Chroma, {_CALLERS} callers", statistics.median(their_single), "queries/s"),
        Figure(
            f"{_CALLERS} callers / Chroma",
            median_ratio(single, their_single),
            "ratio",
            at_least=_AT_LEAST,
            note=note,
        ),
    ]


def _filled(address: str, photos: Photos) -> str:
    """Makes a collection of the photos; returns the path to post queries to."""
    created = _answer(address, _COLLECTIONS, {"name": "benchmark"})
    path = f"{_COLLECTIONS}/{created['id']}"
    for block in range(_SIZE // BLOCK):
        items = messages.items(photos, block, rich=True)
        content = {
            "ids": [item.id for item in items],
            "embeddings": [list(item.vector.values) for item in items],
            "metadatas": [
                {"product": item.product_id, "category": item.category} for item in items
            ],
        }
        _answer(address, f"{path}/add", content)
    return f"{path}/query"


def _query(vectors: Sequence[Sequence[float]]) -> bytes:
    content = {"query_embeddings": vectors, "n_results": K, "include": ["distances"]}
    return json.dumps(content).encode()


def _answer(address: str, path: str, content: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        f"http://{address}{path}",
        json.dumps(content).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def _posted(address: str, path: str, bodies: Sequence[bytes], callers: int) -> float:
    async def run() -> float:
        post = poster(address, path, callers, "application/json")
        return await rate(post, bodies, callers)

    return asyncio.run(run())


def _missing(*, install: bool) -> str:
    """Returns why Chroma cannot be run, or nothing; installs it first if it may."""
    if (_ENVIRONMENT / "bin/chroma").exists():
        return ""
    if not install:
        return f"no Chroma in {_ENVIRONMENT}; a run without --quick installs it"
    print(f"installing Chroma {VERSION} in {_ENVIRONMENT}", file=sys.stderr)
    venv.create(_ENVIRONMENT, with_pip=True)
    command = [str(_ENVIRONMENT / "bin/python"), "-m", "pip", "install", f"chromadb=={VERSION}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["pip failed"])[-1]
    return ""
