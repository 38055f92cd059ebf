"""Fair scheduling: items by priority and, within a priority, sources round robin."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Hashable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import Generic, TypeVar

T = TypeVar("T")


class Priority(IntEnum):
    """Scheduling classes; interactive items go first, since a person waits for them."""

    INTERACTIVE = 0
    BULK = 1


@dataclass(frozen=True)
class SchedulingKey:
    """What decides when an item is due.

    Attributes:
        priority: Lower always goes first.
        source: The item's sender, such as a stream; sources of one priority take turns, so that one
            with many items does not hold up one with few.
    """

    priority: Priority = Priority.INTERACTIVE
    source: Hashable = None


class FairQueue(Generic[T]):
    """A queue in scheduling order; every operation takes constant time."""

    def __init__(self) -> None:
        self._lanes: dict[Priority, OrderedDict[Hashable, deque[T]]] = {
            priority: OrderedDict() for priority in Priority
        }
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def push(self, item: T, key: SchedulingKey) -> None:
        """Adds an item behind the others of its source."""
        lane = self._lanes[key.priority]
        if key.source not in lane:
            lane[key.source] = deque()
        lane[key.source].append(item)
        self._size += 1

    def pop(self) -> T:
        """Removes and returns the next item; raises IndexError if there is none."""
        for lane in self._lanes.values():
            if lane:
                source, items = next(iter(lane.items()))
                item = items.popleft()
                if items:
                    lane.move_to_end(source)
                else:
                    del lane[source]
                self._size -= 1
                return item
        raise IndexError("nothing is waiting")

    def drain(self) -> Iterator[T]:
        """Removes and yields all items."""
        while self._size:
            yield self.pop()


class FairSlots:
    """A semaphore whose waiters enter in scheduling order.

    Args:
        slots: Most holders at a time.
    """

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._waiting = FairQueue[asyncio.Future[None]]()

    @asynccontextmanager
    async def slot(self, key: SchedulingKey) -> AsyncIterator[None]:
        """Waits for a slot and holds it."""
        if self._free:
            self._free -= 1
        else:
            await self._wait(key)
        try:
            yield
        finally:
            self._release()

    async def _wait(self, key: SchedulingKey) -> None:
        entered = asyncio.get_running_loop().create_future()
        self._waiting.push(entered, key)
        try:
            await entered
        except asyncio.CancelledError:
            if entered.done() and not entered.cancelled():  # got the slot at the same moment
                self._release()
            raise

    def _release(self) -> None:
        while self._waiting:
            entered = self._waiting.pop()
            if not entered.done():  # otherwise the waiter has left
                entered.set_result(None)
                return
        self._free += 1
