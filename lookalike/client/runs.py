"""Sets up runs of many photos: their requests, number of streams and photos in flight."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import grpc

from lookalike.channel import addresses
from lookalike.client import calls
from lookalike.client.bulk import StreamScheduler
from lookalike.client.calls import StreamCall
from lookalike.client.connections import BlockingConnections, Connections
from lookalike.client.descriptions import Limits
from lookalike.client.failures import failure
from lookalike.client.options import EMBEDDER, ClientOptions
from lookalike.client.photos import Photo, read_photo
from lookalike.errors import InvalidArgumentError, LookalikeError

FEWEST_STREAMS = 4
IN_FLIGHT = 64  # where an embedder reports no limit
# Raised for a bad photo or bad fields, such as a text as price.
UNUSABLE = (TypeError, ValueError, OverflowError)


def embed_scheduler(
    options: ClientOptions,
    limits: Limits,
    *,
    streams: int | None,
    in_flight: int | None,
    ordered: bool,
) -> StreamScheduler[Any, Any]:
    """Returns a scheduler for photos to embed; looks up the embedders' addresses."""
    if streams is None:
        # One more than there are servers, so that round robin reaches all: see StreamScheduler.
        streams = max(FEWEST_STREAMS, _count_addresses(options.target(EMBEDDER)) + 1)
    accepted = limits.max_stream_in_flight or IN_FLIGHT
    return _scheduler(options, streams, min(in_flight or accepted, accepted), ordered)


def ingest_scheduler(options: ClientOptions, in_flight: int) -> StreamScheduler[Any, Any]:
    """Returns a scheduler for photos to ingest."""
    return _scheduler(options, 1, in_flight, ordered=False)


def largest_message(options: ClientOptions, limits: Limits) -> int:
    """Returns the size of the largest request that client and embedder accept."""
    return min(options.max_message_bytes, limits.max_message_bytes or options.max_message_bytes)


def check_counts(*, in_flight: int | None, streams: int | None = None) -> None:
    """Raises InvalidArgumentError for a number of photos or streams below 1."""
    for name, value in (("in_flight", in_flight), ("streams", streams)):
        if value is not None and value < 1:
            raise InvalidArgumentError(f"{name} is {value}; it must be 1 or more")


def requests(
    photos: Iterable[tuple[Any, Photo]],
    request: Callable[[Any, bytes], Any],
    max_message_bytes: int,
) -> Iterator[tuple[Any, Any]]:
    """Yields each photo's key with its request, or with the error that took its place."""
    for key, photo in photos:
        try:
            found = calls.sized(request(key, read_photo(photo)), max_message_bytes)
        except (OSError, LookalikeError) as error:
            found = error
        except UNUSABLE as error:
            found = unusable(error)
        yield key, found


def opening(
    connections: BlockingConnections | Connections, options: ClientOptions, call: StreamCall[Any]
) -> tuple[Callable[[Any], Any], Callable[[grpc.RpcError], LookalikeError]]:
    """Returns a function that opens a stream, and one that converts gRPC's errors.

    Both raise RuntimeError once the client is closed.
    """
    rpc = getattr(connections.stub(call.service), call.rpc)
    target = options.target(call.service)

    def connect(messages: Any) -> Any:
        try:
            return rpc(messages, metadata=options.metadata(), wait_for_ready=True)
        except Exception:
            connections.check_open()  # before gRPC's own error for a closed channel
            raise

    def failed(error: grpc.RpcError) -> LookalikeError:
        connections.check_open()
        return failure(error, call.service, target)

    return connect, failed


def unusable(error: Exception) -> InvalidArgumentError:
    """Returns the error for a photo of which no request can be made."""
    return InvalidArgumentError(f"no request can be made of it: {error}")


def _scheduler(
    options: ClientOptions, slots: int, in_flight: int, ordered: bool
) -> StreamScheduler[Any, Any]:
    return StreamScheduler(
        slots=slots,
        in_flight=in_flight,
        retries=options.retries,
        silence_timeout_s=options.photo_timeout,
        ordered=ordered,
    )


def _count_addresses(target: str) -> int:
    if not target.startswith("dns:"):
        return len(addresses(target))
    host, _, port = target.rpartition("/")[2].removeprefix("dns:").rpartition(":")
    try:
        return len(socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM))
    except OSError:
        return 1  # gRPC resolves the name itself, and reports the error
