"""Answers GET /metrics on a port and in threads of its own, so that a busy service is seen too."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import ssl
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, MetricsHandler

from lookalike.errors import LookalikeError, UnauthenticatedError
from lookalike.serving import ports

logger = logging.getLogger(__name__)

PATH = "/metrics"
# Connections at a time; one more takes the place of the one that has waited longest without asking,
# so that strangers who only connect keep nobody from asking.
_MOST_AT_ONCE = 16
# For a whole scrape, however steadily somebody sends or reads; Prometheus itself gives up as soon.
_PATIENCE_S = 10.0
_PAUSE_S = 0.1

Admit = Callable[[str, str], object]


class MetricsEndpoint:
    """The metrics of a registry over HTTP; call `bind`, `start` and `stop` in this order.

    Args:
        registry: What to show.
        host: Address to listen on.
        port: Its port; 0 takes a free one.
        prefix: Of the settings, for messages.
        context: Encrypts; None for plaintext.
        admit: Gets the Authorization header and the caller's address, and raises a LookalikeError
            for those who may not ask; None admits everybody.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        host: str,
        port: int,
        prefix: str,
        *,
        context: ssl.SSLContext | None = None,
        admit: Admit | None = None,
    ) -> None:
        self._registry = registry
        self._host = host
        self._port = port
        self._prefix = prefix
        self._context = context
        self._admit = admit
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self.address = ""

    def bind(self) -> None:
        """Binds the port; raises StartupError if that fails."""
        host, prefix = self._host, self._prefix
        handler = type("Handler", (_Handler,), {"registry": self._registry})
        with ports.binding(
            host, self._port, f"{prefix}METRICS_PORT (-1 serves no metrics) or {prefix}HOST"
        ):
            self._server = _Server(
                (host, self._port), handler, ports.family_of(host), self._context, self._admit
            )
        self.address = ports.shown(host, self._server.server_address[1])

    def start(self) -> None:
        """Starts to answer."""
        assert self._server is not None, "bind first"
        self._thread = threading.Thread(target=self._server.serve, name="metrics", daemon=True)
        self._thread.start()
        logger.info("serving metrics", extra={"address": self.address, "pid": os.getpid()})

    def stop(self) -> None:
        """Closes the port; answers under way end with the process."""
        if self._server is None:
            return
        self._server.end()
        if self._thread is not None:
            self._thread.join(1)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_port = False
    request_queue_size = 64  # of the library 5, beyond which connecting takes a second

    def __init__(
        self,
        address: tuple[str, int],
        handler: type[MetricsHandler],
        family: socket.AddressFamily,
        context: ssl.SSLContext | None,
        admit: Admit | None,
    ) -> None:
        self.address_family = family
        self.admit = admit
        self._context = context
        self._ended = threading.Event()
        self._places = threading.BoundedSemaphore(_MOST_AT_ONCE)
        self._silent: dict[socket.socket, None] = {}  # the longest first
        self._lock = threading.Lock()
        super().__init__(address, handler)

    def serve(self) -> None:
        """Accepts until `end`; the library's own loop wakes twice a second to see whether to."""
        while not self._ended.is_set():
            try:
                connection, address = self.socket.accept()
            except OSError:  # closed; or too many files are open
                self._ended.wait(_PAUSE_S)
            else:
                self.process_request(connection, address)

    def end(self) -> None:
        self._ended.set()
        with contextlib.suppress(OSError):  # without it, Linux would not wake who accepts
            self.socket.shutdown(socket.SHUT_RDWR)
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self._end_longest_silence()
            if not self._places.acquire(timeout=_PAUSE_S):
                self.shutdown_request(request)
                return
        super().process_request(request, client_address)

    def _end_longest_silence(self) -> None:
        with self._lock:
            longest = next(iter(self._silent), None)
        if longest is not None:
            self.asked(longest)
            _hang_up(longest)

    def asked(self, connection: socket.socket) -> None:
        """Notes that somebody asked who may; it makes way for nobody."""
        with self._lock:
            self._silent.pop(connection, None)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self._context is not None:
            # In the connection's own thread, since it fails where the caller has hung up.
            request = self._context.wrap_socket(
                request, server_side=True, do_handshake_on_connect=False
            )
        # A timeout of the socket itself would begin anew with each byte.
        limit = threading.Timer(_PATIENCE_S, _hang_up, [request])
        limit.daemon = True
        limit.start()
        with self._lock:
            self._silent[request] = None
        try:
            super().finish_request(request, client_address)
        finally:
            limit.cancel()
            self.asked(request)
            self.shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A caller who left, or no TLS: nothing that an operator must know.
        logger.debug("a scrape failed", exc_info=True)


def _hang_up(connection: socket.socket) -> None:
    """Has whoever reads or writes there fail."""
    with contextlib.suppress(OSError):
        # Not of `SSLSocket`, which would have the rest sent in plaintext.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


class _Handler(MetricsHandler):
    server: _Server

    def do_GET(self) -> None:
        if urlsplit(self.path).path != PATH:
            self._refuse(HTTPStatus.NOT_FOUND, f"there is {PATH} alone")
            return
        try:
            if self.server.admit is not None:
                authorization = ", ".join(self.headers.get_all("Authorization", []))
                self.server.admit(authorization, self.client_address[0])
        except LookalikeError as error:
            known = not isinstance(error, UnauthenticatedError)
            self._refuse(HTTPStatus.FORBIDDEN if known else HTTPStatus.UNAUTHORIZED, error.message)
            return
        self.server.asked(self.connection)
        super().do_GET()

    def _refuse(self, status: HTTPStatus, words: str) -> None:
        body = f"{words}\n".encode()
        self.send_response(status)
        if status is HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", "Bearer")
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        return "lookalike"
