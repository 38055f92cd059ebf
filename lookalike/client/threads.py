"""Runs many photos over streams with threads; the caller's thread does all but wait for answers."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeAlias, TypeVar

import grpc

from lookalike.client.bulk import StreamScheduler, StreamSlot
from lookalike.client.calls import StreamCall
from lookalike.errors import DeadlineExceededError, LookalikeError, UpstreamUnavailableError

Id = TypeVar("Id")
Result = TypeVar("Result")

Events: TypeAlias = "queue.SimpleQueue[tuple[_Stream, Any]]"

_FINISH_S = 1.0
# Time beyond this in the caller's code does not count as silence of the streams.
_NOTICED_S = 1.0
# Python handles a signal that comes just before a wait only when the wait is over.
_LONGEST_WAIT_S = 0.5


class _Stream:
    """An open stream: its outbox, and a thread that reads its answers."""

    def __init__(
        self,
        slot: StreamSlot,
        connect: Callable[[Iterator[Any]], Any],
        events: Events,
    ) -> None:
        self.slot = slot
        self.outbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.call = connect(iter(self.outbox.get, None))
        self._events = events
        self.listener = threading.Thread(target=self._listen, daemon=True, name="lookalike-stream")
        self.listener.start()

    def _listen(self) -> None:
        try:
            for answer in self.call:
                self._events.put((self, answer))
            self._events.put((self, None))
        except grpc.RpcError as error:
            self._events.put((self, error))

    def cancel(self) -> None:
        """Ends the stream, with all unanswered requests."""
        self.call.cancel()
        self.outbox.put(None)


class ThreadRun(Generic[Id, Result]):
    """One run of many photos.

    Args:
        source: Ids, each with the request to send or the error in its place; read in the caller's
            thread, as there is room.
        scheduler: Decides what is sent where; empty.
        call: The method.
        connect: Opens a stream of requests.
        failure: Converts an error of gRPC's; raises if the run is to end.
    """

    def __init__(
        self,
        source: Iterator[tuple[Id, Any]],
        scheduler: StreamScheduler[Id, Result],
        call: StreamCall[Result],
        connect: Callable[[Iterator[Any]], Any],
        failure: Callable[[grpc.RpcError], LookalikeError],
    ) -> None:
        self._source = source
        self._scheduler = scheduler
        self._call = call
        self._connect = connect
        self._failure = failure
        self._events: Events = queue.SimpleQueue()
        self._streams: dict[int, _Stream] = {}
        self._given_up: list[_Stream] = []
        self._has_more = True

    def outcomes(self) -> Iterator[tuple[Id, Result | LookalikeError | OSError]]:
        """Yields each photo's id and outcome."""
        scheduler = self._scheduler
        try:
            while self._has_more or not scheduler.is_empty:
                if self._may_read:
                    self._read()
                self._hear(wait=False)
                self._move()
                # Two outcomes for each photo that is read: works off what has piled up, and keeps
                # the streams busy meanwhile.
                outcomes = [found for _ in range(2) if (found := scheduler.take())]
                left = time.monotonic()
                yield from outcomes
                self._exclude_pause_since(left)
                if not (outcomes or self._may_read or scheduler.is_empty):
                    self._hear(wait=True)
            self._finish_streams()
        finally:
            streams = [*self._streams.values(), *self._given_up]
            for stream in streams:
                stream.cancel()
            for stream in streams:
                stream.listener.join()

    @property
    def _may_read(self) -> bool:
        return self._has_more and self._scheduler.room > 0

    def _read(self) -> None:
        left = time.monotonic()
        try:
            key, request = next(self._source)
        except StopIteration:
            self._has_more = False
            return
        finally:
            self._exclude_pause_since(left)
        if isinstance(request, LookalikeError | OSError):
            self._scheduler.put_failed(key, request)
        else:
            self._scheduler.put(key, request, time.monotonic())

    def _exclude_pause_since(self, left: float) -> None:
        self._scheduler.exclude_pause(max(0.0, time.monotonic() - left - _NOTICED_S))

    def _hear(self, *, wait: bool) -> None:
        due_s = self._scheduler.wait_s(time.monotonic()) if wait else 0.0
        wait_s = _LONGEST_WAIT_S if due_s is None else min(due_s, _LONGEST_WAIT_S)
        try:
            self._note(*self._events.get(wait, wait_s))
            while True:
                self._note(*self._events.get_nowait())
        except queue.Empty:
            pass

    def _note(self, stream: _Stream, what: Any) -> None:
        slot, now = stream.slot, time.monotonic()
        if self._streams.get(slot.number) is not stream:
            return  # from a stream that was given up
        if what is not None and not isinstance(what, grpc.RpcError):
            self._scheduler.answered(slot, what.id, self._call.outcome(what), now)
            return
        error = (
            UpstreamUnavailableError("the stream ended early")
            if what is None
            else self._failure(what)
        )
        self._scheduler.lost(slot, error, now)
        self._streams.pop(slot.number).cancel()

    def _move(self) -> None:
        now = time.monotonic()
        for slot in self._scheduler.silent(now):
            stream = self._streams.pop(slot.number)
            stream.cancel()
            self._given_up.append(stream)
            self._scheduler.lost(slot, DeadlineExceededError("its stream has gone silent"), now)
        for slot in self._scheduler.to_open(now):
            self._streams[slot.number] = _Stream(slot, self._connect, self._events)
        for slot, wire_id, request in self._scheduler.to_send(now):
            message = self._call.wrap(id=wire_id, request=request)
            self._streams[slot.number].outbox.put(message)

    def _finish_streams(self) -> None:
        for stream in self._streams.values():
            stream.outbox.put(None)
        for stream in self._streams.values():
            stream.listener.join(_FINISH_S)
