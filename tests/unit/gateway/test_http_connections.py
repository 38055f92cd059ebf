"""How many HTTP connections there are at a time, and how long one may keep the server waiting."""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.config import GatewaySettings
from gateway.http import serving
from gateway.http.connections import AcceptFailures, Room, most_connections
from gateway.http.serving import HttpServer
from lookalike.serving.setting_files import SettingFile
from lookalike.serving.tls import ServerTLS
from tests.certificates import Authority

PATIENCE_S = 0.2
LARGE = bytes(16 << 20)
WHOLE = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HALF = b"GET / HTTP/1.1\r\nHost: x\r\n"
Connect = Callable[..., Any]


class App:
    """Answers; `/wait` only when it may, `/large` with much."""

    def __init__(self) -> None:
        self.started, self.may_answer = asyncio.Event(), asyncio.Event()
        self.left = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/wait":
            self.started.set()
            await self.may_answer.wait()
        body = LARGE if scope["path"] == "/large" else b"here"
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        self.left.set()


@asynccontextmanager
async def serving_http(
    app: App, *, most: int = 100, tls: ServerTLS | None = None
) -> AsyncIterator[Connect]:
    """Gives a function that connects to a server of such an application."""
    settings = GatewaySettings(http_port=0, drain_timeout_s=0.1)
    server = HttpServer(settings, tls, Room(most, PATIENCE_S))
    server.bind()
    await server.start(app)
    host, port = server.address.split(":")
    async with AsyncExitStack() as opened:
        opened.push_async_callback(server.stop)

        async def connect(sent: bytes = b"") -> Any:
            reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 16)
            opened.callback(writer.close)
            writer.write(sent)
            return reader, writer

        yield connect


async def ended(reader: asyncio.StreamReader) -> bool:
    """Waits for the end of a connection, and says whether nothing was answered."""
    try:
        return await asyncio.wait_for(reader.read(), 5) == b""
    except ConnectionResetError:
        return True


async def answered(reader: asyncio.StreamReader) -> bool:
    return (await asyncio.wait_for(reader.readuntil(b"here"), 5)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("sent", [b"", HALF])
async def test_connection_without_a_whole_head_is_closed(sent: bytes) -> None:
    async with serving_http(App()) as connect:
        reader, _ = await connect(sent)
        assert await ended(reader)


async def test_head_whose_bytes_trickle_in_gets_no_more_time() -> None:
    async with serving_http(App()) as connect:
        reader, writer = await connect(HALF)
        ending = asyncio.create_task(ended(reader))
        for _ in range(100):
            writer.write(b"X-A: b\r\n")
            await asyncio.wait({ending}, timeout=PATIENCE_S / 10)
        assert await ending


async def test_connection_may_wait_for_longer_between_requests_but_not_within_one() -> None:
    async with serving_http(App()) as connect:
        reader, writer = await connect(WHOLE)
        assert await answered(reader)
        await asyncio.sleep(2 * PATIENCE_S)
        writer.write(WHOLE)
        assert await answered(reader)
        writer.write(HALF)
        assert await ended(reader)


async def test_request_that_is_being_answered_may_take_longer() -> None:
    app = App()
    async with serving_http(app) as connect:
        reader, _ = await connect(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        await app.started.wait()
        await asyncio.sleep(2 * PATIENCE_S)
        app.may_answer.set()
        assert await answered(reader)


async def test_who_does_not_read_the_answer_is_cut_off() -> None:
    app = App()
    async with serving_http(app) as connect:
        await connect(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.wait_for(app.left.wait(), 5)


async def test_who_reads_slowly_gets_all() -> None:
    async with serving_http(App()) as connect:
        reader, _ = await connect(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        got = 0
        while got < len(LARGE):
            got += len(await reader.readexactly(1 << 20))
            await asyncio.sleep(PATIENCE_S / 4)


async def test_where_there_is_no_room_the_one_that_waited_longest_gives_way() -> None:
    app = App()
    async with serving_http(app, most=3) as connect:
        busy, _ = await connect(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        await app.started.wait()
        first, _ = await connect(WHOLE)
        assert await answered(first)
        second, more = await connect(WHOLE)
        assert await answered(second)
        third, _ = await connect(WHOLE)
        assert await ended(first)
        assert await answered(third)
        more.write(WHOLE)
        assert await answered(second)
        app.may_answer.set()
        assert await answered(busy)


async def test_where_all_are_busy_the_new_one_gives_way() -> None:
    app = App()
    async with serving_http(app, most=1) as connect:
        busy, _ = await connect(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        await app.started.wait()
        reader, _ = await connect(WHOLE)
        assert await ended(reader)
        app.may_answer.set()
        assert await answered(busy)


async def test_handshake_that_does_not_come_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "PATIENCE_S", PATIENCE_S)
    certificate, key = Authority(tmp_path).issue("server")
    tls = ServerTLS(SettingFile("CERTIFICATE", certificate), SettingFile("KEY", key))
    async with serving_http(App(), tls=tls) as connect:
        reader, _ = await connect()
        assert await ended(reader)


def test_there_are_no_more_than_half_of_the_files_that_may_be_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for files, most in ((64, 32), (1 << 20, 4000), (resource.RLIM_INFINITY, 4000)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, files=files: (files, files))
        assert most_connections() == most


def test_a_line_a_minute_says_that_connections_are_not_accepted() -> None:
    lines: list[logging.LogRecord] = []
    logger = logging.Logger("of the test")
    handler = logging.Handler()
    handler.emit = lines.append  # type: ignore[method-assign]
    logger.addHandler(handler)
    times = [1.0, 1.0, 60.0, 61.5, 70.0]
    logger.addFilter(AcceptFailures(iter(times).__next__))
    full = OSError(errno.EMFILE, "Too many open files")
    for _ in times:
        # As asyncio does.
        logger.error("socket.accept() out of system resource\nsocket: <…>", exc_info=full)
        logger.error("something else")
    assert [line.getMessage() for line in lines if line.getMessage() != "something else"] == [
        "connections are not accepted"
    ] * 2
    assert len(lines) == 7
    assert lines[0].exc_info is None
    assert lines[0].reason == str(full)  # type: ignore[attr-defined]
