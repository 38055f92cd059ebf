"""Interactive goes before bulk, sources take turns, and a slot is never lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedder_service.scheduling import FairQueue, FairSlots, Priority, SchedulingKey

ONE, TWO = SchedulingKey(Priority.BULK, "one"), SchedulingKey(Priority.BULK, "two")


def test_interactive_items_overtake_bulk_ones() -> None:
    queue = FairQueue[str]()
    for name, key in (("a", ONE), ("b", ONE), ("c", SchedulingKey()), ("d", SchedulingKey())):
        queue.push(name, key)
    assert list(queue.drain()) == ["c", "d", "a", "b"]


def test_a_source_with_few_items_does_not_wait_for_one_with_many() -> None:
    queue = FairQueue[str]()
    for name in ("a1", "a2", "a3"):
        queue.push(name, ONE)
    queue.push("b1", TWO)
    assert [queue.pop(), queue.pop()] == ["a1", "b1"]
    queue.push("b2", TWO)
    assert list(queue.drain()) == ["a2", "b2", "a3"]


def test_an_empty_queue_has_nothing_to_give() -> None:
    queue = FairQueue[str]()
    with pytest.raises(IndexError):
        queue.pop()
    assert len(queue) == 0


@given(
    st.lists(st.none() | st.tuples(st.sampled_from(Priority), st.integers(0, 3)), max_size=60),
)
def test_every_item_comes_out_once_and_in_its_sources_order(
    steps: list[tuple[Priority, int] | None],
) -> None:
    queue = FairQueue[tuple[Priority, int, int]]()
    pushed, popped = [], []
    for number, step in enumerate(steps):
        if step is None:
            if queue:
                popped.append(queue.pop())
        else:
            item = (*step, number)
            queue.push(item, SchedulingKey(*step))
            pushed.append(item)
        assert len(queue) == len(pushed) - len(popped)
    popped += queue.drain()
    assert sorted(popped) == sorted(pushed)
    for priority in Priority:
        for source in range(4):
            of_source = [item for item in popped if item[:2] == (priority, source)]
            assert of_source == sorted(of_source)


Enter = Callable[[str, SchedulingKey], "asyncio.Task[None]"]


class Room:
    """Who is inside, in the order of entering; everyone stays until told to leave."""

    def __init__(self, slots: int) -> None:
        self.slots = FairSlots(slots)
        self.entered: list[str] = []
        self.doors: dict[str, asyncio.Event] = {}

    def send(self, name: str, key: SchedulingKey = SchedulingKey()) -> asyncio.Task[None]:
        self.doors[name] = asyncio.Event()

        async def stay() -> None:
            async with self.slots.slot(key):
                self.entered.append(name)
                await self.doors[name].wait()

        return asyncio.create_task(stay())

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    async def leave(self, name: str) -> None:
        self.doors[name].set()
        await self.settle()


async def test_no_more_than_the_slots_are_inside_and_the_due_one_follows() -> None:
    room = Room(2)
    tasks = [room.send("a", ONE), room.send("b", ONE), room.send("c", ONE), room.send("d")]
    await room.settle()
    assert room.entered == ["a", "b"]
    await room.leave("a")
    assert room.entered == ["a", "b", "d"], "interactive before bulk"
    for name in ("b", "d", "c"):
        await room.leave(name)
    await asyncio.gather(*tasks)


async def test_one_who_gives_up_waiting_leaves_no_slot_behind() -> None:
    room = Room(1)
    first, second, third = room.send("a"), room.send("b"), room.send("c")
    await room.settle()
    second.cancel()
    await room.settle()
    await room.leave("a")
    assert room.entered == ["a", "c"]
    await room.leave("c")
    await asyncio.gather(first, third)
    fourth = room.send("d")
    await room.settle()
    assert room.entered == ["a", "c", "d"]
    await room.leave("d")
    await fourth


async def test_one_who_gives_up_just_when_let_in_passes_the_slot_on() -> None:
    room = Room(1)
    first, second, third = room.send("a"), room.send("b"), room.send("c")
    await room.settle()
    room.doors["a"].set()
    await asyncio.sleep(0)  # "a" wakes, leaves and lets "b" in, who has not run yet
    second.cancel()
    await room.settle()
    assert room.entered == ["a", "c"]
    await room.leave("c")
    await asyncio.gather(first, third)
