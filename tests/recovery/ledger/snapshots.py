"""Snapshots taken while clients write and the service dies: each is whole, or is none.

Whole means: a read-only service on it shows what the ledger held at the snapshot's write.
"""

from __future__ import annotations

import random
import shutil
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import grpc

from lookalike.index.v1 import index_pb2 as pb
from lookalike.index.v1.index_pb2_grpc import IndexServiceStub
from tests.recovery.ledger.audit import observe
from tests.recovery.ledger.book import Book, LedgerError
from tests.recovery.ledger.clients import Progress, unless_gone
from tests.recovery.ledger.writes import TIMEOUT_S
from tests.recovery.processes import serving


class Photographer(threading.Thread):
    """Takes one snapshot after another until the service is gone."""

    def __init__(self, stub: IndexServiceStub) -> None:
        super().__init__(name="photographer", daemon=True)
        self.taken: list[pb.Snapshot] = []
        self.problem: BaseException | None = None
        self.begun = Progress()
        self._stub = stub

    def run(self) -> None:
        while not self.problem:
            self.begun.tick()
            try:
                response = self._stub.CreateSnapshot(pb.CreateSnapshotRequest(), timeout=TIMEOUT_S)
            except grpc.RpcError as error:
                self.problem = unless_gone(error)
                return
            self.taken.append(response.snapshot)


class Snapshots:
    """The snapshots of one data directory.

    Args:
        folder: For a service's log.
        data_dir: The data directory.
        dice: Where chance comes from.
        share: How many of the snapshots are opened, 0 to 1; the others are only looked for.
        counts: Gets what was found.
    """

    def __init__(
        self,
        folder: Path,
        data_dir: Path,
        dice: random.Random,
        share: float,
        counts: Counter[str],
    ) -> None:
        self._log = folder / "snapshot.log"
        self._folder = data_dir / "snapshots"
        self._dice = dice
        self._share = share
        self._counts = counts
        self._photographer: Photographer | None = None

    def begin(self, stub: IndexServiceStub, count: int) -> Photographer:
        """Starts taking snapshots; returns when as many have begun."""
        self._photographer = Photographer(stub)
        self._photographer.start()
        self._photographer.begun.wait_for(count)
        return self._photographer

    def check(self, books: Sequence[Book]) -> None:
        """Compares what snapshots there are with the ledger, and removes them."""
        present = {path.name: path for path in self._folder.glob("[0-9]*")}
        for taken in self._photographer.taken if self._photographer else ():
            if taken.name not in present:
                raise LedgerError(f"snapshot {taken.name} was acknowledged and is gone")
            self._counts["snapshots acknowledged"] += 1
        self._photographer = None
        self._counts["snapshots found"] += len(present)
        for path in present.values():
            if self._dice.random() < self._share:
                self._compare(path, books)
            shutil.rmtree(path)

    def _compare(self, path: Path, books: Sequence[Book]) -> None:
        with serving(path, self._log, read_only="true") as replica:
            shown = observe(replica.stub)
        for book in books:
            if book.name != "names" and book.held_at(shown.seq).items != shown.of(book.name).items:
                raise LedgerError(f"snapshot {path} is not what {book.name} held at {shown.seq}")
        self._counts["snapshots compared"] += 1
