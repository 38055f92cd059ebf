"""A stuck engine fails liveness, and nothing else does."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from embedder_service.watchdog import watch_engine


class FakeServer:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, bool]] = []
        self.heard = asyncio.Event()

    def set_alive(self, alive: bool) -> None:
        self.told.append(("alive", alive))

    async def set_ready(self, ready: bool) -> None:
        self.told.append(("ready", ready))
        self.heard.set()


async def test_liveness_fails_while_the_engine_is_stuck_and_comes_back_with_it() -> None:
    embedder = SimpleNamespace(running_s=0.0)
    host: Any = SimpleNamespace(embedder=embedder)
    server: Any = FakeServer()
    watch = asyncio.create_task(watch_engine(host, server, stuck_after_s=0.02))
    await asyncio.sleep(0.05)
    assert server.told == []
    embedder.running_s = 0.021
    async with asyncio.timeout(10):
        await server.heard.wait()
    server.heard.clear()
    assert server.told == [("alive", False), ("ready", False)]
    embedder.running_s = 0.0
    async with asyncio.timeout(10):
        await server.heard.wait()
    assert server.told[2:] == [("alive", True), ("ready", True)]
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)
