"""Notices an engine that does not come back, which nothing but a restart can help."""

from __future__ import annotations

import asyncio
import logging

from embedder_service.hosting import ModelHost
from lookalike.serving.server import GrpcServer

logger = logging.getLogger(__name__)


async def watch_engine(host: ModelHost, server: GrpcServer, stuck_after_s: float) -> None:
    """Fails the server's liveness while a forward pass takes longer than that; runs for ever.

    Liveness comes back if the pass ends after all: whoever restarts on it was only slower.
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
