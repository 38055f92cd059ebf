"""Both clients behind one face, so that what holds for one is tested of the other too."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pytest

from lookalike import AsyncClient, Client
from tests.fake_services import FakeEmbedder, FakeGateway, Served


class Blocking:
    """An AsyncClient whose coroutines are waited for, and whose iterators are walked."""

    client_class: type[Any] = AsyncClient

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._runner = asyncio.Runner()
        self.client = self.client_class(*args, **kwargs)
        self._closed = False

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            answer = getattr(self.client, name)(*args, **kwargs)
            if inspect.isasyncgen(answer):
                return self._walk(answer)
            return self._runner.run(answer)

        return call

    def _walk(self, answers: Any) -> Iterator[Any]:
        try:
            while True:
                yield self._runner.run(anext(answers))
        except StopAsyncIteration:
            return
        finally:
            self._runner.run(answers.aclose())

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._runner.run(self.client.aclose())
        self._runner.close()


class Connect(Protocol):
    """Makes a client with these arguments, which is closed at the end of the test."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...


@pytest.fixture(params=[Client, Blocking], ids=["Client", "AsyncClient"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    clients: list[Any] = []

    def connect(*args: Any, **kwargs: Any) -> Any:
        clients.append(request.param(*args, **kwargs))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    served: list[Served] = []

    def serve(servicer: Any, **kwargs: Any) -> Served:
        served.append(Served(servicer, **kwargs))
        return served[-1]

    yield serve
    for server in served:
        server.stop()


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway()


@pytest.fixture
def embedder() -> FakeEmbedder:
    return FakeEmbedder()


@pytest.fixture
def client(connect: Connect, serve: Any, gateway: FakeGateway, embedder: FakeEmbedder) -> Any:
    """A client of a fake gateway and a fake embedder."""
    return connect(serve(gateway).address, embedder=serve(embedder).address, timeout=5.0)
