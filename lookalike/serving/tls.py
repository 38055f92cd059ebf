"""TLS of every port: a certificate from files that are read again when they change.

A certificate and its key are two files, and whoever renews them writes one after the other: what
does not fit together is not taken, and the former pair stays.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc

from lookalike.serving import pem
from lookalike.serving.setting_files import Renewed, SettingFile

logger = logging.getLogger(__name__)

# Of a certificate's time: whoever renews certificates does it with a third left.
_SOON = 0.1


@dataclass(frozen=True)
class _Read:
    """The files' content, and the context that proves that they fit together."""

    certificate: bytes
    key: bytes
    client_ca: bytes | None
    context: ssl.SSLContext
    ends: datetime


class ServerTLS(Renewed[_Read]):
    """A server's certificate; safe to use from any thread.

    Args:
        certificate: PEM file of the certificate, followed by those between it and its authority.
        key: PEM file of its private key, without a password.
        client_ca: PEM file of the authorities whose certificates clients must show; None for none.

    Raises:
        StartupError: A file cannot be read, or they do not fit together.
    """

    def __init__(
        self, certificate: SettingFile, key: SettingFile, client_ca: SettingFile | None = None
    ) -> None:
        files = [certificate, key, *([client_ca] if client_ca else [])]
        super().__init__("certificate", files, lambda: _read(certificate, key, client_ca))

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """Returns credentials for gRPC, which asks for newer files at each handshake."""
        handed_over = self.current

        def newer() -> grpc.ServerCertificateConfiguration | None:
            nonlocal handed_over
            current = self.latest()
            if current is handed_over:
                return None
            handed_over = current
            return _configuration(current)

        return grpc.dynamic_ssl_server_credentials(
            _configuration(handed_over),
            newer,  # type: ignore[arg-type]  # None stands for no change
            require_client_authentication=handed_over.client_ca is not None,
        )

    @property
    def ends(self) -> datetime:
        """Returns when the newest certificate ends, or the first of those that it comes with."""
        return self.latest().ends

    def context(self) -> ssl.SSLContext:
        """Returns a context for HTTP, each of whose connections has the newest certificate."""
        return _Reloading(lambda: self.latest().context)


def _read(certificate: SettingFile, key: SettingFile, client_ca: SettingFile | None) -> _Read:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    shown = pem.show(context, certificate, key)
    trusted = None
    if client_ca is not None:
        trusted = pem.trust(context, client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    ends = _told_end(certificate, shown[0])
    return _Read(*shown, trusted, context, ends)


def _told_end(file: SettingFile, content: bytes) -> datetime:
    """Returns when a certificate ends; says so if that is soon, or past."""
    begins, ends = pem.first_to_end(file, content)
    left = ends - datetime.now(UTC)
    extra = {"file": str(file), "ends": ends.isoformat()}
    if left <= timedelta():
        # It is taken all the same: callers may be told to trust it, and without one is nothing.
        logger.error("the certificate has ended", extra=extra)
    elif left < (ends - begins) * _SOON:
        logger.warning("the certificate ends soon", extra=extra)
    return ends


def _configuration(read: _Read) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(read.key, read.certificate)], root_certificates=read.client_ca
    )


class _Reloading(ssl.SSLContext):
    """A context that has each connection made by the current one.

    asyncio and `http.server` keep the context that they were started with.
    """

    _current: Callable[[], ssl.SSLContext]

    def __new__(cls, current: Callable[[], ssl.SSLContext]) -> _Reloading:
        """Makes the context that stands for the others; it has no certificate itself."""
        self = super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)
        self._current = current
        return self

    def __init__(self, current: Callable[[], ssl.SSLContext]) -> None:
        """Keeps `ssl.SSLContext` from taking the argument for a protocol."""

    def wrap_bio(self, *arguments: Any, **named: Any) -> ssl.SSLObject:
        return self._current().wrap_bio(*arguments, **named)

    def wrap_socket(self, *arguments: Any, **named: Any) -> ssl.SSLSocket:
        return self._current().wrap_socket(*arguments, **named)
