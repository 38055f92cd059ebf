"""HTTP/2 frames made by hand, for what no well-behaved client sends (RFC 9113, RFC 7541)."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

DATA, HEADERS, RST_STREAM, SETTINGS = 0x0, 0x1, 0x3, 0x4
PING, GOAWAY, CONTINUATION = 0x6, 0x7, 0x9
END_STREAM, END_HEADERS = 0x1, 0x4
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_CANCEL = struct.pack(">I", 8)


def frame(kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = 0) -> bytes:
    """Returns a frame."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def call(stream: int, path: str) -> bytes:
    """Returns the headers that begin a gRPC call, its fields as literals without an index."""
    fields = {
        ":method": "POST", ":scheme": "http", ":path": path, ":authority": "localhost",
        "content-type": "application/grpc", "te": "trailers",
    }  # fmt: skip
    block = b"".join(b"\0" + _text(name) + _text(value) for name, value in fields.items())
    return frame(HEADERS, block, flags=END_HEADERS, stream=stream)


def reset_call(stream: int, path: str) -> bytes:
    """Returns a call and its cancellation."""
    return call(stream, path) + frame(RST_STREAM, _CANCEL, stream=stream)


def _text(value: str) -> bytes:
    assert len(value) < 127, "longer lengths take more than a byte"
    return bytes([len(value)]) + value.encode()


@contextmanager
def connected(address: str) -> Iterator[socket.socket]:
    """Opens a connection and begins HTTP/2 on it."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=30) as sock:
        sock.sendall(_PREFACE + frame(SETTINGS))
        yield sock


def read_until_end(sock: socket.socket) -> bytes:
    """Returns what the server sends until it ends the connection; TimeoutError if it does not."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while chunk := sock.recv(1 << 16):
            received = (received + chunk)[-(1 << 16) :]
    return received
