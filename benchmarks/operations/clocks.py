"""The wall clock of all services jumps by hours while they are called: no call fails.

Done by Debian's libfaketime, which is loaded before the C library; the monotonic clock, by which
deadlines are kept, goes on as it does when an administrator sets a clock.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import grpc

from benchmarks.operations.fleet import Fleet, benchmark_fleet
from benchmarks.operations.load import Load
from benchmarks.report import Figure
from lookalike.index.v1 import index_pb2
from lookalike.index.v1.index_pb2_grpc import IndexServiceStub
from lookalike.serving.local_stack import ServiceProcess

# Hours from the true time, one after the other.
JUMPS = (6, -6, 0)
_LIBRARY = "faketime/libfaketimeMT.so.1"


def measure(*, quick: bool) -> list[Figure]:
    """Jumps forward, back beyond where it was, and to the true time."""
    if (library := find_library()) is None:
        note = "not run here: libfaketime is not installed (Debian's faketime)"
        return [Figure("clock jumps: failed", float("nan"), "calls", note=note)]
    with benchmark_fleet() as (fleet, photos):
        return jumped(fleet, photos, library, seconds=2.0 if quick else 20.0)


def find_library() -> Path | None:
    """Returns libfaketime; None if it is not installed."""
    return next(Path("/usr/lib").glob(f"*/{_LIBRARY}"), None)


def jumped(fleet: Fleet, photos: Sequence[bytes], library: Path, *, seconds: float) -> list[Figure]:
    """Lets the services be called for so long at each time, and restarts the index at the last."""
    offset = fleet.folder / "offset"
    environment = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_NO_CACHE": "1",
    }
    _set(offset, 0)
    embedder = fleet.embedder(environment=environment)
    index = fleet.index(environment=environment)
    gateway = fleet.gateway(embedder.address, index.address, environment=environment)
    figures = []
    before = 0
    with Load(gateway.address, photos) as load, grpc.insecure_channel(index.address) as channel:
        for hours in JUMPS:
            moment = time.monotonic()
            _set(offset, hours)
            time.sleep(seconds)
            IndexServiceStub(channel).CreateSnapshot(index_pb2.CreateSnapshotRequest())
            load.answered(40)
            for service in (embedder, index, gateway):
                _check(service, hours)
            outcome = load.since(moment)
            figures += [
                Figure(
                    f"clock {hours - before:+d} h: failed",
                    len(outcome.failed),
                    "calls",
                    at_most=0,
                    note=str(outcome),
                ),
                Figure("  longest call", outcome.longest_s, "s"),
            ]
            before = hours
        index.stop()
        index.start()
        load.answered(20)
    return [*figures, Figure("lost writes", len(load.lost()), "writes", at_most=0)]


def _set(offset: Path, hours: int) -> None:
    new = offset.with_suffix(".new")
    new.write_text(f"{hours:+d}h\n", encoding="ascii")
    new.replace(offset)  # at once: a service may be reading it


def _check(service: ServiceProcess, hours: int) -> None:
    """Raises RuntimeError if the service's last line in its log is not of that time."""
    last = json.loads(service.log.read_text().strip().rpartition("\n")[2])
    behind_s = time.time() + hours * 3600 - datetime.fromisoformat(last["time"]).timestamp()
    if abs(behind_s) > 600:
        raise RuntimeError(
            f"{service.module}'s clock is {behind_s:.0f} s from {hours:+d} h: {last}"
        )
