"""Coalesces concurrent calls with the same key into one piece of work."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from lookalike.errors import DeadlineExceededError

T = TypeVar("T")


@dataclass
class _Flight(Generic[T]):
    task: asyncio.Task[T]
    waiting: int = 0


class Coalescer(Generic[T]):
    """Work in progress by key, each in a task of its own.

    The work is cancelled when the last caller that waits for it leaves, and not before.
    """

    def __init__(self) -> None:
        self._flights: dict[Hashable, _Flight[T]] = {}

    def under_way(self, key: Hashable) -> bool:
        """Whether there is work in progress for a key."""
        return key in self._flights

    async def start(self, key: Hashable, work: Coroutine[Any, Any, T]) -> T:
        """Starts work for a key that has none in progress, and returns its result."""
        task = asyncio.create_task(work)
        flight = self._flights[key] = _Flight(task)
        task.add_done_callback(lambda _: self._end(key, flight))
        return await self._wait(key, flight, None)

    async def join(self, key: Hashable, timeout_s: float) -> T:
        """Waits for work in progress, and returns its result or raises its error.

        Raises:
            DeadlineExceededError: It takes longer than `timeout_s`.
        """
        return await self._wait(key, self._flights[key], timeout_s)

    async def _wait(self, key: Hashable, flight: _Flight[T], timeout_s: float | None) -> T:
        flight.waiting += 1
        try:
            # Unlike `await task`, this does not cancel the task when the caller is cancelled.
            await asyncio.wait([flight.task], timeout=timeout_s)
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                self._end(key, flight)
                flight.task.cancel()
        if not flight.task.done():
            raise DeadlineExceededError(
                "another caller's work on the same photo took longer than the deadline leaves; "
                "set a later deadline"
            )
        return flight.task.result()

    def _end(self, key: Hashable, flight: _Flight[T]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
