"""Fails liveness when the engine is stuck, which only a restart can fix."""

from __future__ import annotations

import asyncio
import logging

from embedder_service.hosting import ModelHost
from lookalike.serving.server import GrpcServer

logger = logging.getLogger(__name__)


async def watch_engine(host: ModelHost, server: GrpcServer, stuck_after_s: float) -> None:
    """Fails the server's liveness while a forward pass exceeds the limit; runs for ever.

    Liveness returns if the pass ends after all, in case nothing has restarted the process yet.
    """
    stuck = False
    while True:
        await asyncio.sleep(min(1.0, stuck_after_s / 4))
        running_s = host.embedder.running_s
        if (running_s > stuck_after_s) != stuck:
            stuck = not stuck
            server.set_alive(not stuck)
            await server.set_ready(not stuck)
            if stuck:
                logger.error("the engine is stuck", extra={"running_s": round(running_s, 1)})
            else:
                logger.warning("the engine came back")
