"""One client's ledger: what was acknowledged, what was not, and which of that is really there.

A client's writes take effect in the order in which it sent them. So after a crash the index must
hold what was acknowledged and some number of the writes after that, each whole. Knows neither the
processes nor what the writes are.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import NamedTuple

from tests.recovery.ledger.writes import Answer, Held, Write


class LedgerError(AssertionError):
    """The index is not what its answers promised."""


class Recorded(NamedTuple):
    """A write that took effect, and what the service said, or must say, of it."""

    write: Write
    answer: Answer  # its seq is 0 if no answer came


class Book:
    """The ledger of the client `name`; several threads may use it. Adds to `counts`."""

    def __init__(self, name: str, counts: Counter[str]) -> None:
        self.name = name
        self.held = Held()
        self._counts = counts
        self._base = Held()
        self._base_seq = 0
        self._history: list[Recorded] = []
        self._pending: list[Write] = []
        self._lock = threading.Lock()

    def open_round(self, seq: int) -> None:
        """Begins a new history; all before is in `held`, and the index is at write `seq`."""
        self._base, self._base_seq, self._history = self.held.copy(), seq, []

    def sent(self, write: Write) -> None:
        """Notes that a write is on its way."""
        with self._lock:
            self._pending.append(write)

    def acknowledge(self, write: Write, answer: Answer) -> None:
        """Notes the service's answer to a write, and so that all sent before took effect too."""
        with self._lock:
            self._counts["writes acknowledged"] += 1
            for place, recorded in enumerate(self._history):
                if recorded.write is write:  # one sent later was answered first
                    self._compare(recorded, answer)
                    self._history[place] = Recorded(write, answer)
                    return
            while self._pending:
                first = self._take()
                if first.write is write:
                    self._compare(first, answer)
                    self._history[-1] = Recorded(write, answer)
                    return
            raise LedgerError(f"{self.name}: an answer to what was never sent: {write}")

    def settle(self, found: Held) -> list[Write]:
        """Compares the ledger with what the index holds after a crash.

        Returns the pending writes that have left no trace; the others have become part of `held`.

        Raises:
            LedgerError: The index holds neither what was acknowledged nor that and the first few,
                each whole, of the writes that were not.
        """
        shown = "; ".join(_differences(self.held, found))
        states = [self.held]
        for write in self._pending:
            states.append(states[-1].copy())
            write.apply(states[-1])
        # The last that fits: a write without effect, if there is one, then counts as done.
        done = max((n for n, state in enumerate(states) if state == found), default=-1)
        if done < 0:
            raise LedgerError(
                f"{self.name}: besides the {len(self._pending)} writes on their way: {shown}"
            )
        self._counts["unacknowledged found"] += done
        self._counts["unacknowledged absent"] += len(self._pending) - done
        for _ in range(done):
            self._take()
        absent, self._pending = self._pending, []
        return absent

    def recorded(self) -> list[Recorded]:
        """Returns what has taken effect in this round, in order."""
        return list(self._history)

    def amend(self, write: Write, answer: Answer) -> None:
        """Compares a second answer to a write with the first, or notes it if there was none."""
        for place, recorded in enumerate(self._history):
            if recorded.write is write:
                self._compare(recorded, answer)
                self._history[place] = Recorded(write, answer)

    def held_at(self, seq: int) -> Held:
        """Returns what was held when the index was at write `seq`, in this round."""
        if seq < self._base_seq:
            raise LedgerError(f"write {seq} is older than this round, from {self._base_seq}")
        held = self._base.copy()
        for write, answer in self._history:
            if answer.seq <= seq:
                write.apply(held)
        return held

    def _take(self) -> Recorded:
        write = self._pending.pop(0)
        self._history.append(Recorded(write, Answer(write.apply(self.held))))
        return self._history[-1]

    def _compare(self, recorded: Recorded, answer: Answer) -> None:
        expected = recorded.answer
        if answer.result != expected.result or (expected.seq and answer.seq != expected.seq):
            raise LedgerError(f"{recorded.write} was answered {answer}, not {expected}")
        if answer.seq and any(
            other.answer.seq == answer.seq and other.write is not recorded.write
            for other in self._history[-50:]
        ):
            raise LedgerError(f"{self.name}: two writes have the number {answer.seq}")


def _differences(held: Held, found: Held) -> list[str]:
    """Says in a few words how two states differ."""
    lost, extra = held.items.keys() - found.items.keys(), found.items.keys() - held.items.keys()
    other = [k for k in held.items.keys() & found.items.keys() if held.items[k] != found.items[k]]
    parts = [
        f"{len(keys)} items {what}, such as {sorted(keys)[0]}"
        for what, keys in (("are missing", lost), ("are extra", extra), ("differ", other))
        if keys
    ]
    if held.aliases != found.aliases:
        parts.append(f"aliases are {found.aliases}, not {held.aliases}")
    if held.collections != found.collections:
        parts.append(f"collections are {found.collections}, not {held.collections}")
    return parts
