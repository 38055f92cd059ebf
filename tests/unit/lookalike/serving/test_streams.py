"""Many requests of one stream at a time, but never more than the limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress

import pytest

from lookalike.serving.streams import answer_concurrently


class Source:
    """Requests 0, 1, … that count how many were read, and may wait or fail at one."""

    def __init__(self, number: int, *, fail_at: int = -1, wait_at: int = -1) -> None:
        self.read = 0
        self.ended = False
        self._number = number
        self._fail_at = fail_at
        self._wait_at = wait_at

    async def __aiter__(self) -> AsyncIterator[int]:
        try:
            for i in range(self._number):
                if i == self._fail_at:
                    raise ConnectionError("the client is gone")
                if i == self._wait_at:
                    await asyncio.Event().wait()
                self.read += 1
                yield i
        finally:
            self.ended = True


class Work:
    """Answers that wait until they are let go, one by one or all."""

    def __init__(self) -> None:
        self.running: dict[int, asyncio.Event] = {}
        self.most = 0
        self.cancelled: list[int] = []

    async def __call__(self, request: int) -> int:
        self.running[request] = asyncio.Event()
        self.most = max(self.most, len(self.running))
        try:
            await self.running[request].wait()
        except asyncio.CancelledError:
            self.cancelled.append(request)
            raise
        finally:
            del self.running[request]
        return request * 10

    def finish(self, request: int) -> None:
        self.running[request].set()


async def settle() -> None:
    """Lets every task go as far as it can without something from outside."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_every_request_is_answered_once() -> None:
    async def answer(request: int) -> int:
        await asyncio.sleep(0)
        return request * 10

    answers = [a async for a in answer_concurrently(aiter(Source(100)), answer, limit=7)]
    assert sorted(answers) == [i * 10 for i in range(100)]


async def test_stream_without_requests_has_no_answers() -> None:
    work = Work()
    assert [a async for a in answer_concurrently(aiter(Source(0)), work, limit=1)] == []


async def test_answers_come_in_the_order_in_which_they_are_ready() -> None:
    work, source = Work(), Source(3)
    answers = answer_concurrently(aiter(source), work, limit=3)
    first = asyncio.ensure_future(anext(answers))
    await settle()
    for request in (2, 0, 1):
        work.finish(request)
        assert await (first if request == 2 else anext(answers)) == request * 10
    with pytest.raises(StopAsyncIteration):
        await anext(answers)


async def test_no_more_than_the_limit_is_read_or_in_progress() -> None:
    work, source = Work(), Source(20)
    taken: list[int] = []

    async def take_all() -> None:
        taken.extend([a async for a in answer_concurrently(aiter(source), work, limit=4)])

    taker = asyncio.create_task(take_all())
    for answered in range(17):
        await settle()
        assert source.read == answered + 4
        work.finish(answered)
    await settle()
    for request in list(work.running):
        work.finish(request)
    await taker
    assert work.most == 4
    assert len(taken) == 20


async def test_reading_stops_while_the_client_takes_no_answers() -> None:
    source = Source(100)

    async def answer(request: int) -> int:
        return request

    async with aclosing(answer_concurrently(aiter(source), answer, limit=4)) as answers:
        await anext(answers)
        await settle()
        # The one taken is given back its place only when the client asks for the next.
        assert source.read == 4
        await anext(answers)
        await settle()
        assert source.read == 5


async def test_abandoned_stream_cancels_its_work_and_stops_reading() -> None:
    work, source = Work(), Source(100)
    answers = answer_concurrently(aiter(source), work, limit=4)
    first = asyncio.ensure_future(anext(answers))
    await settle()
    work.finish(1)
    assert await first == 10
    await answers.aclose()
    assert sorted(work.cancelled) == [0, 2, 3]
    assert not work.running
    await settle()
    assert source.read == 4


async def test_cancelled_stream_cancels_its_work() -> None:
    work, source = Work(), Source(3, wait_at=2)

    async def take_all() -> None:
        async for _ in answer_concurrently(aiter(source), work, limit=4):
            pass

    taker = asyncio.create_task(take_all())
    await settle()
    taker.cancel()
    with suppress(asyncio.CancelledError):
        await taker
    assert sorted(work.cancelled) == [0, 1]
    assert source.ended


async def test_error_while_reading_ends_the_stream_with_it() -> None:
    work, source = Work(), Source(5, fail_at=2)
    answers = answer_concurrently(aiter(source), work, limit=4)
    with pytest.raises(ConnectionError, match="the client is gone"):
        await anext(answers)
    assert sorted(work.cancelled) == [0, 1]


async def test_exception_of_one_answer_ends_the_stream_and_cancels_the_others() -> None:
    work = Work()

    async def answer(request: int) -> int:
        if request == 1:
            raise ValueError("one is bad")
        return await work(request)

    with pytest.raises(ValueError, match="one is bad"):
        await anext(answer_concurrently(aiter(Source(3)), answer, limit=3))
    assert sorted(work.cancelled) == [0, 2]
