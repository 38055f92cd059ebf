"""Wraps every RPC: request id, who may call it, access log, exception → status.

Health and reflection pass through untouched.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import DecodeError
from google.rpc import status_pb2
from grpc import aio
from grpc_status import rpc_status

from lookalike import request_ids
from lookalike.errors import InvalidArgumentError, LookalikeError
from lookalike.serving import failures
from lookalike.serving.rpc_access import RpcAccess
from lookalike.serving.telemetry import Telemetry, note_refusal
from lookalike.status import to_status

logger = logging.getLogger(__name__)

MAX_REQUEST_ID_LENGTH = 128
_UNREADABLE = object()

Context: TypeAlias = "aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class RequestInterceptor(aio.ServerInterceptor):
    """Gives every request an id, logs it once, and turns exceptions into a status.

    Args:
        access: Who may call what; None admits everybody.
        telemetry: Where each call is told of; None for nowhere.
        log_all: Whether to log successful requests too.
    """

    def __init__(
        self,
        access: RpcAccess | None = None,
        telemetry: Telemetry | None = None,
        *,
        log_all: bool = True,
    ) -> None:
        self._access = access
        self._telemetry = telemetry or Telemetry()
        self._log_all = log_all

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Wraps the method's handler."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        access = self._access
        if handler is None or method.startswith("/grpc."):
            return handler
        begin = functools.partial(_Call, method, self._telemetry, self._log_all)
        if handler.response_streaming:
            return _wrap_streaming(handler, begin, access)
        return _wrap_unary(handler, begin, access)


def _wrap_unary(
    handler: Handler, begin: Callable[[Context], _Call], access: RpcAccess | None
) -> Handler:
    behaviour: Any = handler.stream_unary if handler.request_streaming else handler.unary_unary

    async def answer(request: Any, context: Context) -> Any:
        call = begin(context)
        try:
            call.admit(access)
            if request is _UNREADABLE:
                raise InvalidArgumentError("the request cannot be read as the method's message")
            response = await behaviour(request, context)
        except BaseException as error:
            await call.fail(error)
            raise
        call.succeed()
        return response

    make = (
        grpc.stream_unary_rpc_method_handler
        if handler.request_streaming
        else grpc.unary_unary_rpc_method_handler
    )
    read = handler.request_deserializer
    if read and not handler.request_streaming:
        read = functools.partial(_read, read)
    return make(answer, read, handler.response_serializer)


def _read(deserialize: Callable[[bytes], Any], data: bytes) -> Any:
    """Returns the message: grpcio makes UNKNOWN and a traceback of what cannot be read."""
    try:
        return deserialize(data)
    except DecodeError:
        return _UNREADABLE


def _wrap_streaming(
    handler: Handler, begin: Callable[[Context], _Call], access: RpcAccess | None
) -> Handler:
    behaviour: Any = handler.stream_stream if handler.request_streaming else handler.unary_stream

    # Not a generator: grpcio closes generators some time after the caller has left. If one then
    # uses the released call, even to write a message, the whole process dies.
    async def answer(request: Any, context: Context) -> None:
        call = begin(context)
        try:
            client = call.admit(access)
            if access is not None and handler.request_streaming:
                request = _paced(request, access, client)
            async with aclosing(behaviour(request, context)) as responses:
                async for response in responses:
                    await context.write(response)
        except BaseException as error:
            await call.fail(error)
            raise
        call.succeed()

    make: Any = (
        grpc.stream_stream_rpc_method_handler
        if handler.request_streaming
        else grpc.unary_stream_rpc_method_handler
    )
    wrapped: Handler = make(answer, handler.request_deserializer, handler.response_serializer)
    return wrapped


async def _paced(
    requests: AsyncIterator[Any], access: RpcAccess, client: str
) -> AsyncIterator[Any]:
    """Yields a stream's requests, as fast as the client may send them."""
    async for request in requests:
        await access.paced(client)
        yield request


def in_band_status(error: Exception) -> status_pb2.Status:
    """Returns the status of a failed item of a stream that goes on; logs unexpected errors."""
    note_refusal(error)
    if not isinstance(error, LookalikeError):
        logger.error("unhandled exception in a stream", exc_info=error)
    return to_status(error)


class _Call:
    """One request: its id, its outcome, its line in the log and what is measured of it."""

    def __init__(self, method: str, telemetry: Telemetry, log_all: bool, context: Context) -> None:
        self._method = method
        self._log_all = log_all
        self._context = context
        self._sent: Any = context.invocation_metadata() or ()
        metadata = dict(self._sent)
        self._client = ""
        request_id = str(metadata.get(request_ids.HEADER) or "")
        # It is in every log line, and sent back and on to upstreams.
        if not 1 <= len(request_id) <= MAX_REQUEST_ID_LENGTH:
            request_id = request_ids.new()
        request_ids.current.set(request_id)
        self._trailer = ((request_ids.HEADER, request_id),)
        context.set_trailing_metadata(self._trailer)
        self._started = time.perf_counter()
        self._watched = telemetry.rpc(method, metadata)

    def admit(self, access: RpcAccess | None) -> str:
        """Returns the caller's name; raises as `Guard.admit` does if it may not call this."""
        if access is not None:
            self._client = access.admit(self._method, self._sent, self._context.peer())
        return self._client

    async def fail(self, error: BaseException) -> None:
        """Ends the call with the error's status; a cancelled call is only logged."""
        if isinstance(error, (asyncio.CancelledError, GeneratorExit)):
            self._end(grpc.StatusCode.CANCELLED)
        if not isinstance(error, Exception):
            return
        if not isinstance(error, LookalikeError):
            logger.error("unhandled exception", exc_info=error, extra={"method": self._method})
        note_refusal(error)
        status = rpc_status.to_status(to_status(error))
        pushback: tuple[tuple[str, str], ...] = ()
        if isinstance(error, LookalikeError) and error.retry_after_ms is not None:
            pushback = (("grpc-retry-pushback-ms", str(error.retry_after_ms)),)
        trailer = (*status.trailing_metadata, *self._trailer, *pushback)
        try:
            await self._context.abort(status.code, status.details, trailer)
        finally:
            reason = error.reason if isinstance(error, LookalikeError) else ""
            self._end(status.code, status.details, reason)

    def succeed(self) -> None:
        """Ends the call, which was answered."""
        self._end(grpc.StatusCode.OK)

    def _end(self, code: grpc.StatusCode, message: str = "", reason: str = "") -> None:
        if code is not grpc.StatusCode.OK or self._log_all:
            self._log(code, message)
        self._watched.ended(code.name, time.perf_counter() - self._started, reason)

    def _log(self, code: grpc.StatusCode, message: str) -> None:
        level = logging.WARNING if code.name in failures.STATUSES else logging.INFO
        if logger.isEnabledFor(level):
            fields = {
                "method": self._method,
                "peer": self._context.peer(),
                **({"client": self._client} if self._client else {}),
                "code": code.name,
                "error": message,
                "duration_ms": round((time.perf_counter() - self._started) * 1e3, 3),
            }
            logger.log(level, "request", extra=fields)
