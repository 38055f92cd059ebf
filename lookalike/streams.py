"""Answers the requests of a bidirectional stream, several at a time. Knows no message type."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

Request = TypeVar("Request")
Response = TypeVar("Response")


async def answer_concurrently(
    requests: AsyncIterator[Request],
    answer: Callable[[Request], Awaitable[Response]],
    *,
    limit: int,
) -> AsyncIterator[Response]:
    """Yields the answers as they come, in any order.

    Stops reading while `limit` requests are unanswered or answered but not yet taken by the
    client, so a slow client is felt here and a fast one there. When the caller goes, work in
    progress is cancelled.

    Args:
        requests: The stream's requests.
        answer: Answers one; what it raises ends the stream.
        limit: Most requests in progress, at least 1.
    """
    answers: asyncio.Queue[asyncio.Task[Response] | None] = asyncio.Queue()
    free = asyncio.Semaphore(limit)
    tasks: set[asyncio.Task[Response]] = set()

    async def read() -> None:
        await free.acquire()
        async for request in requests:
            task = asyncio.ensure_future(answer(request))
            tasks.add(task)
            task.add_done_callback(answers.put_nowait)
            await free.acquire()
        await asyncio.gather(*tasks, return_exceptions=True)

    reader = asyncio.create_task(read())
    reader.add_done_callback(lambda _: answers.put_nowait(None))
    try:
        while (task := await answers.get()) is not None:
            tasks.discard(task)
            yield task.result()
            free.release()
        await reader  # raises what reading raised
    finally:
        reader.cancel()
        for task in tasks:
            task.cancel()
        await asyncio.gather(reader, *tasks, return_exceptions=True)
