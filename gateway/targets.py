"""Where an upstream is, as people write it, and as gRPC takes it."""

from __future__ import annotations

import ipaddress

from lookalike.errors import StartupError


def resolved(target: str, variable: str) -> str:
    """Returns gRPC's name of one or several servers.

    Args:
        target: A gRPC target, `host:port`, or several `address:port` with commas between them.
        variable: The setting, for the error.

    Raises:
        StartupError: One of several is no IP address with a port.
    """
    parts = [part.strip() for part in target.split(",")]
    if len(parts) == 1:
        # A target with a scheme says itself how it is resolved.
        return target if "//" in target or target.startswith(_SCHEMES) else f"dns:///{target}"
    versions = {_version(part, variable) for part in parts}
    if len(versions) > 1:
        raise StartupError(f"{variable} is '{target}'; IPv4 and IPv6 cannot be mixed")
    return f"ipv{versions.pop()}:{','.join(parts)}"


_SCHEMES = ("ipv4:", "ipv6:", "unix:", "unix-abstract:", "dns:")


def _version(part: str, variable: str) -> int:
    host, _, port = part.rpartition(":")
    try:
        version = ipaddress.ip_address(host.strip("[]")).version
        if not 0 < int(port) < 1 << 16:
            raise ValueError(port)
    except ValueError:
        raise StartupError(
            f"{variable} has '{part}' among several servers; each must be an IP address and a "
            "port; for names, use dns:///name:port"
        ) from None
    return version
