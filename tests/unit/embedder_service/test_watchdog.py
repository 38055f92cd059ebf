"""A stuck engine or decoder fails liveness, and nothing else does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from embedder_service.watchdog import watch


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


@pytest.mark.parametrize("part", ["engine", "decoder"])
async def test_liveness_fails_while_a_part_is_stuck_and_comes_back_with_it(part: str) -> None:
    running = {"engine": 0.0, "decoder": 0.0}
    server: Any = FakeServer()
    parts = {
        "engine": (lambda: running["engine"], 0.02),
        "decoder": (lambda: running["decoder"], 0.02),
    }
    watching = asyncio.create_task(watch(parts, server))
    await asyncio.sleep(0.05)
    assert server.told == []
    running[part] = 0.021
    async with asyncio.timeout(10):
        await server.heard.wait()
    server.heard.clear()
    assert server.told == [("alive", False), ("ready", False)]
    running[part] = 0.0
    async with asyncio.timeout(10):
        await server.heard.wait()
    assert server.told[2:] == [("alive", True), ("ready", True)]
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
