"""Callers of gateways through the SDK: what they got, when, and what was acknowledged to them."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from benchmarks.gateway.rounds import unseen
from lookalike import CataloguePhoto, Client, LookalikeError

# Calls in turn: half of them need the embedder, all but one the index.
KINDS = ("ingest", "similar by photo", "get", "similar by listing")
_START_S = 60


@dataclass(frozen=True)
class Call:
    """One call, by the monotonic clock.

    Attributes:
        kind: One of KINDS.
        started: When it began.
        ended: When it was answered or refused.
        refused: Code and reason; empty if it was answered.
        message: The refusal's.
    """

    kind: str
    started: float
    ended: float
    refused: str = ""
    message: str = ""

    @property
    def seconds(self) -> float:
        """What it took."""
        return self.ended - self.started


class Load:
    """Callers in threads, each with one call after the other; use as a context manager.

    Args:
        gateways: Their addresses.
        photos: Photos that are sent, each time with other bytes.
        callers: How many.
        rate: Calls a second, of all of them together.
        timeout_s: Each call's deadline.
        listings: Written over and over.
        client: Further arguments of the client.
    """

    def __init__(
        self,
        gateways: str,
        photos: Sequence[bytes],
        *,
        callers: int = 6,
        rate: float = 40.0,
        timeout_s: float = 10.0,
        listings: int = 1000,
        **client: Any,
    ) -> None:
        self._gateways = gateways
        self._photos = unseen(photos)
        self._pause_s = callers / rate
        self._listings = listings
        self._options = {"timeout": timeout_s, **client}
        self._threads = [threading.Thread(target=self._ask) for _ in range(callers)]
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._stop = threading.Event()
        self._failed: list[BaseException] = []
        self._news = threading.Condition()
        self.calls: list[Call] = []
        # By the photo's id, the number of its last write that was acknowledged: its price.
        self.acknowledged: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._client = Client(self._gateways, **self._options)
        for thread in self._threads:
            thread.start()
        try:
            self.answered(2 * len(KINDS))
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()
        if self._failed and error is None:
            raise self._failed[0]

    def answered(self, count: int, timeout_s: float = _START_S) -> None:
        """Waits until so many calls that begin from now on were answered, of each kind some."""
        since = time.monotonic()

        def enough() -> bool:
            new = [call for call in self.calls if call.started >= since and not call.refused]
            kinds = {call.kind for call in new}
            return bool(self._failed) or (len(new) >= count and len(kinds) == len(KINDS))

        with self._news:
            if not self._news.wait_for(enough, timeout_s):
                raise RuntimeError(f"no {count} calls were answered within {timeout_s:g} s")

    def since(self, moment: float) -> Outcome:
        """Returns what became of the calls that ended after a moment."""
        with self._news:
            return Outcome([call for call in self.calls if call.ended >= moment], moment)

    def lost(self) -> list[str]:
        """Returns the photos whose last acknowledged write is not there; after the load's end."""
        with Client(self._gateways, **self._options) as client:
            stored = {photo.item_id: photo.price or 0 for photo in client.listings(page_size=1000)}
        return [key for key, number in self.acknowledged.items() if stored.get(key, -1) < number]

    def _end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._client.close()

    def _ask(self) -> None:
        try:
            while not self._stop.is_set():
                with self._lock:
                    number, photo = next(self._numbers), next(self._photos)
                call = self._one(number, photo)
                with self._news:
                    self.calls.append(call)
                    self._news.notify_all()
                self._stop.wait(self._pause_s - call.seconds)
        except BaseException as error:
            self._failed.append(error)
            raise

    def _one(self, number: int, photo: bytes) -> Call:
        kind = KINDS[number % len(KINDS)]
        writes = number // len(KINDS)
        key = f"photo-{writes % self._listings}"
        nothing_yet = not self.acknowledged
        # Not the newest: others may be written again just now.
        known = next(iter(self.acknowledged), key)
        client = self._client
        work: dict[str, Callable[[], object]] = {
            "ingest": lambda: client.ingest(
                CataloguePhoto(key, f"listing of {key}", price=number), photo
            ),
            "similar by photo": lambda: client.similar(photo),
            "get": lambda: client.page(page_size=20),
            "similar by listing": lambda: client.similar(item_id=known),
        }
        started = time.monotonic()
        try:
            work[kind]()
        except LookalikeError as error:
            refused = f"{error.code.name} {error.reason}"
            if not (nothing_yet and refused.endswith("_NOT_FOUND")):
                return Call(kind, started, time.monotonic(), refused, error.message)
        if kind == "ingest":
            self.acknowledged[key] = number
        return Call(kind, started, time.monotonic())


@dataclass(frozen=True)
class Outcome:
    """What became of calls after a moment."""

    calls: Sequence[Call]
    moment: float

    @property
    def failed(self) -> Sequence[Call]:
        """Those that were refused."""
        return [call for call in self.calls if call.refused]

    @property
    def longest_s(self) -> float:
        """What the longest took."""
        return max((call.seconds for call in self.calls), default=0.0)

    @property
    def failing_s(self) -> float:
        """Seconds from the moment until the last refusal."""
        return max((call.ended - self.moment for call in self.failed), default=0.0)

    def __str__(self) -> str:
        reasons = Counter(call.refused for call in self.failed)
        told = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        return f"of {len(self.calls)}" + (f": {told}" if told else "")
