"""What a client can be told, checked once. Reads no environment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from lookalike.channel import MAX_MESSAGE_BYTES, TLS

DEFAULT_GATEWAY = "127.0.0.1:50050"
MAX_RETRIES = 4  # gRPC makes five attempts at most

Token: TypeAlias = "str | Callable[[], str]"


@dataclass(frozen=True, kw_only=True)
class ClientOptions:
    """The arguments of both clients, which document them."""

    gateway: str = DEFAULT_GATEWAY
    embedder: str | None = None
    timeout: float = 10.0
    photo_timeout: float = 60.0
    retries: int = 3
    tls: TLS | None = None
    token: Token | None = None
    insecure_token: bool = False
    max_message_bytes: int = MAX_MESSAGE_BYTES
