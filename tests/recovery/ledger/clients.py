"""Threads that write until the service is gone, and keep their books.

Knows no process: a client stops when nobody answers any more.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import grpc

from lookalike.errors import DrainingError, ForeignError
from lookalike.index.v1 import index_pb2 as pb
from lookalike.index.v1.index_pb2_grpc import IndexServiceStub
from lookalike.status import from_rpc_error
from tests.recovery.ledger.book import Book
from tests.recovery.ledger.plans import Plan
from tests.recovery.ledger.writes import TIMEOUT_S, Upsert

# How many batches a stream sends ahead of the answers.
_AHEAD = 6
# A server that stops cancels the calls that come while it does.
_GONE = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}


class Progress:
    """How far all clients got together; someone may wait for it."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()

    def tick(self) -> None:
        """Counts one more write, or the end of a client."""
        with self._changed:
            self._count += 1
            self._changed.notify_all()

    def wait_for(self, count: int, timeout_s: float = 60) -> None:
        """Returns when as many were counted; TimeoutError if they are not in time."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._count >= count, timeout_s):
                raise TimeoutError(f"{self._count} of {count} writes in {timeout_s:g} s")


class Client(threading.Thread):
    """Sends one write after another.

    Args:
        stub: The service.
        book: Its ledger.
        plan: What to write.
        progress: Counts what was acknowledged.
    """

    def __init__(self, stub: IndexServiceStub, book: Book, plan: Plan, progress: Progress) -> None:
        super().__init__(name=book.name, daemon=True)
        self.problem: BaseException | None = None
        self._stub = stub
        self._book = book
        self._plan = plan
        self._progress = progress

    def run(self) -> None:
        self._plan.resume(self._book.held)
        try:
            self._write()
        except grpc.RpcError as error:
            self.problem = self.problem or unless_gone(error)
        except Exception as error:  # kept for whoever joins the thread
            self.problem = error
        finally:
            self._progress.tick()

    def _write(self) -> None:
        while True:
            write = self._plan.next()
            self._book.sent(write)
            self._book.acknowledge(write, write.send(self._stub))
            self._progress.tick()


class StreamClient(Client):
    """Sends batches of items in a stream, some ahead of the answers; its plan must only upsert."""

    def _write(self) -> None:
        sent: dict[str, Upsert] = {}
        room = threading.Semaphore(_AHEAD)
        ending = threading.Lock()
        ended = threading.Event()

        def requests() -> Iterator[pb.StreamUpsertItemsRequest]:
            while True:
                room.acquire()
                with ending:  # nothing may be noted once this thread has ended
                    if ended.is_set():
                        return
                    write = self._plan.next()
                    assert isinstance(write, Upsert)
                    sent[write.request.request_id] = write
                    self._book.sent(write)
                yield pb.StreamUpsertItemsRequest(
                    id=write.request.request_id, request=write.request
                )

        try:
            for answer in self._stub.StreamUpsertItems(requests(), timeout=TIMEOUT_S):
                if answer.HasField("error"):
                    raise AssertionError(f"batch {answer.id} was refused: {answer.error}")
                write = sent.pop(answer.id)
                self._book.acknowledge(write, write.answer(answer.response))
                self._progress.tick()
                room.release()
        finally:
            with ending:
                ended.set()
            room.release()


def unless_gone(error: grpc.RpcError) -> BaseException | None:
    """Returns what went wrong, or None if the service is only gone, or about to go."""
    found = from_rpc_error(error)
    gone = isinstance(found, (ForeignError, DrainingError)) and found.code in _GONE
    return None if gone else found
