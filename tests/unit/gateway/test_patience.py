"""How long calls wait for a service that was just lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from gateway.patience import Patience
from lookalike.errors import ItemNotFoundError, LookalikeError, UpstreamUnavailableError

FAR_S = 60.0


class Service:
    """Answers while it is there."""

    def __init__(self, patience: Patience) -> None:
        self.patience = patience
        self.asked = 0
        self.error: LookalikeError | None = None
        self.been_asked = asyncio.Event()

    def go(self) -> None:
        self.error = UpstreamUnavailableError("away")
        self.patience.note(ready=False)

    def come_back(self) -> None:
        self.error = None
        self.patience.note(ready=True)

    async def call(self) -> str:
        self.asked += 1
        self.been_asked.set()
        if self.error:
            raise self.error
        return "answer"

    def persist(self, seconds: float = FAR_S) -> Awaitable[str]:
        return self.patience.persist(self.call, time.monotonic() + seconds)


@pytest.fixture
def service_of() -> Callable[[float], Service]:
    return lambda seconds: Service(Patience(seconds))


async def test_call_waits_for_a_service_that_comes_back(
    service_of: Callable[[float], Service],
) -> None:
    service = service_of(FAR_S)
    service.go()
    calls = [asyncio.ensure_future(service.persist()) for _ in range(3)]
    await service.been_asked.wait()
    service.come_back()
    assert await asyncio.gather(*calls) == ["answer"] * 3
    assert service.asked == 6


async def test_service_that_stays_away_is_refused_and_then_at_once(
    service_of: Callable[[float], Service],
) -> None:
    service = service_of(0.05)
    service.go()
    with pytest.raises(UpstreamUnavailableError):
        await service.persist()
    service.patience.note(ready=False)  # connecting again, and failing again: no news
    with pytest.raises(UpstreamUnavailableError):
        await service.persist()
    assert service.asked == 2, "nobody asks a service that is away"


async def test_wait_ends_before_the_call_must(service_of: Callable[[float], Service]) -> None:
    service = service_of(FAR_S)
    service.go()
    async with asyncio.timeout(FAR_S / 2):
        with pytest.raises(UpstreamUnavailableError):
            await service.persist(0.3)


async def test_first_attempt_may_be_another(service_of: Callable[[float], Service]) -> None:
    service = service_of(0)
    service.error = UpstreamUnavailableError("dropped")

    async def first() -> str:
        failed, service.error = service.error, None
        assert failed
        raise failed

    answer = await service.patience.persist(service.call, time.monotonic() + FAR_S, first)
    assert (answer, service.asked) == ("answer", 1)


async def test_other_errors_are_not_waited_for(service_of: Callable[[float], Service]) -> None:
    service = service_of(FAR_S)
    service.error = ItemNotFoundError("no such item")
    with pytest.raises(ItemNotFoundError):
        await service.persist()
    assert service.asked == 1
