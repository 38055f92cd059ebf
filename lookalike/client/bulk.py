"""Schedules photos on streams and tracks their outcomes, without doing any I/O.

`threads.py` and `tasks.py` move the messages and report what happened and when, so this module
needs no gRPC call, thread, event loop or clock.

Every photo that is put in comes out once, with its result or its error, whatever breaks in between.
Photos of a lost stream, and those that a service refused as UNAVAILABLE, are sent again up to the
allowed number of retries. A slot whose stream is lost opens another.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import grpc

from lookalike.client.failures import LOST
from lookalike.errors import DeadlineExceededError, LookalikeError, UpstreamUnavailableError

Id = TypeVar("Id")
Result = TypeVar("Result")

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0


@dataclass(eq=False, slots=True)
class Item:
    """A photo that was put in and has no outcome yet.

    Attributes:
        number: Its place in the input, from 0; part of its id on the wire.
        id: The caller's.
        request: The message to send.
        failures: How many attempts failed.
    """

    number: int
    id: Any
    request: Any
    failures: int = 0


@dataclass(eq=False, slots=True)
class StreamSlot:
    """The place of one stream, open or still to be opened.

    Attributes:
        number: Its place among the slots, from 0.
        is_open: Whether photos may be sent on it.
        opens_at: When to open it, if it is closed.
        unanswered: Photos sent on it, by id on the wire.
        heard_at: When it last answered, or got something to answer.
        losses: How often its stream was lost since it last answered.
    """

    number: int
    is_open: bool = False
    opens_at: float = math.inf
    unanswered: dict[str, Item] = field(default_factory=dict)
    heard_at: float = 0.0
    losses: int = 0


class StreamScheduler(Generic[Id, Result]):
    """Distributes one run's photos over streams.

    Args:
        slots: How many streams.
        in_flight: Most unanswered photos of one stream.
        retries: How often a photo is sent again.
        silence_timeout_s: How long all streams may be silent while photos are unanswered. A stream
            that is silent for half of it is given up, and its photos go to others.
        ordered: Whether results come in the order of the input.
    """

    def __init__(
        self, *, slots: int, in_flight: int, retries: int, silence_timeout_s: float, ordered: bool
    ) -> None:
        self.slots = [StreamSlot(number) for number in range(slots)]
        # The others open at the first answer: by then gRPC knows all servers, and spreads the
        # streams over them instead of putting all on the first that it reached.
        self.slots[0].opens_at = -math.inf
        self._in_flight = in_flight
        self._capacity = slots * in_flight
        self._retries = retries
        self._silence_timeout_s = silence_timeout_s
        self._ordered = ordered
        self._waiting: deque[Item] = deque()
        self._later: list[tuple[float, int, Item]] = []  # a heap: when, number, item
        self._outcomes: deque[tuple[Id, Result | LookalikeError | OSError]] = deque()
        self._early: dict[int, tuple[Id, Result | LookalikeError | OSError]] = {}
        self._put = 0
        self._taken = 0
        self._heard_at = 0.0
        self._last_loss: LookalikeError | None = None
        self._was_silent = False  # and has not answered since

    @property
    def room(self) -> int:
        """How many photos may be put in."""
        return self._capacity - (self._put - self._taken)

    @property
    def is_empty(self) -> bool:
        """Whether everything that was put in was taken out."""
        return self._put == self._taken

    def put(self, id: Id, request: Any, now: float) -> None:  # noqa: A002 - the caller's word
        """Puts a photo in."""
        if not self._is_asking:
            self._heard_at = now  # until now there was nothing to answer
        self._waiting.append(Item(self._put, id, request))
        self._put += 1

    def put_failed(self, id: Id, error: LookalikeError | OSError) -> None:  # noqa: A002
        """Puts in a photo that cannot be sent."""
        self._settle(Item(self._put, id, None), error)
        self._put += 1

    def take(self) -> tuple[Id, Result | LookalikeError | OSError] | None:
        """Takes out one photo's id and outcome, if there is one."""
        if not self._outcomes:
            return None
        self._taken += 1
        return self._outcomes.popleft()

    def to_open(self, now: float) -> list[StreamSlot]:
        """Returns the slots that are due to open, and marks them open."""
        slots = [slot for slot in self.slots if not slot.is_open and slot.opens_at <= now]
        for slot in slots:
            slot.is_open = True
        return slots

    def to_send(self, now: float) -> Iterator[tuple[StreamSlot, str, Any]]:
        """Yields what can be sent now: the least busy slot, the id on the wire, the request."""
        while self._later and self._later[0][0] <= now:
            # Retries first: with `ordered`, the results of others wait for them.
            self._waiting.appendleft(heapq.heappop(self._later)[2])
        while self._waiting:
            slot = min(
                (slot for slot in self.slots if slot.is_open),
                key=lambda slot: len(slot.unanswered),
                default=None,
            )
            if slot is None or len(slot.unanswered) >= self._in_flight:
                return
            item = self._waiting.popleft()
            if not slot.unanswered:
                slot.heard_at = now
            # An id is unique on its stream, even if an answer is lost and the photo sent again.
            wire_id = f"{item.number}.{item.failures}"
            slot.unanswered[wire_id] = item
            yield slot, wire_id, item.request

    def answered(
        self, slot: StreamSlot, wire_id: str, outcome: Result | LookalikeError, now: float
    ) -> None:
        """Records an answer; ignores one for a photo that is not waiting on this slot."""
        slot.heard_at = self._heard_at = now
        slot.losses = 0
        self._last_loss = None
        self._was_silent = False
        for other in self.slots:
            if other.opens_at == math.inf:
                other.opens_at = now
        item = slot.unanswered.pop(wire_id, None)
        if item is None:
            return
        if isinstance(outcome, LookalikeError) and outcome.code is grpc.StatusCode.UNAVAILABLE:
            self._again(item, outcome, now)
        else:
            self._settle(item, outcome)

    def lost(self, slot: StreamSlot, error: LookalikeError, now: float) -> None:
        """Records that a stream failed, or ended too early."""
        items, slot.unanswered = list(slot.unanswered.values()), {}
        slot.is_open = False
        slot.opens_at = now + _pause(slot.losses)
        slot.losses += 1
        self._last_loss = error
        for item in items:
            if error.code in LOST or isinstance(error, DeadlineExceededError):
                self._again(item, error, now, at_once=True)
            else:
                self._settle(item, error)

    def exclude_pause(self, seconds: float) -> None:
        """Excludes time spent in the caller's code from the silence timeouts."""
        self._heard_at += seconds
        for slot in self.slots:
            slot.heard_at += seconds

    def silent(self, now: float) -> list[StreamSlot]:
        """Returns the slots whose streams are silent and to be given up.

        Where all are silent, the photos that they wait for fail.

        Raises:
            LookalikeError: All streams are silent for the second time in a row, or there is no
                connection; gives the reason, if one is known.
        """
        if self._is_asking and now >= self._heard_at + self._silence_timeout_s:
            return self._fail_unanswered(now)
        return [
            slot
            for slot in self.slots
            if slot.unanswered and now >= slot.heard_at + self._silence_timeout_s / 2
        ]

    def wait_s(self, now: float) -> float | None:
        """Returns the seconds after which to ask `to_open`, `to_send` and `silent` again.

        None if only an event can change their answers.
        """
        times = [slot.opens_at for slot in self.slots if not slot.is_open]
        times += [
            slot.heard_at + self._silence_timeout_s / 2 for slot in self.slots if slot.unanswered
        ]
        if self._later:
            times.append(self._later[0][0])
        if self._is_asking:
            times.append(self._heard_at + self._silence_timeout_s)
        soonest = min(times, default=math.inf)
        return None if soonest == math.inf else max(0.0, soonest - now)

    @property
    def _is_asking(self) -> bool:
        # Results that the caller has yet to take do not count as silence.
        return bool(self._waiting or self._later or any(slot.unanswered for slot in self.slots))

    def _fail_unanswered(self, now: float) -> list[StreamSlot]:
        silent = [slot for slot in self.slots if slot.unanswered]
        items = [item for slot in silent for item in slot.unanswered.values()]
        loss = self._last_loss
        is_connected = loss is None or isinstance(loss, DeadlineExceededError)
        heard = f"nothing was heard for {self._silence_timeout_s:g} s (photo_timeout)"
        if not (items and is_connected) or self._was_silent:
            reason = loss.message if loss else "connections are open"
            raise UpstreamUnavailableError(f"{heard}: {reason}{_waited_for(items)}")
        self._was_silent = True
        self._heard_at = now
        for slot in silent:
            slot.unanswered = {}
        for item in items:
            # It may be one that the service does not get done with: others may fare better.
            self._settle(item, DeadlineExceededError(heard))
        return silent

    def _again(
        self, item: Item, error: LookalikeError, now: float, *, at_once: bool = False
    ) -> None:
        item.failures += 1
        if item.failures > self._retries:
            self._settle(item, error)
            return
        asked_s = (error.retry_after_ms or 0) / 1e3
        pause_s = 0.0 if at_once else max(asked_s, _pause(item.failures))
        heapq.heappush(self._later, (now + pause_s, item.number, item))

    def _settle(self, item: Item, outcome: Result | LookalikeError | OSError) -> None:
        if not self._ordered:
            self._outcomes.append((item.id, outcome))
            return
        self._early[item.number] = (item.id, outcome)
        while (number := self._taken + len(self._outcomes)) in self._early:
            self._outcomes.append(self._early.pop(number))


def _pause(failures: int) -> float:
    # Jitter: many streams must not reconnect at the same moment.
    longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**failures)
    return random.uniform(longest / 2, longest)


def _waited_for(items: Sequence[Item]) -> str:
    if not items:
        return ""
    others = f" and {len(items) - 1} others" if len(items) > 1 else ""
    return f"; waited for photo {str(items[0].id)[:200]}{others}"
