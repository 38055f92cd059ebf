"""Runs parts of a request side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from lookalike.errors import LookalikeError

T = TypeVar("T")
U = TypeVar("U")


async def together(first: Coroutine[Any, Any, T], second: Coroutine[Any, Any, U]) -> tuple[T, U]:
    """Returns both results; if one fails, the other is cancelled and the error raised."""
    one, two = await all_of([first, second])
    return one, two


async def all_of(work: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    """Returns all results; if one fails, the others are cancelled and the first error raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in work]
    except* LookalikeError as errors:
        first = errors.exceptions[0]
        assert isinstance(first, LookalikeError)
        raise first from None
    return [task.result() for task in tasks]
