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
from gateway.http.connections import PATIENCE_S, AcceptFailures, Connection, Room, most_connections
from lookalike.serving import ports
from lookalike.serving.tls import ServerTLS

logger = logging.getLogger(__name__)

_KEEP_ALIVE_S = 75
_BACKLOG = 512
# At a time of those; asyncio accepts all of them before it looks at any.
_ACCEPTED = 64


class _Server(uvicorn.Server):
    """uvicorn with bounds on connections.

    It has no signal handlers: the gRPC server handles the process's signals.
    """

    def __init__(self, config: uvicorn.Config, room: Room) -> None:
        super().__init__(config)
        self._room = room

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listens on sockets, with what uvicorn does not pass on to asyncio."""
        encrypted = self.config.ssl
        self.servers = []
        for each in sockets or ():
            server = await asyncio.get_running_loop().create_server(
                lambda: Connection(self.config, self.server_state, self._room),
                sock=each,
                ssl=encrypted,
                ssl_handshake_timeout=PATIENCE_S if encrypted else None,
                backlog=_ACCEPTED,
            )
            self.servers.append(server)
            each.listen(_BACKLOG)
        self.started = True


class HttpServer:
    """The HTTP server; call `bind`, `start` and `stop` in this order.

    Args:
        settings: Where it listens, and how long it drains.
        tls: Its certificate; None for plaintext.
        room: How many connections there may be; None for as many as the process's limits allow.
    """

    def __init__(
        self, settings: GatewaySettings, tls: ServerTLS | None = None, room: Room | None = None
    ) -> None:
        self._settings = settings
        self._tls = tls
        self._room = room or Room(most_connections())
        self._socket: socket.socket | None = None
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self.address = ""

    def bind(self) -> None:
        """Binds the port; raises StartupError if that fails."""
        host, port = self._settings.host, self._settings.http_port
        with ports.binding(host, port, f"{PREFIX}HTTP_PORT (-1 serves no HTTP) or {PREFIX}HOST"):
            family = ports.family_of(host)
            self._socket = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        self.address = ports.shown(host, self._socket.getsockname()[1])

    async def start(self, app: Any) -> None:
        """Starts to answer requests."""
        assert self._socket is not None, "bind first"
        # Start and stop are logged by this class. Its warnings are of what strangers send: a line
        # for each of their requests that is no HTTP, or would change the protocol.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        logging.getLogger("asyncio").addFilter(AcceptFailures())
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
        self._server = _Server(config, self._room)
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
