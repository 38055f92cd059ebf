"""How servers of every kind name what they listen on, and say that they cannot."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from lookalike.errors import StartupError


def family_of(host: str) -> socket.AddressFamily:
    """Returns the family of addresses that a host belongs to."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def shown(host: str, port: int) -> str:
    """Returns `host:port`, as URLs and gRPC's targets have it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@contextmanager
def binding(host: str, port: int, remedy: str) -> Iterator[None]:
    """Makes StartupErrors of what binding a port raises.

    Args:
        host: Address to listen on.
        port: Its port.
        remedy: The settings that would help.
    """
    try:
        yield
    # UnicodeError: an invalid host name such as `a..b`; RuntimeError: of gRPC.
    except (OSError, RuntimeError, UnicodeError) as error:
        raise StartupError(f"cannot listen on {host}:{port}: {error}; set {remedy}") from None
