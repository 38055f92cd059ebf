"""A client's channels: one for each service, opened when first needed."""

from __future__ import annotations

import threading
from typing import Any

import grpc
from grpc import aio

from lookalike.channel import open_blocking_channel, open_channel
from lookalike.client.calls import STUBS
from lookalike.client.options import ClientOptions


class BlockingConnections:
    """Channels shared by threads."""

    def __init__(self, options: ClientOptions) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._stubs: dict[str, Any] = {}
        self._channels: list[grpc.Channel] = []
        self._closed = False

    def stub(self, service: str) -> Any:
        """Returns the stub of a service; RuntimeError after `close`."""
        with self._lock:
            _check_open(self._closed)
            if service not in self._stubs:
                target, arguments = _channel_arguments(self._options, service)
                self._channels.append(open_blocking_channel(target, **arguments))
                self._stubs[service] = STUBS[service](self._channels[-1])
            return self._stubs[service]

    def check_open(self) -> None:
        """Raises RuntimeError after `close`."""
        _check_open(self._closed)

    def close(self) -> None:
        """Closes all channels."""
        with self._lock:
            self._closed = True
            for channel in self._channels:
                channel.close()


class Connections:
    """Channels shared by tasks of one event loop."""

    def __init__(self, options: ClientOptions) -> None:
        self._options = options
        self._stubs: dict[str, Any] = {}
        self._channels: list[aio.Channel] = []
        self._closed = False

    def stub(self, service: str) -> Any:
        """Returns the stub of a service; RuntimeError after `close`."""
        _check_open(self._closed)
        if service not in self._stubs:
            target, arguments = _channel_arguments(self._options, service)
            self._channels.append(open_channel(target, **arguments))
            self._stubs[service] = STUBS[service](self._channels[-1])
        return self._stubs[service]

    def check_open(self) -> None:
        """Raises RuntimeError after `close`."""
        _check_open(self._closed)

    async def close(self) -> None:
        """Closes all channels."""
        self._closed = True
        for channel in self._channels:
            await channel.close()


def _check_open(closed: bool) -> None:
    if closed:
        raise RuntimeError("the client is closed")


def _channel_arguments(options: ClientOptions, service: str) -> tuple[str, dict[str, Any]]:
    return options.target(service), options.channel_arguments(service)
