"""Makes the calls that `calls.py` defines, in threads or on an event loop."""

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
    """Base of `Client`: connections, unary calls and streams."""

    def __init__(self, options: ClientOptions) -> None:
        self._options = options
        self._connections = BlockingConnections(options)

    def __getstate__(self) -> ClientOptions:
        """Returns the options, from which another process can make the same client."""
        return self._options

    def __setstate__(self, options: ClientOptions) -> None:
        """Restores the client, not yet connected."""
        self._options = options
        self._connections = BlockingConnections(options)

    def close(self) -> None:
        """Closes all channels; calls in progress fail, runs and later calls with RuntimeError."""
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
    """Base of `AsyncClient`: connections, unary calls and streams."""

    def __init__(self, options: ClientOptions) -> None:
        self._options = options
        self._connections = Connections(options)

    async def aclose(self) -> None:
        """Closes all channels; calls in progress fail, runs and later calls with RuntimeError."""
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
                self._connections.check_open()  # the call was cancelled, not this task
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
