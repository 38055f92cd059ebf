"""Sends writes again after a crash: those that took effect must change nothing more.

Knows the ledger and the writes; no process.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

import grpc

from lookalike.errors import RequestIdReusedError
from lookalike.index.v1.index_pb2_grpc import IndexServiceStub
from lookalike.status import from_rpc_error
from tests.recovery.ledger.book import Book, LedgerError
from tests.recovery.ledger.writes import Delete, Upsert, Write


def repeat(stub: IndexServiceStub, book: Book, dice: random.Random) -> int:
    """Repeats what took effect unanswered, and some of the rest; returns how many it repeated.

    Raises:
        LedgerError: A second answer differs from the first.
    """
    number = 0
    for write, answer in book.recorded():
        if not isinstance(write, (Upsert, Delete)) or (answer.seq and dice.random() > 0.1):
            continue
        book.amend(write, write.send(stub))
        number += 1
        if isinstance(write, Upsert) and dice.random() < 0.1:
            _must_be_refused(stub, write.altered())
    return number


def deliver(stub: IndexServiceStub, book: Book, absent: Iterable[Write], *, after: int) -> None:
    """Sends what left no trace; each must now be applied, as a new write."""
    for write in absent:
        book.sent(write)
        answer = write.send(stub)
        book.acknowledge(write, answer)
        if answer.seq and answer.seq <= after:
            raise LedgerError(f"{book.name}: a write that was absent has the number {answer.seq}")


def _must_be_refused(stub: IndexServiceStub, write: Upsert) -> None:
    try:
        write.send(stub)
    except grpc.RpcError as error:
        if isinstance(from_rpc_error(error), RequestIdReusedError):
            return
        raise
    raise LedgerError(f"another request of the same id was accepted: {write}")
