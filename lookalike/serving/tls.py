"""TLS of every port: a certificate from files that are read again when they change.

A certificate and its key are two files, and whoever renews them writes one after the other: what
does not fit together is not taken, and the former pair stays.
"""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from lookalike.errors import StartupError
from lookalike.files import signature

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Read:
    """The files' content, and the context that proves that they fit together."""

    signature: tuple[tuple[int, ...], ...]
    certificate: bytes
    key: bytes
    client_ca: bytes | None
    context: ssl.SSLContext


class ServerTLS:
    """A server's certificate; safe to use from any thread.

    Args:
        certificate: PEM file of the certificate, followed by those between it and its authority.
        key: PEM file of its private key, without a password.
        client_ca: PEM file of the authorities whose certificates clients must show; None for none.

    Raises:
        StartupError: A file cannot be read, or they do not fit together.
    """

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None = None) -> None:
        self._files = [certificate, key, *([client_ca] if client_ca else [])]
        self._lock = threading.Lock()
        try:
            self._current = self._read()
        except (OSError, ValueError) as error:
            raise StartupError(f"TLS cannot be set up of {self._named}: {error}") from None
        self._refused = self._current.signature

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """Returns credentials for gRPC, which asks for newer files at each handshake."""
        handed_over = self._current

        def newer() -> grpc.ServerCertificateConfiguration | None:
            nonlocal handed_over
            current = self._latest()
            if current is handed_over:
                return None
            handed_over = current
            return _configuration(current)

        return grpc.dynamic_ssl_server_credentials(
            _configuration(handed_over),
            newer,  # type: ignore[arg-type]  # None stands for no change
            require_client_authentication=handed_over.client_ca is not None,
        )

    def context(self) -> ssl.SSLContext:
        """Returns a context for HTTP, each of whose connections has the newest certificate."""
        return _Reloading(lambda: self._latest().context)

    @property
    def _named(self) -> str:
        return " and ".join(str(file) for file in self._files)

    def _latest(self) -> _Read:
        with self._lock:
            try:
                found = self._signature()
                if found in (self._current.signature, self._refused):
                    return self._current
                self._refused = found
                self._current = self._read()
                logger.info("certificate replaced", extra={"file": str(self._files[0])})
            except (OSError, ValueError) as error:  # half of a renewal, or a bad one
                extra = {"files": self._named, "reason": str(error)}
                logger.warning("new certificate refused", extra=extra)
            return self._current

    def _signature(self) -> tuple[tuple[int, ...], ...]:
        return tuple(map(signature, self._files))

    def _read(self) -> _Read:
        found = self._signature()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # Without an answer, a password's prompt would stop the service.
        context.load_cert_chain(self._files[0], self._files[1], password=lambda: "")
        content = [file.read_bytes() for file in self._files]
        client_ca = content[2] if len(content) > 2 else None
        if client_ca is not None:
            context.load_verify_locations(cadata=client_ca.decode("ascii"))
            context.verify_mode = ssl.CERT_REQUIRED
        return _Read(found, content[0], content[1], client_ca, context)


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
