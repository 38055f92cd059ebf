"""Settings that all servers share, and what follows of those that keep strangers out."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from lookalike.channel import is_this_machine
from lookalike.errors import StartupError
from lookalike.serving.access import Guard, RateLimiter, TokenFile
from lookalike.serving.setting_files import SettingFile
from lookalike.serving.settings import setting
from lookalike.serving.tls import ServerTLS

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """Settings that all servers share."""

    host: str = setting(
        "127.0.0.1",
        "Address to listen on; 0.0.0.0 lets other machines in: set TLS_CERTIFICATE and TOKENS.",
    )
    port: int = setting(0, "TCP port; 0 takes a free one.", minimum=0, maximum=65535)
    health_port: int = setting(
        -1,
        "TCP port that answers health checks alone, without TLS, for those who know none, as "
        "Kubernetes's; 0 takes a free one, -1 none.",
        minimum=-1,
        maximum=65535,
    )
    metrics_port: int = setting(
        -1,
        "TCP port of Prometheus's metrics, /metrics, on the same host; 0 takes a free one, -1 "
        "measures nothing.",
        minimum=-1,
        maximum=65535,
    )
    traces_endpoint: str = setting(
        "",
        "OpenTelemetry collector that takes traces by OTLP over gRPC, such as "
        "http://collector:4317; empty for none.",
    )
    traces_share: float = setting(
        0.01,
        "Of the requests whose callers did not decide it, the share whose spans are recorded; a "
        "span takes as long as a search.",
        minimum=0,
        maximum=1,
    )
    tls_certificate: str = setting(
        "", "PEM file of the certificate of every port; read again when it changes. Empty for none."
    )
    tls_key: str = setting("", "PEM file of its private key.")
    tls_client_ca: str = setting(
        "", "PEM file of authorities: clients must show a certificate of theirs. Empty for none."
    )
    tokens: str = setting(
        "",
        "File of tokens, of which every call must send one: see docs/security.md; read again when "
        "it changes. Empty admits everybody.",
    )
    rate_limit: float = setting(
        0.0,
        "Requests a second of one client, which is a token or an address; 0 for no limit. Streams "
        "wait, other calls are refused.",
        minimum=0.001,
        off=0,
    )
    insecure: bool = setting(
        False,
        "Says that listening to other machines without TLS or tokens is meant, as in a network "
        "that encrypts; `--insecure` does too.",
    )
    log_level: str = setting(
        "info", "debug logs more and costs time.", choices=("debug", "info", "warning", "error")
    )
    log_requests: bool = setting(
        True,
        "Log every request, rather than those alone that failed; a line takes as long as comparing "
        "10,000 vectors.",
    )
    max_message_bytes: int = setting(
        16 << 20,
        "Largest message accepted or sent; every concurrent call may hold this much memory.",
        minimum=1 << 16,
        maximum=(1 << 31) - 1,
    )
    propagation_delay_s: float = setting(
        0.0,
        "How long to keep serving after SIGTERM while callers that watch the health notice; delays "
        "every stop. At 0 a call that arrives in that moment may end as CANCELLED, which our "
        "clients try again.",
        minimum=0,
        maximum=600,
    )
    drain_timeout_s: float = setting(
        20.0,
        "How long calls in flight may take after that; a stuck call delays the stop by this much.",
        minimum=0,
        maximum=3600,
    )

    max_connection_age_s: float = setting(
        300.0,
        "After about this long a connection takes no new calls, and clients connect again: so they "
        "find new servers behind a name. What is in progress, streams too, goes on. 0 never does.",
        minimum=0,
        maximum=86_400,
    )

    def of_port(self, host: str, port: int) -> Self:
        """Returns the settings of another port of the same process."""
        return dataclasses.replace(self, host=host, port=port, health_port=-1, metrics_port=-1)


def tls_of(settings: ServerSettings, prefix: str) -> ServerTLS | None:
    """Returns the certificate of the settings, None if there is none.

    Raises:
        StartupError: A file cannot be used, or one is set that needs another.
    """

    def file(name: str, value: str) -> SettingFile | None:
        return SettingFile(prefix + name, Path(value)) if value else None

    certificate = file("TLS_CERTIFICATE", settings.tls_certificate)
    key = file("TLS_KEY", settings.tls_key)
    client_ca = file("TLS_CLIENT_CA", settings.tls_client_ca)
    if certificate and key:
        return ServerTLS(certificate, key, client_ca)
    if alone := certificate or key or client_ca:
        raise StartupError(
            f"{prefix}TLS_CERTIFICATE and {prefix}TLS_KEY must both be set, since "
            f"{alone.variable} is"
        )
    return None


def guard_of(settings: ServerSettings, prefix: str) -> Guard:
    """Returns what admits callers by the settings; StartupError if the tokens cannot be read."""
    file = settings.tokens
    tokens = TokenFile(SettingFile(f"{prefix}TOKENS", Path(file))) if file else None
    return Guard(tokens, RateLimiter(settings.rate_limit) if settings.rate_limit else None)


def warn_of_strangers(settings: ServerSettings, prefix: str, address: str) -> None:
    """Says so where other machines can reach a server that does not know them."""
    if settings.insecure or is_this_machine(address):
        return
    lacking = {
        "TLS_CERTIFICATE": settings.tls_certificate,
        "TOKENS": settings.tokens or settings.tls_client_ca,
    }
    if missing := [prefix + name for name, value in lacking.items() if not value]:
        logger.warning(
            "other machines are let in without %s; --insecure says that it is meant",
            " and ".join(missing),
            extra={"address": address},
        )
