"""A real Milvus server for tests, from the package `milvus`, where nobody else can reach it.

Milvus listens on all addresses and cannot be told otherwise, so it runs in a network namespace with
a loopback interface alone: whoever starts the tests starts them in one.
"""

from __future__ import annotations

import fcntl
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_UP = 0x1


def loopback_up() -> None:
    """Switches the loopback interface on: in a new namespace it is off."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH14x", b"lo", 0)
        (flags,) = struct.unpack("16xH14x", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _UP))


def interfaces() -> list[str]:
    """The names of this namespace's network interfaces."""
    return [name for _, name in socket.if_nameindex()]


@contextmanager
def running_server(directory: Path) -> Iterator[str]:
    """Runs a server with its data in the directory, and gives its address."""
    from milvus import MilvusServer, MilvusServerConfig

    assert interfaces() == ["lo"], "Milvus would be open to the network: see the module's docstring"
    config = MilvusServerConfig(data_dir=str(directory))
    # A read that must see the newest writes waits for a tick: 200 ms each would make this long.
    config.set("proxy.timeTickInterval", 20)
    server = MilvusServer(config)
    server.start()
    try:
        yield f"http://127.0.0.1:{server.listen_port}"
    finally:
        server.stop()
