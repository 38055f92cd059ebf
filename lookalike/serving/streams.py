"""Answers the requests of a bidirectional stream concurrently.

Messages of `answer_by_id` have an `id` and either a `response` or an `error`; nothing else of their
types matters here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from lookalike.errors import InvalidArgumentError
from lookalike.serving.interceptors import in_band_status

MAX_ID_LENGTH = 64

Request = TypeVar("Request")
Response = TypeVar("Response")


async def answer_concurrently(
    requests: AsyncIterator[Request],
    answer: Callable[[Request], Awaitable[Response]],
    *,
    limit: int,
) -> AsyncIterator[Response]:
    """Yields answers as they complete, in any order.

    Stops reading while `limit` requests are unanswered, or answered but not yet taken by the
    client: back-pressure in both directions. When the caller leaves, work in progress is cancelled.

    Args:
        requests: The stream's requests.
        answer: Answers one request; an exception ends the stream.
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
        await reader  # re-raises an error of reading
    finally:
        reader.cancel()
        for task in tasks:
            task.cancel()
        await asyncio.gather(reader, *tasks, return_exceptions=True)


async def answer_by_id(
    requests: AsyncIterator[Request],
    answer: Callable[[Request], Awaitable[Any]],
    message: Callable[..., Response],
    *,
    limit: int,
) -> AsyncIterator[Response]:
    """Yields a message for each request, in any order: its id and a response or an error.

    Args:
        requests: The stream's requests, each with an `id`.
        answer: Computes the response of one request; an exception becomes its error.
        message: Builds the message from `id` and either `response` or `error`.
        limit: Most requests in progress, at least 1.
    """
    unanswered: set[str] = set()

    async def answered(request: Any) -> Response:
        key: str = request.id
        try:
            _check_id(key, unanswered)
        except InvalidArgumentError as error:
            return message(id=key, error=in_band_status(error))
        unanswered.add(key)
        try:
            return message(id=key, response=await answer(request))
        except Exception as error:
            return message(id=key, error=in_band_status(error))
        finally:
            unanswered.discard(key)

    async for response in answer_concurrently(requests, answered, limit=limit):
        yield response


def _check_id(key: str, unanswered: set[str]) -> None:
    if not 1 <= len(key) <= MAX_ID_LENGTH:
        raise InvalidArgumentError(
            f"id has {len(key)} characters; it must have 1 to {MAX_ID_LENGTH}", field="id"
        )
    if key in unanswered:
        raise InvalidArgumentError(
            f"id '{key}' is already used by an unanswered request of this stream", field="id"
        )
