"""The index's disk fills up while it is called: reads go on, and nothing acknowledged is lost."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.operations.fleet import Fleet, benchmark_fleet
from benchmarks.operations.load import KINDS, Load
from benchmarks.operations.networks import NotPossibleError
from benchmarks.report import Figure

_BYTES = 16 << 20
_REFUSED = "RESOURCE_EXHAUSTED STORAGE_FULL"


def measure(*, quick: bool) -> list[Figure]:
    """Keeps the disk full for ten seconds; for two if `quick`."""
    with benchmark_fleet() as (fleet, photos):
        try:
            with small_disk(fleet.folder / "disk") as disk:
                return filled(fleet, photos, disk, seconds=2.0 if quick else 10.0)
        except NotPossibleError as error:
            return [Figure("full disk", float("nan"), "calls", note=f"not run here: {error}")]


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mounts a file system of 16 MiB; NotPossibleError where that cannot be."""
    if os.geteuid():
        raise NotPossibleError("only root can mount a small disk")
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={_BYTES}", "lookalike", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotPossibleError(f"no small disk can be mounted: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def filled(fleet: Fleet, photos: Sequence[bytes], disk: Path, *, seconds: float) -> list[Figure]:
    """Has somebody else's file fill the disk for a time, then restarts the index."""
    try:
        embedder, index = fleet.embedder(), fleet.index(data_dir=disk / "data")
        gateway = fleet.gateway(embedder.address, index.address)
        with Load(gateway.address, photos) as load:
            moment = time.monotonic()
            ballast = disk / "ballast"
            _fill(ballast)
            time.sleep(seconds)
            freed = time.monotonic()
            ballast.unlink()
            load.answered(40)
            outcome = load.since(moment)
            refused = [call for call in outcome.failed if call.refused == _REFUSED]
            others = [call for call in outcome.failed if call.refused != _REFUSED]
            reads = [call for call in outcome.calls if call.kind != KINDS[0] and not call.refused]
            index.stop()
            index.start()
            load.answered(20)
        back_s = max((call.ended - freed for call in refused), default=0.0)
        return [
            Figure(
                "disk full: writes refused", len(refused), "refusals", at_least=1, note=str(outcome)
            ),
            Figure("  other failures", len(others), "calls", at_most=0),
            Figure("  reads answered meanwhile", len(reads), "reads"),
            Figure("  last refusal after there was room", max(0.0, back_s), "s"),
            Figure("  lost writes", len(load.lost()), "writes", at_most=0),
        ]
    finally:
        fleet.stop()  # before the disk goes


def _fill(file: Path) -> None:
    with file.open("wb", buffering=0) as ballast:
        for size in (1 << 20, 4096):
            try:
                while True:
                    ballast.write(b"\0" * size)
            except OSError:
                continue
