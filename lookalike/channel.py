"""Opens client channels: keepalive, load balancing, retries, health checks, TLS."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import grpc
from grpc import aio

from lookalike import limits, request_ids
from lookalike.errors import InvalidArgumentError

MAX_MESSAGE_BYTES = 16 << 20
_ADDRESS = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+(?:%\w+)?\]):(\d{1,5})", re.ASCII)
# Of a name: who answers for it, if not the system.
_DNS = re.compile("dns:(?://[^/]*/)?")
_UNIX = ("unix:", "unix-abstract:")


@dataclass(frozen=True)
class TLS:
    """Settings of TLS.

    Attributes:
        roots: PEM file of the trusted authorities; None for the public ones.
        certificate: PEM file of the client's certificate, for servers that require one.
        key: PEM file of that certificate's private key.
        server_name: Name in the server's certificate, if it is not the host of the target.
    """

    roots: str | os.PathLike[str] | None = None
    certificate: str | os.PathLike[str] | None = None
    key: str | os.PathLike[str] | None = None
    server_name: str = ""

    @classmethod
    def of(cls, tls: bool | str | os.PathLike[str] | TLS) -> TLS | None:
        """Returns the settings for a switch or a file of authorities; None for plaintext."""
        if isinstance(tls, TLS):
            return tls
        if isinstance(tls, bool):
            return cls() if tls else None
        return cls(roots=tls)

    def credentials(self) -> grpc.ChannelCredentials:
        """Reads the files and returns gRPC's credentials; OSError if one cannot be read."""
        return grpc.ssl_channel_credentials(
            *map(_content, (self.roots, self.key, self.certificate))
        )


def _content(file: str | os.PathLike[str] | None) -> bytes | None:
    return None if file is None else Path(file).read_bytes()


# Called with the method of a call that begins; returns headers to send with it, and what is called
# with the name of its status once it has ended.
CallObserver: TypeAlias = Callable[[str], tuple[Mapping[str, str], Callable[[str], None]]]
Method: TypeAlias = tuple[str, str]  # full name of the service, name of the method


def open_channel(
    target: str,
    *,
    health_service: str = "",
    max_message_bytes: int = MAX_MESSAGE_BYTES,
    retries: int = 3,
    unretried: Sequence[Method] = (),
    tls: TLS | None = None,
    token: Callable[[], str] | None = None,
    observer: CallObserver | None = None,
) -> aio.Channel:
    """Opens a channel to one service. Reuse it, and close it in the end.

    Args:
        target: `host:port`, or `dns:///name:port` to spread calls over every address of the name,
            or several `address:port` with commas between.
        health_service: Full name of a service: only servers that report it SERVING get calls, and
            the channel is READY only while there is one. Empty for no health check.
        max_message_bytes: Largest message either way; the server's own limit holds too.
        retries: How often a call that met UNAVAILABLE is retried, 0 to 4.
        unretried: Methods that are never retried, such as streams whose caller resends what was
            not answered.
        tls: How to encrypt; None for plaintext.
        token: Returns the token of each unary call; None for none.
        observer: Watches each unary call; None for nobody.
    """
    options = _service_options(health_service, retries, unretried)
    options += _connection_options(target, max_message_bytes, tls)
    interceptors = [_OfService(token, observer)]
    target = several(target)
    if tls is None:
        return aio.insecure_channel(target, options=options, interceptors=interceptors)
    return aio.secure_channel(target, tls.credentials(), options, interceptors=interceptors)


def open_blocking_channel(
    target: str,
    *,
    health_service: str = "",
    max_message_bytes: int = MAX_MESSAGE_BYTES,
    retries: int = 3,
    unretried: Sequence[Method] = (),
    tls: TLS | None = None,
) -> grpc.Channel:
    """Opens a channel like `open_channel`, for callers without an event loop."""
    options = _service_options(health_service, retries, unretried)
    options += _connection_options(target, max_message_bytes, tls)
    target = several(target)
    if tls is None:
        return grpc.insecure_channel(target, options)
    return grpc.secure_channel(target, tls.credentials(), options)


def addresses(target: str) -> list[str]:
    """Returns the addresses in a target, which may have several with commas between."""
    target = target.removeprefix("ipv4:").removeprefix("ipv6:")
    return [part.strip() for part in target.split(",") if part.strip()]


def is_address(text: str) -> bool:
    """Whether a text is `host:port`, with an IPv6 address in brackets."""
    found = _ADDRESS.fullmatch(text)
    return found is not None and 0 < int(found[1]) < 1 << 16


def is_target(target: str) -> bool:
    """Whether a channel can be opened to such a target; gRPC takes any and connects to none."""
    if target.startswith(_UNIX):
        return True
    try:
        parts = addresses(several(target))
    except InvalidArgumentError:
        return False
    plain = target == target.strip()
    return bool(parts) and plain and all(is_address(_DNS.sub("", part, count=1)) for part in parts)


def is_this_machine(target: str) -> bool:
    """Whether all addresses of a target are loopback, where nobody can listen in."""
    if target.startswith(_UNIX):
        return True
    for part in addresses(target):
        name = part.removeprefix("dns:///").removeprefix("ipv4:").removeprefix("ipv6:")
        host = name.rpartition(":")[0].strip("[]")
        try:
            local = ipaddress.ip_address(host).is_loopback
        except ValueError:
            local = host == "localhost"
        if not local:
            return False
    return True


def several(target: str) -> str:
    """Returns gRPC's spelling of a target; InvalidArgumentError for a bad list of addresses."""
    if "," not in target or target.startswith(("ipv4:", "ipv6:")):
        return target
    parts = [part.strip().replace("localhost:", "127.0.0.1:") for part in target.split(",")]
    versions = {_version(part, target) for part in parts}
    if len(versions) > 1:
        raise InvalidArgumentError(f"'{target}' mixes IPv4 and IPv6; send calls to either")
    return f"ipv{versions.pop()}:{','.join(parts)}"


def _version(part: str, target: str) -> int:
    host, _, port = part.rpartition(":")
    try:
        version = ipaddress.ip_address(host.strip("[]")).version
        if not 0 < int(port) < 1 << 16:
            raise ValueError(port)
    except ValueError:
        raise InvalidArgumentError(
            f"'{target}' has '{part}' among several servers; each must be an IP address and a "
            "port; for names, use dns:///name:port"
        ) from None
    return version


def _service_options(
    health_service: str, retries: int, unretried: Sequence[Method]
) -> list[tuple[str, Any]]:
    service_config: dict[str, Any] = {
        "loadBalancingConfig": [{"round_robin": {}}],
        "methodConfig": [
            {"name": [{"service": service, "method": method} for service, method in unretried]}
        ]
        if unretried
        else [],
    }
    if retries:
        service_config["methodConfig"].append(
            {
                "name": [{}],
                "retryPolicy": {
                    "maxAttempts": retries + 1,
                    "initialBackoff": "0.05s",
                    "maxBackoff": "1s",
                    "backoffMultiplier": 2,
                    # Every write is idempotent, so a call without an answer may be repeated. One
                    # that arrives in the moment of a server's stop ends as CANCELLED.
                    "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
                },
            }
        )
        # Above about one failure in ten, retries stop: they would only add load.
        service_config["retryThrottling"] = {"maxTokens": 100, "tokenRatio": 0.1}
    if health_service:
        service_config["healthCheckConfig"] = {"serviceName": health_service}
    return [("grpc.service_config", json.dumps(service_config))]


def _connection_options(
    target: str, max_message_bytes: int, tls: TLS | None
) -> list[tuple[str, Any]]:
    options: list[tuple[str, Any]] = [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.keepalive_time_ms", limits.PING_INTERVAL_S * 1000),
        ("grpc.keepalive_timeout_ms", 10_000),
        # gRPC's defaults, one second and two minutes, would leave a server that was restarted, or
        # that recovered, unused for that long.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 5_000),
        # Names are resolved again when a connection ends. At gRPC's default, 30 s, a client whose
        # servers are replaced one by one would know none of those that are left.
        ("grpc.dns_min_time_between_resolutions_ms", 2_000),
    ]
    if len(several_of := addresses(target)) > 1:
        options.append(("grpc.default_authority", several_of[0]))
    if tls and tls.server_name:
        options.append(("grpc.ssl_target_name_override", tls.server_name))
    return options


class _OfService(aio.UnaryUnaryClientInterceptor):
    """Sends a service's token, and forwards the id of the request that it is answering."""

    def __init__(
        self, token: Callable[[], str] | None, observer: CallObserver | None = None
    ) -> None:
        self._token = token
        self._observer = observer

    async def intercept_unary_unary(
        self,
        continuation: Callable[[aio.ClientCallDetails, Any], Any],
        client_call_details: aio.ClientCallDetails,
        request: Any,
    ) -> Any:
        """Adds the headers."""
        headers = {request_ids.HEADER: request_ids.current.get()}
        ended = None
        if self._observer is not None:
            more, ended = self._observer(_text(client_call_details.method))
            headers |= more
        if self._token is not None:
            headers["authorization"] = f"Bearer {self._token()}"
        metadata = aio.Metadata(*(client_call_details.metadata or ()))
        for name, value in headers.items():
            if value:
                metadata.add(name, value)
        client_call_details = aio.ClientCallDetails(
            client_call_details.method,
            client_call_details.timeout,
            metadata,
            client_call_details.credentials,
            client_call_details.wait_for_ready,
        )
        call = await continuation(client_call_details, request)
        if ended is not None:
            try:
                ended((await call.code()).name)
            except asyncio.CancelledError:
                # Unlike the call itself, waiting for its code does not pass on that nobody waits.
                call.cancel()
                ended(grpc.StatusCode.CANCELLED.name)
                raise
        return call


def _text(method: str | bytes) -> str:
    return method.decode() if isinstance(method, bytes) else method
