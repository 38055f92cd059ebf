"""Second calls: when they are sent, who wins, and how many there may be."""

from __future__ import annotations

import asyncio

import pytest

from gateway.hedging import Hedger


class Calls:
    """Each call waits for a future of its own."""

    def __init__(self) -> None:
        self.made: list[asyncio.Future[str]] = []
        self.second = asyncio.Event()

    async def __call__(self) -> str:
        self.made.append(asyncio.get_running_loop().create_future())
        if len(self.made) == 2:
            self.second.set()
        return await self.made[-1]


async def hedged(calls: Calls) -> asyncio.Task[str]:
    """A call that was sent a second time."""
    task = asyncio.create_task(Hedger(0.001, 0.05).call(calls))
    await calls.second.wait()
    return task


async def test_second_call_that_answers_first_wins_and_the_other_is_cancelled() -> None:
    calls = Calls()
    task = await hedged(calls)
    calls.made[1].set_result("second")
    assert await task == "second"
    assert calls.made[0].cancelled()


async def test_first_call_may_still_win() -> None:
    calls = Calls()
    task = await hedged(calls)
    calls.made[0].set_result("first")
    assert await task == "first"
    assert calls.made[1].cancelled()


async def test_one_that_fails_leaves_it_to_the_other() -> None:
    calls = Calls()
    task = await hedged(calls)
    calls.made[0].set_exception(OSError("gone"))
    await asyncio.sleep(0)
    calls.made[1].set_result("second")
    assert await task == "second"


async def test_both_that_fail_are_a_failure() -> None:
    calls = Calls()
    task = await hedged(calls)
    for call in calls.made:
        call.set_exception(OSError("gone"))
    with pytest.raises(OSError, match="gone"):
        await task


async def test_caller_who_leaves_cancels_both() -> None:
    calls = Calls()
    task = await hedged(calls)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert all(call.cancelled() for call in calls.made)


async def test_second_calls_are_no_more_than_their_share() -> None:
    hedger, seconds = Hedger(0.001, 0.05), 0
    for _ in range(100):
        calls = Calls()
        task = asyncio.create_task(hedger.call(calls))
        # Long enough for a second call, and an event if there is one.
        await asyncio.wait([asyncio.create_task(calls.second.wait())], timeout=0.005)
        calls.made[0].set_result("first")
        assert await task == "first"
        seconds += len(calls.made) - 1
    assert 1 <= seconds <= 6


async def test_nothing_is_sent_twice_unless_told() -> None:
    calls = Calls()
    task = asyncio.create_task(Hedger(0, 1).call(calls))
    await asyncio.sleep(0.01)
    assert len(calls.made) == 1
    calls.made[0].set_result("only")
    assert await task == "only"
    shareless = asyncio.create_task(Hedger(0.001, 0).call(calls))
    await asyncio.sleep(0.01)
    assert len(calls.made) == 2
    calls.made[1].set_result("only")
    assert await shareless == "only"
