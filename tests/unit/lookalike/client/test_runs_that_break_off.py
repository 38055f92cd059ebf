"""Runs of many photos whose client is closed, whose caller is slow, or whose input is bad."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lookalike import AsyncClient, CataloguePhoto, Client, Embedding
from lookalike.client import Ingested
from lookalike.errors import InvalidArgumentError
from tests.fake_services import FakeEmbedder, FakeGateway, Served

Serve = Callable[..., Served]


def photos(count: int) -> list[tuple[int, bytes]]:
    return [(number, b"photo %d" % number) for number in range(count)]


def wait_for_a_photo(embedder: FakeEmbedder) -> None:
    deadline = time.monotonic() + 10
    while not embedder.received:
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.005)


class Stuck(FakeEmbedder):
    """Never answers the photo 5, nor what comes after it."""

    def _response(self, request: Any) -> Any:
        if request.image == b"photo 5":
            self.gate.clear()
            self.gate.wait(10)
        return super()._response(request)


@pytest.mark.parametrize("where", ["source", "consumer"])
def test_a_stream_that_is_lost_while_the_caller_is_busy_is_opened_again(
    serve: Serve, where: str
) -> None:
    first = serve(Stuck())

    def be_busy() -> None:
        first.kill()
        serve(FakeEmbedder(), port=first.port)
        time.sleep(2.8)

    def source() -> Iterator[tuple[int, bytes]]:
        for number, photo in photos(30):
            if number == 12 and where == "source":  # eight are unanswered at most: five were
                be_busy()
            yield number, photo

    done = []
    with Client(embedder=first.address, photo_timeout=1.9) as client:
        for number, outcome in client.embed_many(source(), streams=1):
            assert isinstance(outcome, Embedding)
            done.append(number)
            if len(done) == 5 and where == "consumer":
                be_busy()
    assert sorted(done) == list(range(30))


@pytest.mark.parametrize("retries", [0, 3])
async def test_a_run_of_an_async_client_that_is_closed_ends_at_once(
    serve: Serve, embedder: FakeEmbedder, retries: int
) -> None:
    embedder.gate.clear()
    client = AsyncClient(embedder=serve(embedder).address, retries=retries)

    async def run() -> None:
        async for _ in client.embed_many(photos(50)):
            pass

    running = asyncio.create_task(run())
    await asyncio.to_thread(wait_for_a_photo, embedder)
    await client.aclose()
    with pytest.raises(RuntimeError, match="the client is closed"):
        await asyncio.wait_for(running, 5)


async def test_a_run_that_is_cancelled_stays_cancelled(
    serve: Serve, embedder: FakeEmbedder
) -> None:
    embedder.gate.clear()
    async with AsyncClient(embedder=serve(embedder).address) as client:

        async def run() -> None:
            async for _ in client.embed_many(photos(50)):
                pass

        running = asyncio.create_task(run())
        await asyncio.to_thread(wait_for_a_photo, embedder)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(running, 5)


@pytest.mark.parametrize("retries", [0, 3])
def test_a_run_of_a_client_that_is_closed_ends_at_once(
    serve: Serve, embedder: FakeEmbedder, retries: int
) -> None:
    client = Client(embedder=serve(embedder).address, retries=retries)
    found = client.embed_many(photos(200))
    next(found)
    client.close()
    with pytest.raises(RuntimeError, match="the client is closed"):
        list(found)


def test_a_photo_that_is_none_is_that_ones_outcome(client: Any, tmp_path: Path) -> None:
    bad = {"nul": "a\0b.jpg", "none": None, "list": [1]}
    outcomes = dict(client.embed_many({"good": b"photo", **bad, "better": b"photo"}.items()))
    assert isinstance(outcomes["good"], Embedding)
    assert isinstance(outcomes["better"], Embedding)
    for name in bad:
        assert isinstance(outcomes[name], InvalidArgumentError), outcomes[name]


def test_a_listing_that_is_none_is_that_ones_outcome(client: Any, gateway: FakeGateway) -> None:
    price: Any = "£5"
    listings = [
        CataloguePhoto("surrogate", "l", title="\ud800"),
        CataloguePhoto("text", "l", price=price),
        CataloguePhoto("good", "l", price=5),
    ]
    outcomes = dict(client.ingest_many((photo, b"photo") for photo in listings))
    assert isinstance(outcomes["good"], Ingested)
    for name, field in (("surrogate", "photo.title"), ("text", "")):
        assert isinstance(outcomes[name], InvalidArgumentError), outcomes[name]
        assert outcomes[name].field == field
