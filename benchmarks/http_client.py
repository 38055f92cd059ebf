"""The cheapest HTTP/1.1 client, so as to favour the server. Knows nothing of what is posted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

Post = Callable[[bytes], Awaitable[bytes]]


def poster(address: str, path: str, connections: int, content_type: str = "") -> Post:
    """Returns a call that posts a body and returns that of the answer.

    Args:
        address: Host and port.
        path: To post to.
        connections: Most at a time; they are kept open.
        content_type: Of the body, where the server wants to know.
    """
    host, _, port = address.partition(":")
    kind = f"Content-Type: {content_type}\r\n" if content_type else ""
    idle: asyncio.LifoQueue[tuple[asyncio.StreamReader, asyncio.StreamWriter] | None]
    idle = asyncio.LifoQueue()
    for _ in range(connections):
        idle.put_nowait(None)

    async def call(body: bytes) -> bytes:
        reader, writer = await idle.get() or await asyncio.open_connection(host, int(port))
        head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\n{kind}Content-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        status = await reader.readline()
        length = 0
        while (line := await reader.readline()).strip():
            name, _, value = line.decode().partition(":")
            length = int(value) if name.lower() == "content-length" else length
        answer = await reader.readexactly(length)
        if b" 20" not in status:
            raise RuntimeError(f"{status!r} {answer!r}")
        idle.put_nowait((reader, writer))
        return answer

    return call
