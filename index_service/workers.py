"""A named, sized thread pool with a bounded queue."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

from lookalike.errors import QueueFullError

P = ParamSpec("P")
R = TypeVar("R")

# Set in a pool's thread whose caller has left.
_left: ContextVar[threading.Event | None] = ContextVar("left", default=None)

# About the time in which a busy pool frees a place.
_RETRY_AFTER_MS = 100


class CallerLeftError(Exception):
    """The caller no longer waits for the answer: it was cancelled, or its deadline has passed."""


def stop_if_caller_left() -> None:
    """Raises CallerLeftError in a function whose caller in `Workers.run` was cancelled.

    Long reads call this between their steps; elsewhere it does nothing.
    """
    left = _left.get()
    if left is not None and left.is_set():
        raise CallerLeftError


class Workers:
    """Runs blocking functions beside the event loop; use as a context manager.

    Args:
        name: What runs here, in the plural, for the threads' names and the error message.
        threads: How many functions run at once.
        waiting: How many more may wait.
    """

    def __init__(self, name: str, *, threads: int, waiting: int) -> None:
        self._name = name
        self._limit = threads + waiting
        self._places = threading.BoundedSemaphore(self._limit)
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=f"index-{name}")

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Runs the function in a thread and returns its result.

        If the caller is cancelled, a function that still waits is cancelled too; one that runs goes
        on to its end, so a write is never left half done, unless it calls `stop_if_caller_left`.

        Raises:
            QueueFullError: All threads are busy and the queue is full.
        """
        if not self._places.acquire(blocking=False):
            raise QueueFullError(
                f"{self._limit} {self._name} run or wait, as many as the service accepts; "
                "try again later",
                retry_after_ms=_RETRY_AFTER_MS,
            )
        left = threading.Event()

        def answer() -> R:
            _left.set(left)
            return function(*args, **kwargs)

        future = self._executor.submit(answer)
        future.add_done_callback(lambda _: self._places.release())
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            left.set()
            raise

    def close(self) -> None:
        """Waits for running functions; cancels those that still wait."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
