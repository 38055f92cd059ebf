"""The bounded thread pool."""

from __future__ import annotations

import asyncio
import threading

import pytest

from index_service.workers import CallerLeftError, Workers, stop_if_caller_left
from lookalike.errors import QueueFullError


async def test_result_and_exception_reach_the_caller() -> None:
    with Workers("jobs", threads=1, waiting=1) as workers:
        assert await workers.run(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            await workers.run(divmod, 7, 0)
        assert await workers.run(lambda: threading.current_thread().name) == "index-jobs_0"


async def test_full_queue_rejects_without_waiting_and_accepts_again_later() -> None:
    release = threading.Event()
    with Workers("jobs", threads=1, waiting=1) as workers:
        accepted = [asyncio.ensure_future(workers.run(release.wait)) for _ in range(2)]
        await asyncio.sleep(0)  # lets both take their places
        with pytest.raises(QueueFullError, match="2 jobs run or wait") as caught:
            await workers.run(int)
        assert caught.value.retry_after_ms is not None
        release.set()
        await asyncio.gather(*accepted)
        assert await workers.run(int) == 0


async def test_cancelled_caller_takes_a_waiting_function_along_but_not_a_running_one() -> None:
    started, release = threading.Event(), threading.Event()
    ran: list[str] = []

    def first() -> None:
        started.set()
        release.wait()
        ran.append("first")

    with Workers("jobs", threads=1, waiting=1) as workers:
        running = asyncio.ensure_future(workers.run(first))
        waiting = asyncio.ensure_future(workers.run(ran.append, "second"))
        await asyncio.to_thread(started.wait)
        running.cancel()
        waiting.cancel()
        outcomes = await asyncio.gather(running, waiting, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError] * 2
        release.set()
        await workers.run(ran.append, "third")
    assert ran == ["first", "third"]


async def test_function_that_asks_is_told_that_its_caller_has_left() -> None:
    started, release = threading.Event(), threading.Event()
    told: list[bool] = []

    def ask() -> None:
        started.set()
        release.wait()
        try:
            stop_if_caller_left()
        except CallerLeftError:
            told.append(True)
            raise
        told.append(False)

    stop_if_caller_left()  # outside of workers nobody can leave
    with Workers("jobs", threads=1, waiting=1) as workers:
        leaving = asyncio.ensure_future(workers.run(ask))
        await asyncio.to_thread(started.wait)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        release.set()
        await workers.run(ask)  # in the same thread, for another caller
    assert told == [True, False]
