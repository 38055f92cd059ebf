"""Batches the small searches that arrive in one turn of the event loop.

No search waits for others to come: a batch is what arrived while the loop was busy. Sixteen queries
at once cost little more than three one by one, most of which is Python's overhead.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from index_service.records import Answer, Query, Search

Find: TypeAlias = Callable[[str, Sequence[Query], Search, int], Answer | None]

# Queries in a batch: more would block the loop for a millisecond.
_MOST_TOGETHER = 32


class _Common(NamedTuple):
    """What searches must share to be in one batch."""

    name: str
    search: Search
    min_seq: int


class _Waiting(NamedTuple):
    queries: Sequence[Query]
    future: asyncio.Future[Answer | None]


class SearchBatcher:
    """Answers small searches in batches; use on one event loop.

    Args:
        find: Answers queries without blocking; returns None if it cannot.
    """

    def __init__(self, find: Find) -> None:
        self._find = find
        self._waiting: dict[_Common, deque[_Waiting]] = {}

    async def find(
        self, name: str, queries: Sequence[Query], search: Search, min_seq: int
    ) -> Answer | None:
        """Returns the result of `find` for these queries, or raises its error for them."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._answer_all)
        future: asyncio.Future[Answer | None] = loop.create_future()
        self._waiting.setdefault(_Common(name, search, min_seq), deque()).append(
            _Waiting(queries, future)
        )
        return await future

    def _answer_all(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for common, searches in waiting.items():
            while searches:
                together: list[_Waiting] = []
                queries = 0
                while searches and (not together or queries < _MOST_TOGETHER):
                    together.append(searches.popleft())
                    queries += len(together[-1].queries)
                self._answer(common, [s for s in together if not s.future.done()])

    def _answer(self, common: _Common, searches: list[_Waiting]) -> None:
        if not searches:  # all of them were cancelled
            return
        queries = [query for search in searches for query in search.queries]
        try:
            answer = self._find(common.name, queries, common.search, common.min_seq)
        except Exception as error:
            if len(searches) == 1:
                searches[0].future.set_exception(error)
                return
            for search in searches:  # one of them is faulty, the others are not
                self._answer(common, [search])
            return
        start = 0
        for search in searches:
            end = start + len(search.queries)
            own = None if answer is None else answer._replace(results=answer.results[start:end])
            search.future.set_result(own)
            start = end
