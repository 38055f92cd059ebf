"""ASGI middleware around every request: limits, id, access log, headers, and disconnects.

It reads a request's whole body, bounded in bytes and time, before the application sees it, so that
nothing behind it can be made to hold more. Then it watches the connection, and cancels the work
when the caller disconnects.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol, TypeAlias

from starlette.datastructures import Headers, MutableHeaders

from gateway.http.origins import refuse_other_sites
from gateway.http.problems import HttpProblemError, response_to
from gateway.telemetry import GatewayTelemetry
from lookalike import request_ids
from lookalike.errors import LookalikeError
from lookalike.serving import failures
from lookalike.serving.interceptors import MAX_REQUEST_ID_LENGTH

logger = logging.getLogger(__name__)

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

# Bytes of a body that is too large that are still read and discarded: a caller who is cut off while
# sending often never reads the answer that says why.
DISCARDED_BYTES = 64 << 20
# Of a body that nobody reads: closing at once would often cost the caller the answer, which a reset
# overtakes.
_LEFT_OPEN_S = 1.0
_LEFT_OPEN_BYTES = 1 << 20

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Access(Protocol):
    """Who may call what."""

    def admit(self, scope: Scope, headers: Headers) -> str:
        """Returns the caller's name; raises a LookalikeError if it may not call this."""


class _CallerLeftError(Exception):
    """The caller disconnected."""


class RequestMiddleware:
    """The outermost middleware.

    Args:
        app: The application.
        access: Who may call what.
        max_body_bytes: Largest body.
        max_bodies: Most requests with a body at a time; each may hold that many bytes.
        body_timeout_s: How long a body may take to arrive.
        log_all: Whether requests that succeed are logged too.
        telemetry: Where requests are told of; None for nowhere.
    """

    def __init__(
        self,
        app: App,
        access: Access,
        *,
        max_body_bytes: int,
        max_bodies: int,
        body_timeout_s: float,
        log_all: bool,
        telemetry: GatewayTelemetry | None = None,
    ) -> None:
        self._app = app
        self._access = access
        self._telemetry = telemetry or GatewayTelemetry()
        self._max_body_bytes = max_body_bytes
        self._max_bodies = max_bodies
        self._body_timeout_s = body_timeout_s
        self._log_all = log_all
        self._bodies = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, send, self._telemetry, log_all=self._log_all)
        try:
            await self._answer(scope, receive, exchange)
        except _CallerLeftError:
            exchange.left = True
        except Exception as error:
            if not isinstance(error, HttpProblemError | LookalikeError):
                logger.error("unhandled exception", exc_info=error, extra=exchange.line)
            if not exchange.status:
                await response_to(error)(scope, receive, exchange.send)
            elif not exchange.finished:  # part of the answer has been sent
                raise
        finally:
            exchange.end()

    async def _answer(self, scope: Scope, receive: Receive, exchange: _Exchange) -> None:
        headers = Headers(scope=scope)
        refuse_other_sites(scope["method"], headers)
        try:
            exchange.client = self._access.admit(scope, headers)
        except LookalikeError:
            if _has_body(headers):
                exchange.unread = receive
            raise
        if not _has_body(headers):
            await self._work(scope, deque(), receive, exchange)
            return
        if self._bodies >= self._max_bodies:
            raise HttpProblemError(
                429,
                "QUEUE_FULL",
                f"{self._bodies} requests with a body are being answered, as many as are accepted "
                "at a time (LOOKALIKE_GATEWAY_MAX_HTTP_BODIES); retry later",
                headers={"Retry-After": "1", "Connection": "close"},
            )
        self._bodies += 1
        try:
            chunks = await self._read(headers, receive)
            await self._work(scope, chunks, receive, exchange)
        finally:
            self._bodies -= 1

    async def _read(self, headers: Headers, receive: Receive) -> deque[bytes]:
        length = headers.get("content-length", "")
        announced = int(length) if length.isdecimal() else 0
        if announced > self._max_body_bytes + DISCARDED_BYTES:
            raise self._too_large(f"{announced:,}")
        chunks: deque[bytes] = deque()
        size, more = 0, True
        try:
            async with asyncio.timeout(self._body_timeout_s):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _CallerLeftError
                    chunk = message.get("body", b"")
                    more = message.get("more_body", False)
                    size += len(chunk)
                    if size <= self._max_body_bytes:
                        chunks.append(chunk)
                    else:
                        chunks.clear()
                    if size > self._max_body_bytes + DISCARDED_BYTES:
                        break
        except TimeoutError:
            raise HttpProblemError(
                408,
                "REQUEST_TIMEOUT",
                f"the body did not arrive within {self._body_timeout_s:g} s "
                f"({size:,} bytes did); send it faster",
                headers={"Connection": "close"},
            ) from None
        if size > self._max_body_bytes:
            raise self._too_large(f"{size:,}" if not more else f"more than {size:,}")
        return chunks

    def _too_large(self, size: str) -> HttpProblemError:
        return HttpProblemError(
            413,
            "REQUEST_TOO_LARGE",
            f"the request has {size} bytes; the limit is {self._max_body_bytes:,} "
            "(LOOKALIKE_GATEWAY_MAX_MESSAGE_BYTES)",
            headers={"Connection": "close"},
        )

    async def _work(
        self, scope: Scope, chunks: deque[bytes], receive: Receive, exchange: _Exchange
    ) -> None:
        """Runs the application until it has answered or the caller disconnects.

        Empties `chunks` as the application reads, so that the body is not held twice.
        """
        done = asyncio.Event()
        body_sent = False

        async def replay() -> Message:
            nonlocal body_sent
            if body_sent:
                await done.wait()
                return {"type": "http.disconnect"}
            chunk = chunks.popleft() if chunks else b""
            body_sent = not chunks
            return {"type": "http.request", "body": chunk, "more_body": not body_sent}

        async def left() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        work = asyncio.ensure_future(self._app(scope, replay, exchange.send))
        leaving = asyncio.ensure_future(left())
        try:
            await asyncio.wait({work, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done() and not exchange.finished:
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
                raise _CallerLeftError
            await work
        finally:
            done.set()
            work.cancel()
            leaving.cancel()


class _Exchange:
    """One request and its answer: its id, its headers, its line in the log and its span."""

    def __init__(
        self, scope: Scope, send: Send, telemetry: GatewayTelemetry, *, log_all: bool
    ) -> None:
        given_headers = Headers(scope=scope)
        given = given_headers.get(request_ids.HEADER, "")
        known = 1 <= len(given) <= MAX_REQUEST_ID_LENGTH and given.isascii() and given.isprintable()
        self._request_id = given if known else request_ids.new()
        request_ids.current.set(self._request_id)
        self._scope = scope
        self._send = send
        self._telemetry = telemetry
        self._span = telemetry.began(scope, given_headers)
        self._log_all = log_all
        self._started = time.perf_counter()
        client = scope.get("client")
        self.line = {
            "method": scope["method"],
            "path": scope["path"],
            "peer": f"{client[0]}:{client[1]}" if client else "",
        }
        self.client = ""
        self.unread: Receive | None = None  # of a body that nobody reads
        self.status = 0
        self.left = False
        self.finished = False

    async def send(self, message: Message) -> None:
        """Sends a message of the answer, with the headers that every answer has."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers[request_ids.HEADER] = self._request_id
            if self.unread:
                headers["Connection"] = "close"
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
            # Answers go stale; routes whose answers may be cached set this themselves.
            headers.setdefault("Cache-Control", "no-store")
        elif message["type"] == "http.response.body" and not message.get("more_body", False):
            self.finished = True
            if self.unread:
                await self._send({**message, "more_body": True})
                await _discard(self.unread)
                message = {"type": "http.response.body"}
        await self._send(message)

    def end(self) -> None:
        """Logs and measures it, without a status if the server stopped before it was answered."""
        status = 499 if self.left else self.status
        self._log(status)
        seconds = time.perf_counter() - self._started
        self._telemetry.ended(self._scope, self._span, status, seconds)

    def _log(self, status: int) -> None:
        level = logging.WARNING if status in failures.HTTP_STATUSES else logging.INFO
        if (self._log_all or status >= 400) and logger.isEnabledFor(level):
            took = round((time.perf_counter() - self._started) * 1e3, 3)
            line = {**self.line, "client": self.client, "status": status, "duration_ms": took}
            logger.log(level, "request", extra=line)


async def _discard(body: Receive) -> None:
    """Reads of a body what comes within a moment."""
    size = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LEFT_OPEN_S):
            while size < _LEFT_OPEN_BYTES:
                message = await body()
                size += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return


def _has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
