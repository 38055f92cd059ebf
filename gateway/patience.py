"""Waits for a service that was just lost, as in its restart, instead of failing at once.

A service that stays away is not waited for: each caller would have to find out by itself. Knows
nothing of what is called.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from lookalike.errors import UpstreamUnavailableError

T = TypeVar("T")

# Pauses before a call is tried again: none, since another server may answer, then one for the
# channel to notice that a server is gone.
_PAUSES_S = (0.0, 0.05)
# Left to a call for its last try, and for the refusal to arrive before the caller's clock ends it.
_LAST_TRY_S = 0.1


class Patience:
    """What is known of one service's absence.

    Args:
        seconds: How long after its loss a service is waited for.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._back = asyncio.Event()
        self._back.set()
        self._lost_at = -math.inf

    def note(self, ready: bool) -> None:
        """Notes whether the service can be reached now."""
        if ready:
            self._back.set()
        elif self._back.is_set():
            self._back.clear()
            self._lost_at = time.monotonic()

    async def persist(
        self,
        attempt: Callable[[], Awaitable[T]],
        until: float,
        first: Callable[[], Awaitable[T]] | None = None,
    ) -> T:
        """Returns what an attempt returns; tries again where the service is there, or comes back.

        gRPC's own retries do not suffice: a killed server fails all of its calls at once, which
        exhausts the retry throttle, calls cancelled by a stopping server are not retried, and all
        of them are over before a restart is.

        Args:
            attempt: The call.
            until: When it must be over, by the monotonic clock.
            first: The first attempt, if it is another.

        Raises:
            UpstreamUnavailableError: The service did not come back in time.
        """
        tried = first or attempt
        for pause_s in _PAUSES_S:
            try:
                return await tried()
            except UpstreamUnavailableError:
                if not await self._is_there(pause_s, until):
                    raise
            tried = attempt
        return await tried()

    async def _is_there(self, pause_s: float, until: float) -> bool:
        if time.monotonic() + pause_s >= until - _LAST_TRY_S:
            return False
        await asyncio.sleep(pause_s)
        if self._back.is_set():
            return True
        left_s = min(self._lost_at + self._seconds, until - _LAST_TRY_S) - time.monotonic()
        if left_s <= 0:
            return False
        try:
            async with asyncio.timeout(left_s):
                return await self._back.wait()
        except TimeoutError:
            return False
