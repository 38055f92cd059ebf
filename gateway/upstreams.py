"""A service that the gateway calls: one channel, its errors translated.

An upstream's client errors (a bad image, an unknown item) are passed on unchanged, but for a field
that only its own requests have. That it cannot be reached becomes UpstreamUnavailableError naming
it. What it is asked is in `embedder.py` and `index.py`.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import grpc
from grpc import aio

from gateway.deadline import Deadline, LatencyWindow
from lookalike.channel import open_channel
from lookalike.errors import (
    DeadlineUnreachableError,
    ForeignError,
    IndexRecoveringError,
    InvalidArgumentError,
    LookalikeError,
    StartupError,
    UpstreamUnavailableError,
)
from lookalike.status import from_rpc_error

# gRPC cancels calls that reach a stopping server before it takes them up.
_UNAVAILABLE = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}


class Upstream:
    """A channel to one service, over any number of servers.

    Args:
        name: What it is, for people.
        target: `host:port`, a gRPC target, or several `address:port` with commas between them.
        service: Full name of its service; only servers whose health says SERVING get calls.
        max_message_bytes: Largest message either way.
        fields: Fields of its requests, and what the gateway's own callers know them as.
    """

    def __init__(
        self,
        name: str,
        target: str,
        service: str,
        max_message_bytes: int,
        fields: Mapping[str, str],
    ) -> None:
        self.name = name
        self.target = target
        self._fields = fields
        try:
            self.channel = open_channel(
                target, health_service=service, max_message_bytes=max_message_bytes
            )
        except InvalidArgumentError as error:
            raise StartupError(f"LOOKALIKE_GATEWAY_{name.upper()}: {error.message}") from None

    async def watch(self, changed: Callable[[], Awaitable[None]]) -> None:
        """Calls `changed` whenever the service becomes reachable or is lost; runs for ever."""
        while True:
            state = self.channel.get_state(try_to_connect=True)
            await changed()
            await self.channel.wait_for_state_change(state)

    @property
    def ready(self) -> bool:
        """Whether some server of it is reachable and says that it is serving."""
        return self.channel.get_state() is grpc.ChannelConnectivity.READY

    @asynccontextmanager
    async def calling(self) -> AsyncIterator[None]:
        """Turns what a call in its block raises into errors of ours."""
        try:
            yield
        except aio.AioRpcError as rpc_error:
            error = from_rpc_error(rpc_error)
            # It is there, but not as far as the read asks for, which the caller is to know.
            recovering = isinstance(error, IndexRecoveringError)
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

    @asynccontextmanager
    async def in_hop(
        self, hop: str, recent: LatencyWindow, deadline: Deadline, kept_s: float = 0.0
    ) -> AsyncIterator[float]:
        """Gives the seconds that a call in its block may take, and learns what it took.

        Raises:
            DeadlineUnreachableError: There is not enough time for it.
        """
        allowed_s = deadline.allow_s(hop, recent, kept_s)
        started = time.monotonic()
        with deadline.hop(hop):
            async with self.calling():
                yield allowed_s
        recent.add(time.monotonic() - started)


def is_out_of_time(error: LookalikeError) -> bool:
    """Whether an upstream's answer did not come before the deadline it was given."""
    return error.code is grpc.StatusCode.DEADLINE_EXCEEDED or isinstance(
        error, DeadlineUnreachableError
    )
