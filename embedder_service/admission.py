"""Admission control: bounds what is in the service and its bytes, and refuses what is late."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from embedder_service.scheduling import FairSlots, Priority, SchedulingKey
from lookalike.errors import DeadlineUnreachableError, QueueFullError

# Weight of the latest photo in the moving average of seconds per photo: about the last 50 count.
_MEMORY = 0.02
# Time that a deadline must leave, in expected waits: a photo that is done just too late was wasted
# work. Without a margin, ten times the load cut the photos answered in time by a fifth.
_MARGIN = 1.5
# Suggested delay before a retry, in expected waits: other refused callers will retry as well.
_RETRY = 2
_LEAST_RETRY_MS = 50


class Admission:
    """Bounds the photos, or the texts, in the service.

    An interactive photo that finds no room is refused at once. A bulk photo waits for one of half
    as many places, which leaves some for interactive ones: its bytes are in memory anyway, and its
    stream is not read further while it waits.

    Args:
        max_photos: Photos in the service at which interactive ones are refused.
        max_bytes: Bytes of these photos at which interactive ones are refused.
        kind: What they are, for messages: `photos` or `texts`.
    """

    def __init__(self, *, max_photos: int, max_bytes: int, kind: str = "photos") -> None:
        self._kind = kind
        self._max_photos = max_photos
        self._max_bytes = max_bytes
        self._bulk = FairSlots(max(1, max_photos // 2))
        self._inside = dict.fromkeys(Priority, 0)
        self._bytes = 0
        self._seconds_each = 0.0
        self._learnt = 0
        self._last_moved = 0.0

    @property
    def photos(self) -> int:
        """The number of photos in the service."""
        return sum(self._inside.values())

    def expected_wait_s(self, priority: Priority) -> float:
        """Estimates how long the photos ahead of a new one will take."""
        ahead = sum(count for other, count in self._inside.items() if other <= priority)
        return ahead * self._seconds_each

    @asynccontextmanager
    async def admitted(
        self, size: int, key: SchedulingKey, remaining_s: float | None = None
    ) -> AsyncIterator[None]:
        """Reserves room for a photo.

        Args:
            size: Its bytes.
            key: Its priority and source.
            remaining_s: Time left until its deadline; None if it has none.

        Raises:
            QueueFullError: There is no room; interactive photos only.
            DeadlineUnreachableError: It would not be done in time.
        """
        if key.priority is Priority.INTERACTIVE:
            with self._room(size, key, remaining_s):
                yield
        else:
            async with self._bulk.slot(key):
                with self._room(size, key, remaining_s):
                    yield

    @contextmanager
    def _room(self, size: int, key: SchedulingKey, remaining_s: float | None) -> Iterator[None]:
        self._check(size, key, remaining_s)
        if not self.photos:
            self._last_moved = time.monotonic()
        self._inside[key.priority] += 1
        self._bytes += size
        try:
            yield
            self._learn()
        finally:
            self._inside[key.priority] -= 1
            self._bytes -= size

    def _check(self, size: int, key: SchedulingKey, remaining_s: float | None) -> None:
        wait_s = self.expected_wait_s(key.priority)
        retry_after_ms = max(_LEAST_RETRY_MS, round(_RETRY * wait_s * 1e3))
        interactive = key.priority is Priority.INTERACTIVE
        if interactive and self.photos >= self._max_photos:
            raise QueueFullError(
                f"{self.photos} {self._kind} are in the service; the limit is {self._max_photos} "
                "(LOOKALIKE_EMBEDDER_MAX_QUEUE)",
                retry_after_ms=retry_after_ms,
            )
        if interactive and self.photos and self._bytes + size > self._max_bytes:
            raise QueueFullError(
                f"{self._kind} of {self._bytes:,} bytes are in the service, and this one has "
                f"{size:,}; the limit is {self._max_bytes:,} (LOOKALIKE_EMBEDDER_MAX_QUEUE_BYTES)",
                retry_after_ms=retry_after_ms,
            )
        if remaining_s is not None and _MARGIN * wait_s > remaining_s:
            raise DeadlineUnreachableError(
                f"{self.photos} {self._kind} are in the service and will take about "
                f"{wait_s * 1e3:.0f} ms; the deadline is in {remaining_s * 1e3:.0f} ms",
                retry_after_ms=retry_after_ms,
            )

    def _learn(self) -> None:
        # Time since the previous photo left, or since the first one came: idle time does not count.
        now = time.monotonic()
        seconds, self._last_moved = now - self._last_moved, now
        self._learnt += 1
        known = self._seconds_each
        self._seconds_each = known + max(_MEMORY, 1 / self._learnt) * (seconds - known)
