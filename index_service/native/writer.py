"""The single writer thread: group commit of all waiting operations, so that they share a sync."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from index_service.native.changes import Operation
from index_service.native.joining import as_one, runs
from index_service.native.memory.state import State
from index_service.native.store.database import Store
from index_service.native.store.transaction import Transaction
from lookalike.errors import DrainingError, LookalikeError, QueueFullError

R = TypeVar("R")

# Operations in a commit: with more, the sync costs each hardly less, and the first waits longer.
_MOST_TOGETHER = 256
# About the time in which a busy writer takes the waiting operations.
_RETRY_AFTER_MS = 100


class _Waiting(NamedTuple):
    operation: Operation[Any]
    future: Future[Any]


class Writer:
    """Commits operations, each all or none, in the order of their submission.

    Use as a context manager. The future of an operation is resolved once it is on disk and readers
    see it.

    Args:
        store: The store of record.
        current: Returns the state that readers see.
        publish: Replaces that state.
        writing: Lock held from reading the state to publishing the next one.
        waiting: How many operations may wait.
    """

    def __init__(
        self,
        store: Store,
        *,
        current: Callable[[], State],
        publish: Callable[[State], None],
        writing: threading.Lock,
        waiting: int,
    ) -> None:
        self._store = store
        self._current = current
        self._publish = publish
        self._writing = writing
        self._most = waiting
        self._queue: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="index-writer")

    @property
    def waiting(self) -> int:
        """How many operations wait."""
        return len(self._queue)

    def submit(self, operation: Operation[R]) -> Future[R]:
        """Queues an operation and returns its future; raises QueueFullError if too many wait."""
        future: Future[R] = Future()
        with self._changed:
            if self._closed:
                raise DrainingError("the index is shutting down; retry", retry_after_ms=1000)
            if len(self._queue) >= self._most:
                raise QueueFullError(
                    f"{len(self._queue)} writes wait, as many as the service accepts "
                    "(LOOKALIKE_INDEX_MAX_WAITING_WRITES); try again later",
                    retry_after_ms=_RETRY_AFTER_MS,
                )
            self._queue.append(_Waiting(operation, future))
            self._changed.notify()
        return future

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Waits until all submitted operations are answered."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while group := self._next():
            self._commit([w for w in group if w.future.set_running_or_notify_cancel()])

    def _next(self) -> list[_Waiting]:
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            count = min(len(self._queue), _MOST_TOGETHER)
            return [self._queue.popleft() for _ in range(count)]

    def _commit(self, group: list[_Waiting]) -> None:
        """Commits a group; if that fails, each alone, so that only the faulty ones fail."""
        outcomes: list[Any] = []
        try:
            with self._writing:
                with self._store.transaction() as write:
                    state = self._current()
                    for run in runs([waiting.operation for waiting in group]):
                        state, answers = _done(run, write, state)
                        outcomes += answers
                    seq = write.seq
                self._publish(replace(state, seq=seq))
        except Exception as error:
            if len(group) == 1:
                group[0].future.set_exception(error)
                return
            for waiting in group:
                self._commit([waiting])
            return
        for waiting, outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, LookalikeError):
                waiting.future.set_exception(outcome)
            else:
                waiting.future.set_result(outcome)


def _done(
    run: Sequence[Operation[Any]], write: Transaction, state: State
) -> tuple[State, Sequence[Any]]:
    """Does a run of operations; returns the state after it, and the answer or error of each."""
    try:
        with write.operation():
            return as_one(run)(write, state)
    except LookalikeError as error:
        if write.undone:
            raise
        if len(run) == 1:
            return state, [error]
    # Each alone, so that only the faulty ones fail.
    outcomes: list[Any] = []
    for operation in run:
        state, answers = _done([operation], write, state)
        outcomes += answers
    return state, outcomes
