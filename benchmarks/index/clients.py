"""Callers of an index, one or many. Knows nothing of what is in the messages.

A lone caller is synchronous and pays for its messages as any caller would. Many callers share one
event loop, and send what was serialised before and read no answers: otherwise their own cost, on
the same cores, would be most of what is measured.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import grpc
from grpc import aio

from lookalike.channel import MAX_MESSAGE_BYTES
from lookalike.index.v1 import index_pb2 as pb
from lookalike.index.v1.index_pb2_grpc import IndexServiceStub

IN_FLIGHT = 16  # batches of a stream
_SERVICE = f"/{pb.DESCRIPTOR.services_by_name['IndexService'].full_name}/"
_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
]

Call = Callable[[bytes], Awaitable[object]]


@contextmanager
def lone_caller(address: str) -> Iterator[IndexServiceStub]:
    """Yields a synchronous stub."""
    with grpc.insecure_channel(address, options=_OPTIONS) as channel:
        yield IndexServiceStub(channel)


def called(address: str, method: str, requests: Sequence[bytes], callers: int) -> float:
    """Returns the calls a second that so many callers get, each asking one after the other."""

    async def run() -> float:
        async with aio.insecure_channel(address, options=_OPTIONS) as channel:
            call: aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(_SERVICE + method)
            return await rate(call, requests, callers)

    return asyncio.run(run())


async def rate(call: Call, requests: Sequence[bytes], callers: int) -> float:
    """Returns the calls a second that so many callers get on this loop."""
    await call(requests[0])  # connects
    waiting = iter(requests)

    async def ask() -> None:
        for request in waiting:
            await call(request)

    started = time.perf_counter()
    await asyncio.gather(*(ask() for _ in range(callers)))
    return len(requests) / (time.perf_counter() - started)


def streamed(address: str, batches: Iterable[pb.StreamUpsertItemsRequest | bytes]) -> float:
    """Writes all batches over one stream, 16 unanswered at a time; returns the seconds it took."""

    async def run() -> float:
        async with aio.insecure_channel(address, options=_OPTIONS) as channel:
            return await _stream(channel, batches)

    return asyncio.run(run())


async def _stream(
    channel: aio.Channel, batches: Iterable[pb.StreamUpsertItemsRequest | bytes]
) -> float:
    free = asyncio.Semaphore(IN_FLIGHT)

    async def requests() -> AsyncIterator[bytes]:
        for batch in batches:
            await free.acquire()
            yield batch if isinstance(batch, bytes) else batch.SerializeToString()

    call: aio.StreamStreamMultiCallable[bytes, pb.StreamUpsertItemsResponse]
    call = channel.stream_stream(
        f"{_SERVICE}StreamUpsertItems",
        response_deserializer=pb.StreamUpsertItemsResponse.FromString,
    )
    started = time.perf_counter()
    async for answer in call(requests()):
        if answer.HasField("error"):
            raise RuntimeError(answer.error.message)
        free.release()
    return time.perf_counter() - started
