"""Groups single items into batches. Knows nothing of images or models.

A batch goes as soon as the engine is free: an idle engine takes one item at once, a busy one finds
all that has gathered meanwhile. No timer delays anybody, unless a maximum delay is set.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from embedder_service.scheduling import FairQueue, Turn
from lookalike.errors import DrainingError

Item = TypeVar("Item")
Result = TypeVar("Result")


def sizes_up_to(largest: int) -> list[int]:
    """Returns the powers of two below a batch size, and the size itself."""
    return [1 << power for power in range((largest - 1).bit_length())] + [largest]


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
        sizes: How many items a call may have, ascending from 1. A batch is of the largest size that
            is not above what waits, so an engine meets few shapes and computes nothing in vain.
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
        self._arrived = asyncio.Event()
        self._full = asyncio.Event()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="inference")
        self._worker: asyncio.Task[None] | None = None
        self._closed = False
        self._began: float | None = None

    @property
    def idle(self) -> bool:
        """Whether an item that is submitted now is taken at once."""
        return self._began is None and not self._waiting

    @property
    def running_s(self) -> float:
        """How long the batch that runs has been running, in seconds; 0 if none does."""
        return 0.0 if self._began is None else time.monotonic() - self._began

    def start(self) -> None:
        """Starts taking batches; needs a running event loop."""
        self._worker = asyncio.create_task(self._work(), name="batcher")

    async def close(self, *, wait: bool = True) -> None:
        """Ends; items that wait, run or come later get a DrainingError.

        Args:
            wait: Whether for the batch that runs; one that is stuck may never end.
        """
        self._closed = True
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
        _refuse(self._waiting.drain())
        self._executor.shutdown(wait=wait)

    async def submit(self, item: Item, turn: Turn = Turn()) -> Answer[Result]:
        """Returns the item's answer; raises what `run` raised for it."""
        if self._closed:
            raise _draining()
        entry = _Entry[Item, Result](item, asyncio.get_running_loop().create_future())
        self._waiting.push(entry, turn)
        self._arrived.set()
        if len(self._waiting) >= self._sizes[-1]:
            self._full.set()
        return await entry.future

    async def _work(self) -> None:
        while True:
            await self._arrived.wait()
            if self._max_delay_s:
                await self._gather_more()
            batch = self._take()
            try:
                if batch:
                    await self._answer(batch)
            except asyncio.CancelledError:
                _refuse(batch)
                raise

    async def _gather_more(self) -> None:
        try:
            async with asyncio.timeout(self._max_delay_s):
                await self._full.wait()
        except TimeoutError:
            pass

    def _take(self) -> list[_Entry[Item, Result]]:
        batch: list[_Entry[Item, Result]] = []
        most = max((size for size in self._sizes if size <= len(self._waiting)), default=0)
        while self._waiting and len(batch) < most:
            entry = self._waiting.pop()
            if not entry.future.done():  # else its caller has left
                batch.append(entry)
        if not self._waiting:
            self._arrived.clear()
        if len(self._waiting) < self._sizes[-1]:
            self._full.clear()
        return batch

    async def _answer(self, batch: list[_Entry[Item, Result]]) -> None:
        started = time.monotonic_ns()
        self._began = time.monotonic()
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
        finally:
            self._began = None
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
