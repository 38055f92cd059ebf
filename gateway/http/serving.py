"""Runs uvicorn on the gateway's event loop, beside the gRPC server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

from gateway.config import PREFIX, GatewaySettings
from lookalike.serving import ports
from lookalike.serving.tls import ServerTLS

logger = logging.getLogger(__name__)

_KEEP_ALIVE_S = 75


class _Server(uvicorn.Server):
    """uvicorn without signal handlers: the gRPC server handles the process's signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpServer:
    """The HTTP server; call `bind`, `start` and `stop` in this order."""

    def __init__(self, settings: GatewaySettings, tls: ServerTLS | None = None) -> None:
        self._settings = settings
        self._tls = tls
        self._socket: socket.socket | None = None
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self.address = ""

    def bind(self) -> None:
        """Binds the port; raises StartupError if that fails."""
        host, port = self._settings.host, self._settings.http_port
        with ports.binding(host, port, f"{PREFIX}HTTP_PORT (-1 serves no HTTP) or {PREFIX}HOST"):
            family = ports.family_of(host)
            self._socket = socket.create_server((host, port), family=family, backlog=512)
        self.address = ports.shown(host, self._socket.getsockname()[1])

    async def start(self, app: Any) -> None:
        """Starts to answer requests."""
        assert self._socket is not None, "bind first"
        # Start and stop are logged by this class.
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        config = uvicorn.Config(
            app,
            loop="none",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            # Requests unanswered by then are cancelled.
            timeout_graceful_shutdown=max(1, round(self._settings.drain_timeout_s)),
        )
        if self._tls:
            config.load()
            config.ssl = self._tls.context()
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started:
            if self._serving.done():
                self._serving.result()
            await asyncio.sleep(0.01)
        logger.info("serving http", extra={"address": self.address, "pid": os.getpid()})

    async def stop(self) -> None:
        """Stops accepting, and returns once all requests are answered or cancelled."""
        if self._server is None or self._serving is None:
            return
        self._server.should_exit = True
        await self._serving
