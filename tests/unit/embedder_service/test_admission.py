"""Who is let in, who is told to come back, and who waits."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from embedder_service import admission as module
from embedder_service.admission import Admission
from embedder_service.scheduling import Priority, SchedulingKey
from lookalike.errors import DeadlineUnreachableError, QueueFullError

BULK = SchedulingKey(Priority.BULK, "stream")


class Clock:
    """The time that admission sees."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


async def enter(
    stack: AsyncExitStack, admission: Admission, count: int, key: SchedulingKey
) -> None:
    for _ in range(count):
        await stack.enter_async_context(admission.admitted(10, key))


async def test_a_full_service_refuses_with_both_numbers_and_when_to_retry() -> None:
    admission = Admission(max_photos=2, max_bytes=1000)
    async with AsyncExitStack() as stack:
        await enter(stack, admission, 2, SchedulingKey())
        with pytest.raises(QueueFullError, match=r"2 photos .* limit is 2") as caught:
            await enter(stack, admission, 1, SchedulingKey())
        assert caught.value.retry_after_ms is not None
        assert caught.value.retry_after_ms > 0
        assert admission.photos == 2
    assert admission.photos == 0
    async with admission.admitted(10, SchedulingKey()):
        assert admission.photos == 1


async def test_bytes_are_bounded_but_a_lone_photo_always_comes_in() -> None:
    admission = Admission(max_photos=9, max_bytes=100)
    async with admission.admitted(5000, SchedulingKey()):
        with pytest.raises(QueueFullError, match=r"5,000 bytes .* has 1; the limit is 100"):
            async with admission.admitted(1, SchedulingKey()):
                pass


async def test_bulk_photos_wait_and_leave_room_for_interactive_ones() -> None:
    admission = Admission(max_photos=4, max_bytes=1000)
    async with AsyncExitStack() as stack:
        await enter(stack, admission, 2, BULK)
        third = asyncio.create_task(enter(stack, admission, 1, BULK))
        await asyncio.sleep(0.01)
        assert not third.done()
        await enter(stack, admission, 2, SchedulingKey())
        assert admission.photos == 4
        third.cancel()
        await asyncio.gather(third, return_exceptions=True)
    assert admission.photos == 0


async def photos_one_after_another(admission: Admission, clock: Clock, seconds: float) -> None:
    for _ in range(300):
        async with admission.admitted(10, SchedulingKey()):
            clock.now += seconds
        clock.now += 60  # idle in between, which must not count


async def test_a_photo_that_would_be_late_is_refused_at_the_door(clock: Clock) -> None:
    admission = Admission(max_photos=99, max_bytes=10_000)
    await photos_one_after_another(admission, clock, seconds=0.2)
    async with AsyncExitStack() as stack:
        await enter(stack, admission, 5, SchedulingKey())
        assert admission.expected_wait_s(Priority.INTERACTIVE) == pytest.approx(1.0)
        with pytest.raises(DeadlineUnreachableError, match=r"about 1000 ms.* in 1400 ms") as caught:
            async with admission.admitted(10, SchedulingKey(), 1.4):
                pass
        assert caught.value.retry_after_ms == 2000
        async with admission.admitted(10, SchedulingKey(), 1.6):
            assert admission.photos == 6


async def test_an_interactive_photo_does_not_count_the_bulk_ones_that_it_overtakes(
    clock: Clock,
) -> None:
    admission = Admission(max_photos=99, max_bytes=10_000)
    await photos_one_after_another(admission, clock, seconds=0.1)
    async with AsyncExitStack() as stack:
        await enter(stack, admission, 20, BULK)
        assert admission.expected_wait_s(Priority.BULK) == pytest.approx(2.0)
        async with admission.admitted(10, SchedulingKey(), 0.1):
            assert admission.photos == 21


async def test_before_anything_was_learnt_nobody_is_refused_for_being_late() -> None:
    admission = Admission(max_photos=99, max_bytes=10_000)
    async with AsyncExitStack() as stack:
        await enter(stack, admission, 50, SchedulingKey())
        async with admission.admitted(10, SchedulingKey(), 1e-6):
            assert admission.photos == 51


async def test_what_fails_teaches_nothing_and_leaves_no_trace(clock: Clock) -> None:
    admission = Admission(max_photos=99, max_bytes=10_000)

    async def fail() -> None:
        async with admission.admitted(10, SchedulingKey()):
            clock.now += 50
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert admission.photos == 0
    async with admission.admitted(10, SchedulingKey()):
        assert admission.expected_wait_s(Priority.BULK) == 0
