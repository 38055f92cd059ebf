"""Kills the service again and again, at random points of its work, and holds it to the ledger.

A round is: start, compare with the ledger, repeat what went unanswered, write until the kill. The
kills are SIGKILL, so this tells nothing of what a power cut leaves: `test_crash_points.py` does.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path

from lookalike.index.v1.index_pb2_grpc import IndexServiceStub
from tests.recovery.ledger import plans, repeats
from tests.recovery.ledger.audit import cross_check, newest_write, observe
from tests.recovery.ledger.book import Book, LedgerError
from tests.recovery.ledger.clients import Client, Progress, StreamClient
from tests.recovery.ledger.snapshots import Photographer, Snapshots
from tests.recovery.ledger.writes import Create
from tests.recovery.processes import Serving, events, kill_while_starting, serving


class Phase(StrEnum):
    """What the service is at when it is killed."""

    INGEST = "ingest"
    COMPACTION = "compaction"
    SNAPSHOT = "snapshot"
    ALIAS = "alias switch"
    RECOVERY = "recovery"
    STOPPING = "stopping"


# The longest time between the event that a phase waits for and the kill: about what it takes.
_WITHIN_S = {
    Phase.INGEST: 0.02,
    Phase.COMPACTION: 0.1,
    Phase.SNAPSHOT: 0.15,
    Phase.ALIAS: 0.02,
    Phase.RECOVERY: 0.02,
    Phase.STOPPING: 0.2,
}
# Phases in which upkeep is at work all the time.
_EAGER = {Phase.COMPACTION, Phase.SNAPSHOT}
_UPKEEP = ("segment compacted", "segments merged", "graph built", "cache written")


class Campaign:
    """One data directory through many kills.

    Args:
        folder: Where its files go.
        seed: Of everything that is left to chance here; threads and the kernel add their own.
        samples: How many items and queries of each collection are compared after a restart.
        snapshots: How many of the snapshots are opened and compared, 0 to 1.
        progress: Called after each kill.
    """

    def __init__(
        self,
        folder: Path,
        seed: int,
        *,
        samples: int = 5,
        snapshots: float = 0.3,
        progress: Callable[[Counter[str]], None] | None = None,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._dice = random.Random(seed)
        self._data_dir = folder / "data"
        self._log = folder / "index_service.log"
        self._samples = samples
        self._progress = progress
        self._start_s = 0.5
        self._snapshots = Snapshots(folder, self._data_dir, self._dice, snapshots, self.counts)
        names = ("first", "second", "stream", "names")
        self._books = [Book(name, self.counts) for name in names]
        dice = [random.Random(f"{seed}-{name}") for name in names]
        self._plans: list[plans.Plan] = [
            plans.ItemPlan(names[0], dice[0], deletions=0.3),
            plans.ItemPlan(names[1], dice[1], deletions=0.3),
            plans.ItemPlan(names[2], dice[2], deletions=0),
            plans.NamePlan(names[3], dice[3]),
        ]

    def run(self, phases: Sequence[Phase]) -> Counter[str]:
        """Kills the service once for each phase, and returns what was counted.

        Raises:
            AssertionError: The index is not what it promised.
        """
        with serving(self._data_dir, self._log) as service:
            for name, metric in plans.COLLECTIONS.items():
                Create(plans.collection(name, metric)).send(service.stub)
        for phase in phases:
            if phase is Phase.RECOVERY:
                self._kill_while_starting()
            started = time.perf_counter()
            module = "tests.recovery.eager" if phase in _EAGER else ""
            with serving(self._data_dir, self._log, module=module) as service:
                self._start_s = time.perf_counter() - started
                self._hold_to_ledger(service.stub)
                self._write_until_killed(phase, service)
            self.counts[f"kills: {phase}"] += 1
            if self._progress:
                self._progress(self.counts)
            done = events(self._log)
            for event in _UPKEEP:
                self.counts[f"events: {event}"] += done[event]
        with serving(self._data_dir, self._log) as service:
            self._hold_to_ledger(service.stub)
            assert service.process.stop() == 0
        return self.counts

    def _kill_while_starting(self) -> None:
        for _ in range(self._dice.randint(1, 2)):
            # Loading modules takes the first half of a start; only then the store is opened.
            after_s = self._start_s * self._dice.uniform(0.5, 1.05)
            kill_while_starting(self._data_dir, self._log, after_s)
            self.counts["kills: at start-up"] += 1

    def _write_until_killed(self, phase: Phase, service: Serving) -> None:
        progress = Progress()
        clients = [
            (StreamClient if book.name == "stream" else Client)(service.stub, book, plan, progress)
            for book, plan in zip(self._books, self._plans, strict=True)
        ]
        for client in clients:
            client.start()
        progress.wait_for(self._dice.randint(4, 40))
        threads: list[Client | Photographer] = [*clients]
        if phase is Phase.SNAPSHOT:
            threads.append(self._snapshots.begin(service.stub, self._dice.randint(1, 3)))
        if phase is Phase.STOPPING:
            os.kill(service.process.pid, signal.SIGTERM)
        # By chance, to hit points that nobody has thought of: an event would be one of those.
        time.sleep(self._dice.uniform(0, _WITHIN_S[phase]))
        service.process.kill()
        for thread in threads:
            thread.join()
            if thread.problem:
                raise LedgerError(f"{thread.name} failed amid {phase}") from thread.problem

    def _hold_to_ledger(self, stub: IndexServiceStub) -> None:
        shown = observe(stub)
        absent = {book.name: book.settle(shown.of(book.name)) for book in self._books}
        known = sum(len(book.held.items) for book in self._books)
        assert len(shown.items) == known, f"{len(shown.items)} items, of which {known} are ours"
        newest = max((r.answer.seq for book in self._books for r in book.recorded()), default=0)
        assert shown.seq >= newest, f"write {newest} was acknowledged, the newest is {shown.seq}"
        self.counts["items compared"] += known
        self.counts["queries compared"] += cross_check(
            stub, shown, self._dice, samples=self._samples
        )
        for book in self._books:
            self.counts["writes repeated"] += repeats.repeat(stub, book, self._dice)
        again = observe(stub)
        assert again._replace(seq=shown.seq) == shown, "repeated writes were applied again"
        for book in self._books:
            repeats.deliver(stub, book, absent[book.name], after=again.seq)
        self._snapshots.check(self._books)
        seq = newest_write(stub)
        for book in self._books:
            book.open_round(seq)
