"""Dynamic batching: groups single items into batches.

A batch starts as soon as the engine is free: an idle engine takes one item at once, a busy one
takes what has gathered meanwhile. No timer delays an item unless a maximum delay is set.

The engine's own thread forms the batches, so it never waits for a busy event loop.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, Self, TypeVar

from embedder_service.scheduling import FairQueue, SchedulingKey
from lookalike.errors import DrainingError

logger = logging.getLogger(__name__)

# Time for the last batch when the process ends; a stuck engine must not keep it from ending.
_LAST_BATCH_S = 30.0

Item = TypeVar("Item")
Result = TypeVar("Result")


def sizes_up_to(largest: int) -> list[int]:
    """Returns the powers of two below a batch size, and the size itself."""
    return [1 << power for power in range((largest - 1).bit_length())] + [largest]


@dataclass(frozen=True)
class Answer(Generic[Result]):
    """An item's result, its wait in the queue and the run time of its batch, in nanoseconds.

    Attributes:
        batch: What the batcher's observer made of the batch.
    """

    result: Result
    queue_ns: int
    run_ns: int
    batch: object = None


class BatchObserver(Protocol):
    """Watches batches."""

    def caller(self) -> object:
        """Returns who submits an item; called in the caller's task."""

    def ran(self, callers: Sequence[object], run_ns: int) -> object:
        """Notes a batch that has just run; called in the engine's thread, so it must be quick.

        Args:
            callers: What `caller` gave for each item.
            run_ns: How long it ran.

        Returns:
            What becomes `Answer.batch` of its items.
        """


@dataclass
class _Entry(Generic[Item, Result]):
    item: Item
    future: asyncio.Future[Answer[Result]]
    caller: object
    submitted_ns: int = field(default_factory=time.monotonic_ns)


class DynamicBatcher(Generic[Item, Result]):
    """Runs items in batches on one thread; the caller bounds the number of waiting items.

    The future of every accepted item is resolved: with a result, an error or a cancellation. If a
    batch fails, its items run again one by one, so that only the faulty one fails.

    Args:
        run: Computes the results of a batch, in order; blocking, one call at a time.
        sizes: Batch sizes, ascending from 1. A batch takes the largest size that the waiting items
            fill, so an engine meets few shapes and pads nothing.
        max_delay_s: How long an idle engine waits for a batch of the largest size.
    """

    def __init__(
        self,
        run: Callable[[list[Item]], Sequence[Result]],
        *,
        sizes: Sequence[int],
        max_delay_s: float = 0.0,
    ) -> None:
        self._run = run
        self._sizes = sizes
        self._max_delay_s = max_delay_s
        self._waiting = FairQueue[_Entry[Item, Result]]()
        self._changed = threading.Condition()  # guards the queue; notified of items and of closing
        self._thread = threading.Thread(target=self._work, name="inference", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._began: float | None = None
        self.observer: BatchObserver | None = None

    @property
    def running_s(self) -> float:
        """Run time of the current batch so far, in seconds; 0 if there is none."""
        began = self._began
        return 0.0 if began is None else time.monotonic() - began

    def start(self) -> None:
        """Starts the thread; needs a running event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def close(self) -> None:
        """Stops: running items get their answer, waiting and later ones a DrainingError."""
        with self._changed:
            self._closed = True
            entries = list(self._waiting.drain())
            self._changed.notify()
        for entry in entries:
            _settle(entry, _draining())
        if self._thread.ident is not None:
            await asyncio.to_thread(self._thread.join, _LAST_BATCH_S)

    async def submit(self, item: Item, key: SchedulingKey = SchedulingKey()) -> Answer[Result]:
        """Returns the item's answer; raises what `run` raised for it."""
        (future,) = self._enter([item], key)
        return await future

    async def submit_together(self, items: Sequence[Item]) -> list[Answer[Result]]:
        """Submits items that an idle engine takes as one batch; returns their answers."""
        return await asyncio.gather(*self._enter(items, SchedulingKey()))

    def _enter(
        self, items: Sequence[Item], key: SchedulingKey
    ) -> list[asyncio.Future[Answer[Result]]]:
        loop = asyncio.get_running_loop()
        caller = self.observer.caller() if self.observer else None
        entries = [_Entry[Item, Result](item, loop.create_future(), caller) for item in items]
        with self._changed:
            if self._closed:
                raise _draining()
            for entry in entries:
                self._waiting.push(entry, key)
            self._changed.notify()
        return [entry.future for entry in entries]

    def _work(self) -> None:
        while batch := self._next():
            self._answer(batch)
            self._began = None

    def _next(self) -> list[_Entry[Item, Result]]:
        """Waits for a batch and returns it; an empty one means that the batcher was closed."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._max_delay_s:
                    self._changed.wait_for(
                        lambda: self._closed or len(self._waiting) >= self._sizes[-1],
                        self._max_delay_s,
                    )
                if self._closed:
                    return []
                if batch := self._take():
                    self._began = time.monotonic()
                    return batch

    def _take(self) -> list[_Entry[Item, Result]]:
        most = max(size for size in self._sizes if size <= len(self._waiting))
        batch: list[_Entry[Item, Result]] = []
        while self._waiting and len(batch) < most:
            entry = self._waiting.pop()
            if not entry.future.done():  # otherwise its caller has left
                batch.append(entry)
        return batch

    def _answer(self, batch: list[_Entry[Item, Result]]) -> None:
        started = time.monotonic_ns()
        try:
            results = self._run([entry.item for entry in batch])
            if len(results) != len(batch):
                raise RuntimeError(f"a batch of {len(batch)} gave {len(results)} results")
        except Exception as error:
            if len(batch) == 1:
                self._deliver(batch, [error])
                return
            for entry in batch:
                if not entry.future.done():
                    self._answer([entry])
            return
        run_ns = time.monotonic_ns() - started
        seen = self._seen(batch, run_ns)
        self._deliver(
            batch,
            [
                Answer(result, started - entry.submitted_ns, run_ns, seen)
                for entry, result in zip(batch, results, strict=True)
            ],
        )

    def _seen(self, batch: list[_Entry[Item, Result]], run_ns: int) -> object:
        if self.observer is None:
            return None
        try:
            return self.observer.ran([entry.caller for entry in batch], run_ns)
        except Exception:  # the thread must go on
            logger.exception("a batch was not measured")
            return None

    def _deliver(
        self, batch: list[_Entry[Item, Result]], outcomes: Sequence[Answer[Result] | Exception]
    ) -> None:
        def deliver() -> None:
            for entry, outcome in zip(batch, outcomes, strict=True):
                _settle(entry, outcome)

        assert self._loop is not None
        self._loop.call_soon_threadsafe(deliver)


def _settle(entry: _Entry[Any, Any], outcome: Answer[Any] | Exception) -> None:
    if entry.future.done():
        return  # its caller has left
    if isinstance(outcome, Exception):
        entry.future.set_exception(outcome)
    else:
        entry.future.set_result(outcome)


def _draining() -> DrainingError:
    return DrainingError("the service is shutting down; retry", retry_after_ms=1000)


class BatchingEmbedder(ABC, Generic[Item, Result]):
    """What embeds with one model, a batch at a time; use as an async context manager."""

    _batcher: DynamicBatcher[Item, Result]
    _observer: BatchObserver | None = None

    @property
    def running_s(self) -> float:
        """Run time of the engine's current batch so far, in seconds; 0 if it is idle."""
        return self._batcher.running_s

    async def __aenter__(self) -> Self:
        self._batcher.start()
        try:
            await self._warm_up()
        except BaseException:
            await self.__aexit__()
            raise
        self._batcher.observer = self._observer  # of requests alone
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._batcher.close()

    @abstractmethod
    async def _warm_up(self) -> None:
        """Runs the shapes that engines compile or tune for at their first use."""
