"""Who is next: items by priority and, within one, each source in turn. Knows nothing of photos."""

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
    """Which items go first: somebody waits for an interactive one."""

    INTERACTIVE = 0
    BULK = 1


@dataclass(frozen=True)
class SchedulingKey:
    """An item's place among others.

    Attributes:
        priority: Lower goes first, always.
        source: Whose item it is, such as a stream; sources of one priority take turns, so that one
            with many items waiting does not hold up one with few.
    """

    priority: Priority = Priority.INTERACTIVE
    source: Hashable = None


class FairQueue(Generic[T]):
    """Items in the order in which they are due. Every operation takes constant time."""

    def __init__(self) -> None:
        self._lanes: dict[Priority, OrderedDict[Hashable, deque[T]]] = {
            priority: OrderedDict() for priority in Priority
        }
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def push(self, item: T, key: SchedulingKey) -> None:
        """Adds an item behind those of its source."""
        lane = self._lanes[key.priority]
        if key.source not in lane:
            lane[key.source] = deque()
        lane[key.source].append(item)
        self._size += 1

    def pop(self) -> T:
        """Takes the item that is due; raises IndexError if there is none."""
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
        """Takes all items, one after the other."""
        while self._size:
            yield self.pop()


class FairSlots:
    """A semaphore that lets those in first who are due first.

    Args:
        slots: How many may be inside at a time.
    """

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._waiting = FairQueue[asyncio.Future[None]]()

    @asynccontextmanager
    async def slot(self, key: SchedulingKey) -> AsyncIterator[None]:
        """Holds a slot, having waited for it."""
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
            if entered.done() and not entered.cancelled():  # it was let in at the same moment
                self._release()
            raise

    def _release(self) -> None:
        while self._waiting:
            entered = self._waiting.pop()
            if not entered.done():  # else whoever waited has left
                entered.set_result(None)
                return
        self._free += 1
