"""Runs many photos over streams with tasks of one event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, Generic, TypeVar

import grpc

from lookalike.client.bulk import StreamScheduler, StreamSlot
from lookalike.client.calls import StreamCall
from lookalike.client.failures import cancelled_call
from lookalike.errors import DeadlineExceededError, LookalikeError, UpstreamUnavailableError

Id = TypeVar("Id")
Result = TypeVar("Result")

_FINISH_S = 1.0
# How late a reconnect or a silence may be noticed.
_TICK_S = 0.02


class _Stream:
    """An open stream: its outbox, and the task that reads its answers."""

    def __init__(self, connect: Callable[[AsyncIterator[Any]], Any]) -> None:
        self.outbox: asyncio.Queue[Any] = asyncio.Queue()
        self.call = connect(self._requests())
        self.listener: asyncio.Task[None] | None = None

    async def _requests(self) -> AsyncIterator[Any]:
        while (request := await self.outbox.get()) is not None:
            yield request


class TaskRun(Generic[Id, Result]):
    """One run of many photos.

    Args:
        source: Ids, each with the request to send or the error in its place; read as there is
            room.
        scheduler: Decides what is sent where; empty.
        call: The method.
        connect: Opens a stream of requests.
        failure: Converts an error of gRPC's; raises if the run is to end.
    """

    def __init__(
        self,
        source: AsyncIterator[tuple[Id, Any]],
        scheduler: StreamScheduler[Id, Result],
        call: StreamCall[Result],
        connect: Callable[[AsyncIterator[Any]], Any],
        failure: Callable[[grpc.RpcError], LookalikeError],
    ) -> None:
        self._source = source
        self._scheduler = scheduler
        self._call = call
        self._connect = connect
        self._failure = failure
        self._streams: dict[int, _Stream] = {}
        self._listeners: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(scheduler.room)
        self._news = asyncio.Event()
        self._has_more = True
        self._error: Exception | None = None

    async def outcomes(
        self,
    ) -> AsyncGenerator[tuple[Id, Result | LookalikeError | OSError], None]:
        """Yields each photo's id and outcome."""
        scheduler = self._scheduler
        helpers = [asyncio.create_task(self._guarded(job())) for job in (self._feed, self._tick)]
        try:
            while True:
                while found := scheduler.take():
                    self._room.release()
                    yield found
                if self._error:
                    raise self._error
                if not self._has_more and scheduler.is_empty:
                    break
                self._news.clear()
                await self._news.wait()
            await self._finish_streams()
        finally:
            for stream in self._streams.values():
                stream.call.cancel()
            for task in (*helpers, *self._listeners):
                task.cancel()
            await asyncio.gather(*helpers, *self._listeners, return_exceptions=True)

    async def _guarded(self, job: Any) -> None:
        try:
            await job
        except Exception as error:
            self._error = error
            self._news.set()

    async def _feed(self) -> None:
        await self._room.acquire()
        async for key, request in self._source:
            if isinstance(request, LookalikeError | OSError):
                self._scheduler.put_failed(key, request)
                self._news.set()
            else:
                self._scheduler.put(key, request, time.monotonic())
                self._move()
            await self._room.acquire()
        self._has_more = False
        self._news.set()

    async def _tick(self) -> None:
        now = time.monotonic()
        while True:
            due = now + _TICK_S
            await asyncio.sleep(_TICK_S)
            now = time.monotonic()
            # While the user's code held the loop, answers may have arrived unread.
            self._scheduler.exclude_pause(now - due)
            for slot in self._scheduler.silent(now):
                self._streams.pop(slot.number).call.cancel()
                self._scheduler.lost(slot, DeadlineExceededError("its stream has gone silent"), now)
                self._news.set()
            self._move()

    def _move(self) -> None:
        now = time.monotonic()
        for slot in self._scheduler.to_open(now):
            stream = self._streams[slot.number] = _Stream(self._connect)
            listener = asyncio.create_task(self._guarded(self._listen(slot, stream)))
            stream.listener = listener
            self._listeners.add(listener)
            listener.add_done_callback(self._listeners.discard)
        for slot, wire_id, request in self._scheduler.to_send(now):
            message = self._call.wrap(id=wire_id, request=request)
            self._streams[slot.number].outbox.put_nowait(message)

    async def _listen(self, slot: StreamSlot, stream: _Stream) -> None:
        error: LookalikeError = UpstreamUnavailableError("the stream ended early")
        try:
            async for answer in stream.call:
                if self._streams.get(slot.number) is not stream:
                    return  # the stream was given up
                outcome = self._call.outcome(answer)
                self._scheduler.answered(slot, answer.id, outcome, time.monotonic())
                self._news.set()
                self._move()
        except grpc.RpcError as rpc_error:
            error = self._failure(rpc_error)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # The call was cancelled, not this task: it was given up, or its channel closed.
            if self._streams.get(slot.number) is stream:
                error = self._failure(cancelled_call())
        if self._streams.get(slot.number) is stream:
            del self._streams[slot.number]
            self._scheduler.lost(slot, error, time.monotonic())
            self._news.set()

    async def _finish_streams(self) -> None:
        for stream in self._streams.values():
            stream.outbox.put_nowait(None)
        if self._listeners:
            await asyncio.wait(self._listeners, timeout=_FINISH_S)
