"""How a call is made, with threads and on an event loop; what is called is in `calls.py`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc

from lookalike.client import runs
from lookalike.client.bulk import StreamScheduler
from lookalike.client.calls import Call, StreamCall, check_size
from lookalike.client.connections import BlockingConnections, Connections
from lookalike.client.failures import failure
from lookalike.client.options import ClientOptions
from lookalike.client.tasks import TaskRun
from lookalike.client.threads import ThreadRun

T = TypeVar("T")


class BlockingCaller:
    """What `Client` is made of, but for its methods."""

    def __init__(self, options: ClientOptions) -> None:
        self._options = options
        self._connections = BlockingConnections(options)

    def __getstate__(self) -> ClientOptions:
        """Returns what makes the same client in another process."""
        return self._options

    def __setstate__(self, options: ClientOptions) -> None:
        """Makes this the same client, not yet connected."""
        self._options = options
        self._connections = BlockingConnections(options)

    def close(self) -> None:
        """Ends all connections; calls in progress fail, runs and later calls with RuntimeError."""
        self._connections.close()

    def _call(self, call: Call[T], wanted_s: float | None) -> T:
        seconds = self._options.seconds(wanted_s)
        check_size(call.request, self._options.max_message_bytes)
        rpc = getattr(self._connections.stub(call.service), call.rpc)
        try:
            answer = rpc(call.request, timeout=seconds, metadata=self._options.metadata())
        except grpc.RpcError as error:
            target = self._options.target(call.service)
            raise failure(error, call.service, target, seconds) from None
        return call.read(answer)

    def _stream(
        self,
        requests: Iterator[tuple[Any, Any]],
        scheduler: StreamScheduler[Any, Any],
        call: StreamCall[Any],
    ) -> Iterator[tuple[Any, Any]]:
        connect, failed = runs.opening(self._connections, self._options, call)
        return ThreadRun(
            requests,
            scheduler,
            call,
            connect=connect,
            failure=failed,
        ).outcomes()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Caller:
    """What `AsyncClient` is made of, but for its methods."""

    def __init__(self, options: ClientOptions) -> None:
        self._options = options
        self._connections = Connections(options)

    async def aclose(self) -> None:
        """Ends all connections; calls in progress fail, runs and later calls with RuntimeError."""
        await self._connections.close()

    async def _call(self, call: Call[T], wanted_s: float | None) -> T:
        seconds = self._options.seconds(wanted_s)
        check_size(call.request, self._options.max_message_bytes)
        rpc = getattr(self._connections.stub(call.service), call.rpc)
        try:
            answer = await rpc(call.request, timeout=seconds, metadata=self._options.metadata())
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not (task and task.cancelling()):
                self._connections.check_open()  # the call was cancelled, and not this task
            raise
        except grpc.RpcError as error:
            target = self._options.target(call.service)
            raise failure(error, call.service, target, seconds) from None
        return call.read(answer)

    def _stream(
        self,
        requests: AsyncIterator[tuple[Any, Any]],
        scheduler: StreamScheduler[Any, Any],
        call: StreamCall[Any],
    ) -> AsyncGenerator[tuple[Any, Any], None]:
        connect, failed = runs.opening(self._connections, self._options, call)
        return TaskRun(
            requests,
            scheduler,
            call,
            connect=connect,
            failure=failed,
        ).outcomes()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()
