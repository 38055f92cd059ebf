"""Which photo goes on which stream, and what became of it. Bookkeeping alone.

Knows no gRPC call, thread, event loop or clock: `threads.py` and `tasks.py` move the messages, and
tell it what happened and when.

A photo that was put in comes out once, with its result or its error, whatever breaks in between.
Photos of a stream that was lost, and those that a service could not take just then, are sent again
as often as allowed. Streams are called lanes here: a lane that is lost opens again.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Iterator
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
    """A photo on its way.

    Attributes:
        number: Its place in the input, from 0; on the wire its id.
        id: The caller's.
        request: The message that asks for it.
        failures: How often it was sent in vain.
    """

    number: int
    id: Any
    request: Any
    failures: int = 0


@dataclass(eq=False, slots=True)
class Lane:
    """A stream, or one to be.

    Attributes:
        number: Which.
        is_open: Whether photos may be sent on it.
        opens_at: When it is to be opened, if it is not.
        unanswered: What was sent on it, by id on the wire.
        heard_at: When it last answered, or got something to answer.
        losses: How often it was lost since it last answered.
    """

    number: int
    is_open: bool = False
    opens_at: float = math.inf
    unanswered: dict[str, Item] = field(default_factory=dict)
    heard_at: float = 0.0
    losses: int = 0


class Ledger(Generic[Id, Result]):
    """The books of one run.

    Args:
        lanes: How many streams.
        in_flight: Most unanswered photos of one.
        retries: How often a photo is sent again.
        patience_s: How long nothing at all may be heard while photos are unanswered. A lane that
            is silent for half of it is given up, and its photos go to others.
        ordered: Whether results come in the order of the input.
    """

    def __init__(
        self, *, lanes: int, in_flight: int, retries: int, patience_s: float, ordered: bool
    ) -> None:
        self.lanes = [Lane(number) for number in range(lanes)]
        # The others follow at the first answer: by then it is known which servers there are, and
        # they are spread over all of them, not heaped on the first that could be reached.
        self.lanes[0].opens_at = -math.inf
        self._in_flight = in_flight
        self._capacity = lanes * in_flight
        self._retries = retries
        self._patience_s = patience_s
        self._ordered = ordered
        self._waiting: deque[Item] = deque()
        self._later: list[tuple[float, int, Item]] = []  # a heap: when, number, item
        self._outcomes: deque[tuple[Id, Result | LookalikeError | OSError]] = deque()
        self._early: dict[int, tuple[Id, Result | LookalikeError | OSError]] = {}
        self._put = 0
        self._taken = 0
        self._heard_at = 0.0
        self._last_loss: LookalikeError | None = None

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
            self._heard_at = now  # nobody had anything to say until now
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

    def to_open(self, now: float) -> list[Lane]:
        """Returns the lanes whose time it is; they count as open then."""
        lanes = [lane for lane in self.lanes if not lane.is_open and lane.opens_at <= now]
        for lane in lanes:
            lane.is_open = True
        return lanes

    def to_send(self, now: float) -> Iterator[tuple[Lane, str, Any]]:
        """Yields what can be sent now: the lane with most room, the id on the wire, the request."""
        while self._later and self._later[0][0] <= now:
            # Before those that were never sent: in order, others may wait for them.
            self._waiting.appendleft(heapq.heappop(self._later)[2])
        while self._waiting:
            lane = min(
                (lane for lane in self.lanes if lane.is_open),
                key=lambda lane: len(lane.unanswered),
                default=None,
            )
            if lane is None or len(lane.unanswered) >= self._in_flight:
                return
            item = self._waiting.popleft()
            if not lane.unanswered:
                lane.heard_at = now
            # An id never comes twice on one stream, even if an answer gets lost.
            wire_id = f"{item.number}.{item.failures}"
            lane.unanswered[wire_id] = item
            yield lane, wire_id, item.request

    def answered(
        self, lane: Lane, wire_id: str, outcome: Result | LookalikeError, now: float
    ) -> None:
        """Notes an answer; one that nobody waits for is ignored."""
        lane.heard_at = self._heard_at = now
        lane.losses = 0
        self._last_loss = None
        for other in self.lanes:
            if other.opens_at == math.inf:
                other.opens_at = now
        item = lane.unanswered.pop(wire_id, None)
        if item is None:
            return
        if isinstance(outcome, LookalikeError) and outcome.code is grpc.StatusCode.UNAVAILABLE:
            self._again(item, outcome, now)
        else:
            self._settle(item, outcome)

    def lost(self, lane: Lane, error: LookalikeError, now: float) -> None:
        """Notes that a stream ended with an error, or ended too early."""
        items, lane.unanswered = list(lane.unanswered.values()), {}
        lane.is_open = False
        lane.opens_at = now + _pause(lane.losses)
        lane.losses += 1
        self._last_loss = error
        for item in items:
            if error.code in LOST or isinstance(error, DeadlineExceededError):
                self._again(item, error, now, at_once=True)
            else:
                self._settle(item, error)

    def excuse(self, seconds: float) -> None:
        """Notes that for so long nobody was there to hear anything."""
        self._heard_at += seconds
        for lane in self.lanes:
            lane.heard_at += seconds

    def silent(self, now: float) -> list[Lane]:
        """Returns the lanes to be given up, and raises if nothing at all is heard any more.

        Raises:
            LookalikeError: Why, as far as that is known.
        """
        if self._is_asking and now >= self._heard_at + self._patience_s:
            reason = self._last_loss.message if self._last_loss else "connections are open"
            raise UpstreamUnavailableError(
                f"nothing was heard for {self._patience_s:g} s (photo_timeout): {reason}"
            )
        return [
            lane
            for lane in self.lanes
            if lane.unanswered and now >= lane.heard_at + self._patience_s / 2
        ]

    def wait_s(self, now: float) -> float | None:
        """Returns when to ask `to_open`, `to_send` and `silent` again, if nothing happens before.

        None: not at all.
        """
        times = [lane.opens_at for lane in self.lanes if not lane.is_open]
        times += [lane.heard_at + self._patience_s / 2 for lane in self.lanes if lane.unanswered]
        if self._later:
            times.append(self._later[0][0])
        if self._is_asking:
            times.append(self._heard_at + self._patience_s)
        soonest = min(times, default=math.inf)
        return None if soonest == math.inf else max(0.0, soonest - now)

    @property
    def _is_asking(self) -> bool:
        # Results that nobody takes are no reason to be impatient.
        return bool(self._waiting or self._later or any(lane.unanswered for lane in self.lanes))

    def _again(
        self, item: Item, error: LookalikeError, now: float, *, at_once: bool = False
    ) -> None:
        item.failures += 1
        if item.failures > self._retries:
            self._settle(item, error)
            return
        told_s = (error.retry_after_ms or 0) / 1e3
        pause_s = 0.0 if at_once else max(told_s, _pause(item.failures))
        heapq.heappush(self._later, (now + pause_s, item.number, item))

    def _settle(self, item: Item, outcome: Result | LookalikeError | OSError) -> None:
        if not self._ordered:
            self._outcomes.append((item.id, outcome))
            return
        self._early[item.number] = (item.id, outcome)
        while (number := self._taken + len(self._outcomes)) in self._early:
            self._outcomes.append(self._early.pop(number))


def _pause(failures: int) -> float:
    # Apart from each other, so that many streams do not come back at the same moment.
    longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**failures)
    return random.uniform(longest / 2, longest)
