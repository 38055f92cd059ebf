"""Hedges slow calls: sends a second one when the first takes long.

After "The Tail at Scale" (Dean and Barroso, 2013): the second call goes to another server, the
first answer wins, and a budget keeps the additional load small when everything is slow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

# Most second calls that quiet times may save up for a burst.
_MOST_SAVED = 10.0


class Hedger:
    """Hedges calls within a budget.

    Args:
        after_s: Seconds to wait for the first answer; 0 never sends a second call.
        share: Most second calls, as a share of all.
    """

    def __init__(self, after_s: float, share: float) -> None:
        self._after_s = after_s
        self._share = share
        self._saved = 1.0 if share else 0.0
        self.hedged = 0  # calls that were sent a second time

    async def call(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Returns the first answer and cancels the other call; raises only if both fail."""
        if not self._after_s:
            return await attempt()
        self._saved = min(_MOST_SAVED, self._saved + self._share)
        calls: set[asyncio.Future[T]] = {asyncio.ensure_future(attempt())}
        try:
            await asyncio.wait(calls, timeout=self._after_s)
            if not any(call.done() for call in calls) and self._saved >= 1:
                self._saved -= 1
                self.hedged += 1
                calls.add(asyncio.ensure_future(attempt()))
            return await _first_answer(calls)
        finally:
            for call in calls:
                call.cancel()
            # Retrieves errors that nobody will look at.
            await asyncio.gather(*calls, return_exceptions=True)


async def _first_answer(calls: set[asyncio.Future[T]]) -> T:
    pending = set(calls)
    while True:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        answered = [call for call in done if not call.exception()]
        if answered or not pending:
            return (answered or list(done))[0].result()
