"""A client's options, and what each call needs of them; reads no environment variables."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from lookalike import trace_context
from lookalike.channel import MAX_MESSAGE_BYTES, TLS, Method, is_this_machine, several
from lookalike.embedder.v1 import embedder_pb2
from lookalike.errors import InvalidArgumentError
from lookalike.gateway.v1 import gateway_pb2

DEFAULT_GATEWAY = "127.0.0.1:50050"
DEFAULT_INDEX = "127.0.0.1:50052"
MAX_RETRIES = 4  # gRPC allows five attempts

EMBEDDER = "embedder"
GATEWAY = "gateway"
INDEX = "index"

_EMBEDDER_SERVICE: str = embedder_pb2.DESCRIPTOR.services_by_name["EmbedderService"].full_name
_GATEWAY_SERVICE: str = gateway_pb2.DESCRIPTOR.services_by_name["GatewayService"].full_name

# The client itself resends what was unanswered on a stream; gRPC would resend everything.
_STREAMS: dict[str, list[Method]] = {
    EMBEDDER: [(_EMBEDDER_SERVICE, "StreamEmbedImages")],
    GATEWAY: [(_GATEWAY_SERVICE, "StreamIngestListings")],
    INDEX: [],
}

Token: TypeAlias = "str | Callable[[], str]"


@dataclass(frozen=True, kw_only=True)
class ClientOptions:
    """The arguments of all clients; `Client` and `IndexClient` document them."""

    gateway: str | None = None
    embedder: str | None = None
    index: str | None = None
    timeout: float = 10.0
    photo_timeout: float = 60.0
    retries: int = 3
    tls: TLS | None = None
    token: Token | None = None
    insecure_token: bool = False
    max_message_bytes: int = MAX_MESSAGE_BYTES

    def __post_init__(self) -> None:
        """Validates every argument; InvalidArgumentError names the bad one."""
        for name in ("timeout", "photo_timeout"):
            _check_seconds(name, getattr(self, name))
        if self.retries not in range(MAX_RETRIES + 1):
            raise InvalidArgumentError(f"retries is {self.retries}; it must be 0 to {MAX_RETRIES}")
        if self.max_message_bytes < 1:
            raise InvalidArgumentError(
                f"max_message_bytes is {self.max_message_bytes}; it must be 1 or more"
            )
        for target in filter(None, (self.gateway, self.embedder, self.index)):
            several(target)  # raises
            if self.token and not (self.tls or self.insecure_token or is_this_machine(target)):
                raise InvalidArgumentError(
                    f"the token would go to {target} without encryption; set tls=, or "
                    "insecure_token=True if nobody can listen on the way"
                )

    def target(self, service: str) -> str:
        """Returns a service's address; InvalidArgumentError if none was given."""
        targets = {GATEWAY: self.gateway, EMBEDDER: self.embedder, INDEX: self.index}
        target = targets[service]
        if not target:
            raise InvalidArgumentError(
                f"no {service} was given; this call needs one: Client({service}='host:port')"
            )
        return target

    def channel_arguments(self, service: str) -> dict[str, Any]:
        """Returns the arguments of `open_channel` for a service, without the target."""
        return {
            # No health check for gateway and index: while not ready, they answer with the reason.
            "health_service": _EMBEDDER_SERVICE if service == EMBEDDER else "",
            "max_message_bytes": self.max_message_bytes,
            "retries": self.retries,
            "unretried": _STREAMS[service],
            "tls": self.tls,
        }

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Returns the metadata of every call."""
        token = self.token() if callable(self.token) else self.token
        authorization = (("authorization", f"Bearer {token}"),) if token else ()
        return (*authorization, *trace_context.headers())

    def seconds(self, timeout: float | None) -> float:
        """Returns the timeout of a call, in seconds."""
        if timeout is None:
            return self.timeout
        _check_seconds("timeout", timeout)
        return timeout


def _check_seconds(name: str, value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise InvalidArgumentError(f"{name} is {value}; it must be seconds above 0")
