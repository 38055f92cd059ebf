"""Groups single items into batches. Knows nothing of images or models.

A batch goes as soon as the engine is free: an idle engine takes one item at once, a busy one finds
all that has gathered meanwhile. No timer delays anybody.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from lookalike.errors import DrainingError

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Answer(Generic[Result]):
    """One item's result, how long it waited, and how long its batch took, in nanoseconds."""

    result: Result
    queue_ns: int
    run_ns: int


@dataclass
class _Entry(Generic[Item, Result]):
    item: Item
    future: asyncio.Future[Answer[Result]]
    submitted_ns: int = field(default_factory=time.monotonic_ns)


class DynamicBatcher(Generic[Item, Result]):
    """Runs items in batches on one thread. The number of items is the caller's to bound.

    Every accepted item's future is resolved: with a result, an error or a cancellation. If a batch
    fails, its items run again alone, so that only the one at fault fails.

    Args:
        run: Computes the results of a batch, in order; blocking, one call at a time.
        max_batch: Most items of one call.
    """

    def __init__(self, run: Callable[[list[Item]], Sequence[Result]], *, max_batch: int) -> None:
        self._run = run
        self._max_batch = max_batch
        self._waiting: deque[_Entry[Item, Result]] = deque()
        self._arrived = asyncio.Event()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="inference")
        self._worker: asyncio.Task[None] | None = None
        self._closed = False

    def start(self) -> None:
        """Starts taking batches; needs a running event loop."""
        self._worker = asyncio.create_task(self._work(), name="batcher")

    async def close(self) -> None:
        """Ends; items that wait, run or come later get a DrainingError."""
        self._closed = True
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
        _refuse(self._waiting)
        self._waiting.clear()
        self._executor.shutdown()

    async def submit(self, item: Item) -> Answer[Result]:
        """Returns the item's answer; raises what `run` raised for it."""
        if self._closed:
            raise _draining()
        entry = _Entry[Item, Result](item, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        self._arrived.set()
        return await entry.future

    async def _work(self) -> None:
        while True:
            await self._arrived.wait()
            batch = self._take()
            try:
                if batch:
                    await self._answer(batch)
            except asyncio.CancelledError:
                _refuse(batch)
                raise

    def _take(self) -> list[_Entry[Item, Result]]:
        batch: list[_Entry[Item, Result]] = []
        while self._waiting and len(batch) < self._max_batch:
            entry = self._waiting.popleft()
            if not entry.future.done():  # else its caller has left
                batch.append(entry)
        if not self._waiting:
            self._arrived.clear()
        return batch

    async def _answer(self, batch: list[_Entry[Item, Result]]) -> None:
        started = time.monotonic_ns()
        loop = asyncio.get_running_loop()
        try:
            results = await loop.run_in_executor(
                self._executor, self._run, [entry.item for entry in batch]
            )
            if len(results) != len(batch):
                raise RuntimeError(f"a batch of {len(batch)} gave {len(results)} results")
        except Exception as error:
            if len(batch) > 1:
                for entry in batch:
                    if not entry.future.done():
                        await self._answer([entry])
            elif not batch[0].future.done():
                batch[0].future.set_exception(error)
            return
        run_ns = time.monotonic_ns() - started
        for entry, result in zip(batch, results, strict=True):
            if not entry.future.done():
                queue_ns = started - entry.submitted_ns
                entry.future.set_result(Answer(result, queue_ns, run_ns))


def _refuse(entries: Iterable[_Entry[Any, Any]]) -> None:
    for entry in entries:
        if not entry.future.done():
            entry.future.set_exception(_draining())


def _draining() -> DrainingError:
    return DrainingError("the service is shutting down; retry", retry_after_ms=1000)
