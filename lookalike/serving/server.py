"""Life cycle of a gRPC server process: port, health, reflection, graceful stop.

Health: `""` is liveness, SERVING as long as the event loop runs. The service's full name is
readiness, set by the service. On SIGTERM: NOT_SERVING, keep serving for a propagation delay while
load balancers notice, drain calls in flight, exit 0.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from grpc import aio
from grpc_health.v1 import health_pb2_grpc

from lookalike import limits
from lookalike.errors import StartupError
from lookalike.serving import health, telemetry
from lookalike.serving import settings as settings_module
from lookalike.serving.interceptors import RequestInterceptor
from lookalike.serving.reflection import add_reflection
from lookalike.serving.settings import setting

logger = logging.getLogger(__name__)

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """Settings that all servers share."""

    host: str = setting(
        "127.0.0.1", "Address to listen on; 0.0.0.0 lets other machines in, without encryption."
    )
    port: int = setting(0, "TCP port; 0 takes a free one.", minimum=0, maximum=65535)
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
        "every stop. At 0 a call that arrives in that moment may end as CANCELLED.",
        minimum=0,
        maximum=600,
    )
    drain_timeout_s: float = setting(
        20.0,
        "How long calls in flight may take after that; a stuck call delays the stop by this much.",
        minimum=0,
        maximum=3600,
    )


S = TypeVar("S", bound=ServerSettings)

# Of the interval between pings: those sent in time may come a little early after one that was late.
_TOLERANCE = 0.1


class GrpcServer:
    """A grpc.aio server with health and reflection.

    Call in this order: `bind`, `add` for each service, `start`, `set_ready`, `wait_for_stop`.
    """

    def __init__(self, settings: ServerSettings, variable_prefix: str) -> None:
        self._settings = settings
        self._prefix = variable_prefix
        self._health = health.HealthServicer()
        self._names: list[str] = []
        self._drained_with: list[Callable[[], Awaitable[None]]] = []
        self._stop = asyncio.Event()
        self._server = aio.server(
            interceptors=[RequestInterceptor(log_all=settings.log_requests)],
            options=[
                # With SO_REUSEPORT a second process on the same port would start and take half of
                # the connections instead of failing.
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", settings.max_message_bytes),
                ("grpc.max_send_message_length", settings.max_message_bytes),
                *_connection_options(),
            ],
        )
        self.address = ""
        self._wakers: tuple[socket.socket, ...] = ()

    def bind(self) -> None:
        """Binds the port before slow work begins; raises StartupError if that fails."""
        host, port = self._settings.host, self._settings.port
        try:
            # gRPC itself would only say that it failed, and write its own lines to stderr.
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            socket.create_server((host, port), family=family).close()
            shown_host = f"[{host}]" if family == socket.AF_INET6 else host
            bound = self._server.add_insecure_port(f"{shown_host}:{port}")
        # UnicodeError: an invalid host name such as `a..b`.
        except (OSError, RuntimeError, UnicodeError) as error:
            raise StartupError(
                f"cannot listen on {host}:{port}: {error}; "
                f"set {self._prefix}PORT or {self._prefix}HOST"
            ) from None
        self.address = f"{shown_host}:{bound}"

    def add(self, register: Callable[[Any, aio.Server], None], servicer: Any, name: str) -> None:
        """Adds a service by its generated `add_…_to_server` function and its full name."""
        register(servicer, self._server)
        self._names.append(name)

    def drain_with(self, stop: Callable[[], Awaitable[None]]) -> None:
        """Adds the `stop` of another server in this process, which drains at the same time."""
        self._drained_with.append(stop)

    async def start(self, *, until_signal: bool = True) -> None:
        """Starts answering; services are not ready until `set_ready`.

        Args:
            until_signal: Whether this server handles SIGTERM and SIGINT; one of the process does.
        """
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        add_reflection([*self._names, health.NAME], self._server)
        await self.set_ready(False)
        await self._server.start()
        if until_signal:
            self._stop_on_signals()
        event = "serving" if until_signal else "also serving"
        logger.info(event, extra={"address": self.address, "pid": os.getpid()})

    def _stop_on_signals(self) -> None:
        # The loop's own add_signal_handler restores the default when it is removed, or the loop
        # closes: one more signal just then would kill the ending process as if it had crashed.
        woken, waking = socket.socketpair()
        waking.setblocking(False)
        loop = asyncio.get_running_loop()

        def stop() -> None:
            loop.remove_reader(woken)
            self._stop.set()

        loop.add_reader(woken, stop)
        signal.set_wakeup_fd(waking.fileno(), warn_on_full_buffer=False)
        self._wakers = woken, waking
        for number in _STOP_SIGNALS:
            signal.signal(number, lambda *_: None)

    async def stop(self) -> None:
        """Stops at once; for a server beside the one that handles signals."""
        await asyncio.gather(self._server.stop(None), self._health.end_watches())

    def set_alive(self, alive: bool) -> None:
        """Sets the process's liveness."""
        self._health.set_alive(alive)

    async def set_ready(self, ready: bool) -> None:
        """Sets the readiness of all added services."""
        for name in self._names:
            self._health.set_ready(name, ready)

    async def wait_for_stop(self) -> None:
        """Returns after SIGTERM or SIGINT, once calls in flight are answered."""
        await self._stop.wait()
        logger.info("stopping")
        self._health.stop_serving()
        await asyncio.sleep(self._settings.propagation_delay_s)
        # From here on gRPC itself cancels calls whose callers have not noticed the stop, before we
        # see them: https://github.com/grpc/grpc/issues/41785
        # In this order: a watch that ends while new calls are accepted would be started again.
        await asyncio.gather(
            self._server.stop(self._settings.drain_timeout_s),
            self._health.end_watches(),
            *(stop() for stop in self._drained_with),
        )
        for number in _STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)
        for end in self._wakers:
            end.close()
        logger.info("stopped")


def _connection_options() -> list[tuple[str, int]]:
    # gRPC's own default, a ping in five minutes and none without calls, ends the connections of
    # clients and proxies that ping as they are told to elsewhere, and our own client's.
    shortest_ms = limits.MIN_PING_INTERVAL_S * 1000 * (1 - _TOLERANCE)
    return [
        ("grpc.http2.min_ping_interval_without_data_ms", round(shortest_ms)),
        ("grpc.keepalive_permit_without_calls", 1),
        # Without it, a connection that begins and cancels calls as fast as it can fills memory and
        # keeps others waiting for seconds.
        ("grpc.max_concurrent_streams", limits.MAX_CALLS_PER_CONNECTION),
    ]


def run(
    name: str,
    settings_class: type[S],
    prefix: str,
    serve: Callable[[S], Coroutine[Any, Any, None]],
) -> None:
    """Runs a service's `serve` as this process's main task; `__main__` modules call it.

    Exits with 1 and one line on stderr if the service cannot start.
    """
    try:
        settings = settings_module.load(settings_class, prefix, os.environ)
        telemetry.configure_logging(name, settings.log_level)
        asyncio.run(serve(settings))
    except StartupError as error:
        sys.exit(f"{name}: {error}")
