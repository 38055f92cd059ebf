"""HTTP connections: how many there are at a time, and how long one may keep the server waiting.

uvicorn bounds neither: connections that never send a whole request, or never read the answer, would
stay until the process may open no more files, and takes no calls over gRPC either.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import sys
import time
from collections.abc import Callable

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

# For TLS's handshake, for a request's head, and for reading some of an answer. Between requests a
# connection may wait for longer, uvicorn's keep-alive.
PATIENCE_S = 20.0
_MOST = 4000
_ACCEPT_FAILED = "socket.accept() out of system resource"
_LINE_EVERY_S = 60.0


def most_connections() -> int:
    """Returns how many connections there may be: at most half of the files that may be open."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if files == resource.RLIM_INFINITY else max(1, min(_MOST, files // 2))


class Room:
    """The connections of a server, of which so many fit.

    Where one more comes, the one makes room that has waited longest for a request to begin: so
    strangers who only hold connections do not keep out those who ask for something.

    Args:
        most: Connections at a time.
        patience_s: How long a request's head may take, or the reading of what was sent.
    """

    def __init__(self, most: int, patience_s: float = PATIENCE_S) -> None:
        self.most = most
        self.patience_s = patience_s
        self._waiting: dict[Connection, None] = {}  # in the order in which they began to

    def waits(self, connection: Connection) -> None:
        """Notes that a connection has no request; the first time counts."""
        self._waiting.setdefault(connection)

    def is_busy(self, connection: Connection) -> None:
        """Notes that a connection has a request, or ended."""
        self._waiting.pop(connection, None)

    def make(self) -> None:
        """Ends the connection that has waited longest, if one waits."""
        if self._waiting:
            connection = next(iter(self._waiting))
            self.is_busy(connection)
            connection.transport.abort()


class Connection(H11Protocol):
    """A connection that ends if a request's head, or the reading of an answer, takes too long."""

    def __init__(self, config: uvicorn.Config, state: ServerState, room: Room) -> None:
        super().__init__(config, state, app_state={})
        self._room = room
        self._head: asyncio.TimerHandle
        self._reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Takes the connection, and waits for its first request."""
        super().connection_made(transport)
        self._room.waits(self)
        self._expect_head()
        if len(self.connections) > self._room.most:
            self._room.make()

    def data_received(self, data: bytes) -> None:
        """Reads; a head that has begun must end in time, however its bytes trickle in."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE and self._head.cancelled():
            self._expect_head()

    def handle_events(self) -> None:
        """Reads what has come: a head, a body, or the next request behind an answer."""
        super().handle_events()
        if self.conn.their_state is h11.IDLE:
            self._room.waits(self)
        else:
            self._room.is_busy(self)
            self._head.cancel()

    def pause_writing(self) -> None:
        """Stops sending to who does not read."""
        super().pause_writing()
        self._expect_reading()

    def resume_writing(self) -> None:
        """Sends again."""
        self._expect_no_reading()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the connection."""
        self._room.is_busy(self)
        self._head.cancel()
        self._expect_no_reading()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        self._head = self.loop.call_later(self._room.patience_s, self.transport.abort)

    def _expect_reading(self, unread: int = sys.maxsize) -> None:
        left = self.transport.get_write_buffer_size()
        if left < unread:
            self._reading = self.loop.call_later(self._room.patience_s, self._expect_reading, left)
        else:
            self.transport.abort()

    def _expect_no_reading(self) -> None:
        if self._reading is not None:
            self._reading.cancel()


class AcceptFailures(logging.Filter):
    """Passes one line a minute of asyncio's about connections that cannot be accepted.

    It would write one with a traceback for each place in the queue, each second.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._next = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        """Returns whether a record is passed on, and shortens it."""
        if not record.getMessage().startswith(_ACCEPT_FAILED):
            return True
        now = self._clock()
        if now < self._next:
            return False
        self._next = now + _LINE_EVERY_S
        reason = record.exc_info[1] if record.exc_info else "out of resources"
        record.msg, record.args, record.exc_info = "connections are not accepted", (), None
        record.reason = str(reason)
        return True
