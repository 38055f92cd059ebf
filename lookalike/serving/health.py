"""`grpc.health.v1`: liveness of the process and readiness of each of its services.

grpcio-health-checking's asyncio servicer drops all watchers of a service when one of them leaves,
and its watches never end, so that stopping a server with a watcher takes the whole drain timeout.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

NAME = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN

Context = aio.ServicerContext[Any, Any]


class HealthServicer(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # grpcio has no types
    """Answers from memory; call its setters on the event loop's thread."""

    def __init__(self) -> None:
        self._statuses = {"": SERVING}
        self._changed = asyncio.Event()
        self._stopping = False
        self._ended = False

    def set_ready(self, service: str, ready: bool) -> None:
        """Sets a service's readiness; while the server stops, nothing becomes ready again."""
        self._statuses[service] = SERVING if ready and not self._stopping else NOT_SERVING
        self._tell_watchers()

    def set_alive(self, alive: bool) -> None:
        """Sets the liveness of the process; a restart is the remedy if it fails."""
        self.set_ready("", alive)

    def stop_serving(self) -> None:
        """Sets everything to NOT_SERVING for good."""
        self._stopping = True
        self._statuses = dict.fromkeys(self._statuses, NOT_SERVING)
        self._tell_watchers()

    async def end_watches(self) -> None:
        """Ends all current and future watches: as calls in flight they would delay the stop."""
        self._ended = True
        self._tell_watchers()

    async def Check(
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> health_pb2.HealthCheckResponse:
        """Returns the current status; NOT_FOUND for an unknown service."""
        status = self._statuses.get(request.service)
        if status is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such service here")
        return health_pb2.HealthCheckResponse(status=status)

    async def Watch(
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """Sends the status now and at each change."""
        sent = None
        while True:
            changed = self._changed  # read before the status, so that no change is missed
            status = self._statuses.get(request.service, SERVICE_UNKNOWN)
            if status != sent:
                yield health_pb2.HealthCheckResponse(status=status)
                sent = status
            elif self._ended:
                return
            else:
                await changed.wait()

    def _tell_watchers(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
