"""Crashes one piece of work at each of its operations on files: `python -m tests.recovery.crashes`.

Arguments: the work, a data directory to begin from, and a folder that gets what each crash left.
This process loads all modules and starts no thread, so that it can be forked for each crash; the
child opens the index, does the work, and dies in it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from index_service.native.disk import snapshot
from index_service.records import Snapshot
from tests.recovery import native
from tests.recovery.power import Power

_OPEN_DATABASE = frozenset(f"{snapshot.DATABASE}{end}" for end in ("", "-wal", "-shm"))
# Written when the work was done, and so the crash came after it.
DONE = "done"
# More than any of this needs.
_MOST = 1000


def take_snapshot(folder: Path, power: Power) -> str:
    """Takes a snapshot; returns its name."""
    create = snapshot.create

    def watched(*arguments: Any) -> Snapshot:
        power.watch()  # only now: the cache, which is written first, has a test of its own
        return create(*arguments)

    with (
        native.opened(folder / "data") as backend,
        mock.patch.object(snapshot, "create", watched),
    ):
        taken = asyncio.run(backend.create_snapshot())
        return taken.name


def write_cache(folder: Path, power: Power) -> str:
    """Ends as a service does that was asked to: it writes the cache."""
    with native.opened(folder / "data"):
        power.watch()
    return ""


def restore(folder: Path, power: Power) -> str:
    """Restores the one snapshot to another directory."""
    (source,) = (folder / "data" / "snapshots").iterdir()
    power.watch()
    snapshot.restore(source, folder / "restored")
    return ""


WORK: dict[str, Callable[[Path, Power], str]] = {
    "snapshot": take_snapshot,
    "cache": write_cache,
    "restore": restore,
}


def main(name: str, data_dir: Path, out: Path) -> None:
    """Leaves a folder for each crash, named by the number of the operation."""
    for number in range(1, _MOST):
        folder = out / f"{number:03}"
        shutil.copytree(data_dir, folder / "data")
        if not (child := os.fork()):
            _die_in(WORK[name], folder, number)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status) or os.WTERMSIG(status) != signal.SIGKILL:
            sys.exit(f"the child for operation {number} ended with status {status}")
        if (out / f"{number:03}.{DONE}").exists():
            return
    sys.exit(f"more than {_MOST} operations")


def _die_in(work: Callable[[Path, Power], str], folder: Path, number: int) -> None:
    # A restored database is copied like any file; one that is open is SQLite's own business.
    left_out = frozenset[str]() if work is restore else _OPEN_DATABASE
    power = Power(folder, left_out=left_out, cut_at=number)
    signal.alarm(60)
    try:
        result = work(folder, power)
        folder.with_name(f"{folder.name}.{DONE}").write_text(result)
        power.cut()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)  # without the forked interpreter's own end


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
