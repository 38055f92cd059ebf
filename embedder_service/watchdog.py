"""Fails liveness when the engine or a decoder is stuck, which only a restart can fix."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from lookalike.serving.server import GrpcServer

logger = logging.getLogger(__name__)

# No photo that is taken should need more than two; see `ImageLimits`.
STUCK_DECODER_S = 5.0

Running = Mapping[str, tuple[Callable[[], float], float]]
"""Of each part, how long it has been at its work, and how long that may take, in seconds."""


async def watch(parts: Running, server: GrpcServer) -> None:
    """Fails the server's liveness while a part is at its work for too long; runs for ever.

    Liveness returns if the work ends after all, in case nothing has restarted the process yet.
    """
    often = min(1.0, *(limit / 4 for _, limit in parts.values()))
    stuck: dict[str, float] = {}
    while True:
        await asyncio.sleep(often)
        running = {name: running_s() for name, (running_s, _) in parts.items()}
        now = {name: s for name, s in running.items() if s > parts[name][1]}
        for name in now.keys() - stuck.keys():
            logger.error("%s is stuck", name, extra={"running_s": round(now[name], 1)})
        for name in stuck.keys() - now.keys():
            logger.warning("%s came back", name)
        if bool(now) != bool(stuck):
            server.set_alive(not now)
            await server.set_ready(not now)
        stuck = now
