"""Common part of the gateway's upstreams: one channel, with errors translated.

An upstream's client errors (a bad image, an unknown item) are passed on, with the field translated
to the gateway's own. A service that cannot be reached becomes UpstreamUnavailableError naming it.
The calls themselves are in `embedder.py` and `index.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

import grpc
from grpc import aio

from gateway.deadline import Deadline, LatencyWindow
from gateway.identity import Identity
from gateway.patience import Patience
from lookalike.channel import CallObserver, open_channel
from lookalike.errors import (
    DeadlineUnreachableError,
    ForeignError,
    IndexRecoveringError,
    InvalidArgumentError,
    LookalikeError,
    PermissionDeniedError,
    StartupError,
    UnauthenticatedError,
    UpstreamUnavailableError,
)
from lookalike.status import from_rpc_error

Stub = TypeVar("Stub")
T = TypeVar("T")

# How long calls in progress may go on on a channel that another took the place of, and how long
# that other one has to connect first, while there is one that is connected.
_LAST_CALLS_S = 30.0
_CONNECTING_S = 5.0
# gRPC cancels calls that a stopping server has not started.
_UNAVAILABLE = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}


class Upstream(Generic[Stub]):
    """A channel to one service, over any number of servers.

    Args:
        name: Name in messages and settings.
        target: `host:port`, a gRPC target, or several `address:port` with commas between them.
        service: Full name of its gRPC service; only servers that report it SERVING get calls.
        stub: Makes the service's stub of a channel.
        max_message_bytes: Largest message either way.
        fields: Maps fields of its requests to those of the gateway's own.
        identity: Who the gateway is to it; None for nobody.
        observer: Watches the calls; None for nobody.
    """

    def __init__(
        self,
        name: str,
        target: str,
        *,
        service: str,
        stub: Callable[[aio.Channel], Stub],
        max_message_bytes: int,
        fields: Mapping[str, str],
        identity: Identity | None = None,
        observer: CallObserver | None = None,
    ) -> None:
        self.name = name
        self.target = target
        self._service = service
        self._make_stub = stub
        self._max_message_bytes = max_message_bytes
        self._fields = fields
        self._identity = identity
        self._observer = observer
        self.patience = Patience(0.0)
        self._waiting: asyncio.Future[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        try:
            self.channel = self._open()
        except InvalidArgumentError as error:
            raise StartupError(f"LOOKALIKE_GATEWAY_{name.upper()}: {error.message}") from None
        self._stub = stub(self.channel)

    def _open(self) -> aio.Channel:
        return open_channel(
            self.target,
            health_service=self._service,
            max_message_bytes=self._max_message_bytes,
            tls=self._identity.tls if self._identity else None,
            token=self._identity.token if self._identity else None,
            observer=self._observer,
        )

    async def reopen(self) -> None:
        """Sends later calls over a new channel; those in progress end on the old one.

        Raises:
            OSError: It cannot be opened, or did not connect, and the old one serves on.
        """
        new = self._open()
        if self.ready:
            try:
                await asyncio.wait_for(new.channel_ready(), _CONNECTING_S)
            except TimeoutError:
                if self.ready:
                    await new.close()
                    message = f"the {self.name} at {self.target} does not accept what is new"
                    raise ConnectionError(message) from None
        old, self.channel = self.channel, new
        self._stub = self._make_stub(new)
        if self._waiting:
            self._waiting.cancel()
        closing = asyncio.create_task(old.close(_LAST_CALLS_S))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def watch(self, changed: Callable[[], Awaitable[None]]) -> None:
        """Calls `changed` whenever the channel's state changes; runs for ever."""
        while True:
            channel = self.channel
            state = channel.get_state(try_to_connect=True)
            self.patience.note(state is grpc.ChannelConnectivity.READY)
            await changed()
            if channel is self.channel:
                self._waiting = asyncio.ensure_future(channel.wait_for_state_change(state))
                try:
                    await asyncio.wait([self._waiting])  # until then, or another took its place
                finally:
                    self._waiting.cancel()

    @property
    def ready(self) -> bool:
        """Whether a server can be reached and reports SERVING."""
        return self.channel.get_state() is grpc.ChannelConnectivity.READY

    @asynccontextmanager
    async def calling(self) -> AsyncIterator[None]:
        """Translates gRPC errors raised in its block to LookalikeErrors."""
        try:
            yield
        except aio.AioRpcError as rpc_error:
            error = from_rpc_error(rpc_error)
            # The index is up, but behind the write that the caller waits for.
            recovering = isinstance(error, IndexRecoveringError)
            if isinstance(error, (UnauthenticatedError, PermissionDeniedError)):
                raise UpstreamUnavailableError(
                    f"the {self.name} at {self.target} does not let the gateway in "
                    f"(LOOKALIKE_GATEWAY_UPSTREAM_TOKEN): {error.message}",
                    metadata={"upstream": self.name},
                ) from None
            if error.code in _UNAVAILABLE and not recovering:
                raise UpstreamUnavailableError(
                    f"the {self.name} at {self.target} cannot be reached: {error.message}",
                    metadata={"upstream": self.name},
                    retry_after_ms=error.retry_after_ms or 1000,
                ) from None
            if isinstance(error, ForeignError):
                raise ForeignError(f"{self.name}: {error.message}", code=error.code) from None
            error.field = self._fields.get(error.field, error.field)
            raise error from None

    async def in_hop(
        self,
        hop: str,
        recent: LatencyWindow,
        deadline: Deadline,
        call: Callable[[float], Awaitable[T]],
        kept_s: float = 0.0,
    ) -> T:
        """Returns the answer of a call, which gets its time in seconds; records its latency.

        A service that was just lost is waited for, unless time is kept to answer without it.

        Raises:
            DeadlineUnreachableError: Too little time is left.
        """
        until = time.monotonic() + deadline.allow_s(hop, recent, kept_s)

        async def attempt() -> T:
            started = time.monotonic()
            async with self.calling():
                answer = await call(until - started)
            recent.add(time.monotonic() - started)
            return answer

        with deadline.hop(hop):
            return await (attempt() if kept_s else self.patience.persist(attempt, until))


def is_out_of_time(error: LookalikeError) -> bool:
    """Whether an upstream failed to answer within its deadline."""
    return error.code is grpc.StatusCode.DEADLINE_EXCEEDED or isinstance(
        error, DeadlineUnreachableError
    )
