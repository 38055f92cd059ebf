"""Life cycle of a gRPC server process: port, health, reflection, graceful stop.

Health: `""` is liveness, SERVING as long as the event loop runs. The service's full name is
readiness, set by the service. On SIGTERM: NOT_SERVING, keep serving for a propagation delay while
load balancers notice, drain calls in flight, exit 0.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import grpc
from grpc import aio
from grpc_health.v1 import health_pb2_grpc

from lookalike import limits
from lookalike.errors import StartupError
from lookalike.serving import health, ports, telemetry
from lookalike.serving import settings as settings_module
from lookalike.serving.access import Guard, Scope
from lookalike.serving.interceptors import RequestInterceptor
from lookalike.serving.metrics_endpoint import MetricsEndpoint
from lookalike.serving.reflection import add_reflection
from lookalike.serving.rpc_access import RpcAccess
from lookalike.serving.server_settings import ServerSettings, guard_of, tls_of, warn_of_strangers
from lookalike.serving.telemetry import Telemetry
from lookalike.serving.tls import ServerTLS

logger = logging.getLogger(__name__)

# Of a service's command line.
INSECURE = "--insecure"

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


S = TypeVar("S", bound=ServerSettings)

# Of the interval between pings: those sent in time may come a little early after one that was late.
_TOLERANCE = 0.1


class GrpcServer:
    """A grpc.aio server with health and reflection, and a port of metrics beside it.

    Call in this order: `bind`, `add` for each service, `start`, `set_ready`, `wait_for_stop`;
    `probed` around slow work before `start`.

    Args:
        settings: Of the service.
        variable_prefix: Of its settings.
        admin_elsewhere: Setting of the port that has the RPCs for admins; empty if this one has.
        beside: Another server of the process, with which this one starts, is ready and ends.
    """

    def __init__(
        self,
        settings: ServerSettings,
        variable_prefix: str,
        *,
        admin_elsewhere: str = "",
        beside: GrpcServer | None = None,
    ) -> None:
        self._settings = settings
        self._prefix = variable_prefix
        self._health = health.HealthServicer()
        self._names: list[str] = []
        self.tls: ServerTLS | None = beside.tls if beside else tls_of(settings, variable_prefix)
        self.guard: Guard = beside.guard if beside else guard_of(settings, variable_prefix)
        self._access = RpcAccess(self.guard, admin_elsewhere)
        self.telemetry: Telemetry = (
            beside.telemetry if beside else Telemetry.of(settings, variable_prefix)
        )
        if beside is None:
            self.telemetry.watch_renewals(self.tls, self.guard.tokens)
            self.telemetry.watch_certificate(self.tls)
        self._beside: list[GrpcServer] = []
        if beside is not None:
            beside._beside.append(self)
        self._drained_with: list[Callable[[], Awaitable[None]]] = []
        self._stop = asyncio.Event()
        self._server = aio.server(
            interceptors=[
                RequestInterceptor(self._access, self.telemetry, log_all=settings.log_requests)
            ],
            options=[
                # With SO_REUSEPORT a second process on the same port would start and take half of
                # the connections instead of failing.
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", settings.max_message_bytes),
                ("grpc.max_send_message_length", settings.max_message_bytes),
                *_connection_options(settings.max_connection_age_s),
            ],
        )
        self.address = ""
        self._health_server: aio.Server | None = None
        self._health_address = ""
        self._metrics: MetricsEndpoint | None = None
        self._probed = False
        self._wakers: tuple[socket.socket, ...] = ()

    def bind(self) -> None:
        """Binds the port before slow work begins; raises StartupError if that fails."""
        credentials = self.tls.grpc_credentials() if self.tls else None
        self.address = self._bound(self._server, self._settings.port, "PORT", credentials)
        if self._settings.health_port >= 0:
            self._health_server = aio.server()
            port = self._settings.health_port
            self._health_address = self._bound(self._health_server, port, "HEALTH_PORT")
        if self.telemetry.metrics and self._settings.metrics_port >= 0:
            self._metrics = MetricsEndpoint(
                self.telemetry.metrics.registry,
                self._settings.host,
                self._settings.metrics_port,
                self._prefix,
                context=self.tls.context() if self.tls else None,
                # Who looks at a service must see it just when its callers are refused.
                admit=functools.partial(self.guard.identify, Scope.READ),
            )
            self._metrics.bind()

    def _bound(
        self,
        server: aio.Server,
        port: int,
        variable: str,
        credentials: grpc.ServerCredentials | None = None,
    ) -> str:
        host, prefix = self._settings.host, self._prefix
        with ports.binding(host, port, f"{prefix}{variable} or {prefix}HOST"):
            # gRPC itself would only say that it failed, and write its own lines to stderr.
            socket.create_server((host, port), family=ports.family_of(host)).close()
            address = ports.shown(host, port)
            if credentials is None:
                return ports.shown(host, server.add_insecure_port(address))
            return ports.shown(host, server.add_secure_port(address, credentials))

    def add(
        self,
        register: Callable[[Any, aio.Server], None],
        servicer: Any,
        name: str,
        scopes: Mapping[str, Scope],
    ) -> None:
        """Adds a service by its generated `add_…_to_server` function and its full name.

        Raises:
            ValueError: `scopes` does not say of each of its RPCs, by name, what it needs.
        """
        self._access.add(name, scopes)
        register(servicer, self._server)
        self._names.append(name)

    def drain_with(self, stop: Callable[[], Awaitable[None]]) -> None:
        """Adds the `stop` of another kind of server, which drains at the same time."""
        self._drained_with.append(stop)

    @asynccontextmanager
    async def probed(self, *names: str) -> AsyncIterator[None]:
        """Answers on the ports of health and metrics from here on, unless the block raises.

        For a block that may take minutes, in which an orchestrator sees that the process is alive.
        It may use threads: a signal to end meanwhile ends the process without waiting for them.

        Args:
            names: Full names of services that will be added; they are not ready.
        """
        for number in _STOP_SIGNALS:
            signal.signal(number, _end_at_once)
        for name in names:
            self._health.set_ready(name, False)
        if self._health_server is not None:
            health_pb2_grpc.add_HealthServicer_to_server(self._health, self._health_server)
            await self._health_server.start()
            logger.info("serving health", extra={"address": self._health_address})
        if self._metrics is not None:
            self._metrics.start()
        self._probed = True
        try:
            yield
        except BaseException:
            await self._end_probes()
            raise

    async def _end_probes(self) -> None:
        if self._health_server is not None:
            await self._health_server.stop(None)
        if self._metrics is not None:
            self._metrics.stop()

    async def start(self) -> None:
        """Starts answering; services are not ready until `set_ready`."""
        if not self._probed:
            async with self.probed(*self._names):
                pass
        self._stop_on_signals()
        for server in self._beside:
            await server._start("also serving")
        await self._start("serving")

    async def _start(self, event: str) -> None:
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        add_reflection([*self._names, health.NAME], self._server)
        self._set_ready(False)
        await self._server.start()
        warn_of_strangers(self._settings, self._prefix, self.address)
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

    async def _drain(self) -> None:
        # In this order: a watch that ends while new calls are accepted would be started again.
        await asyncio.gather(
            self._server.stop(self._settings.drain_timeout_s), self._health.end_watches()
        )

    def set_alive(self, alive: bool) -> None:
        """Sets the process's liveness."""
        self._health.set_alive(alive)

    async def set_ready(self, ready: bool) -> None:
        """Sets the readiness of all added services, and of those of servers beside this one."""
        for server in (self, *self._beside):
            server._set_ready(ready)

    def _set_ready(self, ready: bool) -> None:
        for name in self._names:
            self._health.set_ready(name, ready)

    async def wait_for_stop(self) -> None:
        """Returns after SIGTERM or SIGINT, once calls in flight are answered."""
        await self._stop.wait()
        logger.info("stopping")
        servers = (self, *self._beside)
        for server in servers:
            server._health.stop_serving()
        await asyncio.sleep(self._settings.propagation_delay_s)
        # From here on gRPC itself cancels calls whose callers have not noticed the stop, before we
        # see them: https://github.com/grpc/grpc/issues/41785
        await asyncio.gather(
            *(server._drain() for server in servers), *(stop() for stop in self._drained_with)
        )
        await self._end_probes()
        await asyncio.to_thread(self.telemetry.close)
        for number in _STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)
        for end in self._wakers:
            end.close()
        logger.info("stopped")


def _end_at_once(number: int, _: object) -> None:
    # The default of a signal does nothing to the first process of a container.
    os._exit(128 + number)


def _connection_options(max_age_s: float) -> list[tuple[str, int]]:
    # gRPC's own default, a ping in five minutes and none without calls, ends the connections of
    # clients and proxies that ping as they are told to elsewhere, and our own client's.
    shortest_ms = limits.MIN_PING_INTERVAL_S * 1000 * (1 - _TOLERANCE)
    return [
        ("grpc.http2.min_ping_interval_without_data_ms", round(shortest_ms)),
        ("grpc.keepalive_permit_without_calls", 1),
        # Without it, a connection that begins and cancels calls as fast as it can fills memory and
        # keeps others waiting for seconds.
        ("grpc.max_concurrent_streams", limits.MAX_CALLS_PER_CONNECTION),
        # gRPC makes it up to a tenth longer or shorter, so that not all come again at once, and by
        # default sets no limit to how long calls may go on after it.
        *([("grpc.max_connection_age_ms", round(max_age_s * 1000))] if max_age_s else []),
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
        settings = settings_module.load(settings_class, prefix, _variables(prefix, sys.argv[1:]))
        telemetry.configure_logging(name, settings.log_level)
        asyncio.run(serve(settings))
    except StartupError as error:
        sys.exit(f"{name}: {error}")


def _variables(prefix: str, arguments: list[str]) -> dict[str, str]:
    """Returns the environment, with what the command line adds."""
    if unknown := [argument for argument in arguments if argument != INSECURE]:
        raise StartupError(
            f"'{unknown[0]}' is no argument; there is {INSECURE}, and variables that begin with "
            f"{prefix}: docs/configuration.md"
        )
    return {**os.environ, **({f"{prefix}INSECURE": "true"} if arguments else {})}
