"""Client channels with the settings that every caller of Lookalike wants."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from grpc import aio

from lookalike import telemetry

MAX_MESSAGE_BYTES = 16 << 20


@dataclass(frozen=True)
class TLS:
    """How to encrypt, and whom to trust.

    Attributes:
        roots: PEM file of the authorities that a server's certificate may come from; None for the
            public ones.
        certificate: PEM file of the certificate to show to a server that asks for one.
        key: PEM file of that certificate's private key.
        server_name: What the server's certificate must name, if not the host that is called.
    """

    roots: str | os.PathLike[str] | None = None
    certificate: str | os.PathLike[str] | None = None
    key: str | os.PathLike[str] | None = None
    server_name: str = ""

    @classmethod
    def of(cls, tls: bool | str | os.PathLike[str] | TLS) -> TLS | None:
        """Returns what a switch or a file of authorities stands for; None for plaintext."""
        if isinstance(tls, TLS):
            return tls
        if isinstance(tls, bool):
            return cls() if tls else None
        return cls(roots=tls)


def open_channel(
    target: str, *, health_service: str = "", max_message_bytes: int = MAX_MESSAGE_BYTES
) -> aio.Channel:
    """Opens a channel to one service; reuse it, and close it at the end.

    Args:
        target: `host:port`, or `dns:///name:port` to spread calls over every address of the name.
        health_service: Full name of a service. Given, only servers whose health says that it is
            SERVING get calls, and the channel is READY only while there is one.
        max_message_bytes: Largest message either way; the server's own limit holds too.
    """
    service_config: dict[str, Any] = {
        "loadBalancingConfig": [{"round_robin": {}}],
        "methodConfig": [
            {
                "name": [{}],
                "retryPolicy": {
                    "maxAttempts": 4,
                    "initialBackoff": "0.05s",
                    "maxBackoff": "1s",
                    "backoffMultiplier": 2,
                    # Every write is idempotent, so what never got an answer may be sent again.
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ],
        # Past about one failure in ten, retries stop: they would only add load.
        "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1},
    }
    if health_service:
        service_config["healthCheckConfig"] = {"serviceName": health_service}
    return aio.insecure_channel(
        target,
        options=[
            ("grpc.service_config", json.dumps(service_config)),
            ("grpc.max_receive_message_length", max_message_bytes),
            ("grpc.max_send_message_length", max_message_bytes),
            ("grpc.keepalive_time_ms", 60_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            # gRPC's own two minutes would leave a server that is back unused for that long.
            ("grpc.max_reconnect_backoff_ms", 5_000),
        ],
        interceptors=[_ForwardRequestId()],
    )


class _ForwardRequestId(aio.UnaryUnaryClientInterceptor):
    """Sends the id of the request being answered along with the calls made for it."""

    async def intercept_unary_unary(
        self,
        continuation: Callable[[aio.ClientCallDetails, Any], Any],
        client_call_details: aio.ClientCallDetails,
        request: Any,
    ) -> Any:
        """Adds the header."""
        if current := telemetry.request_id.get():
            metadata = aio.Metadata(*(client_call_details.metadata or ()))
            metadata.add(telemetry.REQUEST_ID_HEADER, current)
            client_call_details = aio.ClientCallDetails(
                client_call_details.method,
                client_call_details.timeout,
                metadata,
                client_call_details.credentials,
                client_call_details.wait_for_ready,
            )
        return await continuation(client_call_details, request)
