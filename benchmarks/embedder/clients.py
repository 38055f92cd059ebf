"""Callers of an embedder: how many photos a second they get, and after how long each."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import grpc
import numpy as np
from grpc import aio

from lookalike.embedder.v1 import embedder_pb2 as pb
from lookalike.embedder.v1.embedder_pb2_grpc import EmbedderServiceStub
from lookalike.status import from_rpc_error

IN_FLIGHT = 64


@dataclass
class Served:
    """What callers got.

    Attributes:
        seconds: From the first call to the last answer.
        latencies: Seconds of each photo that was embedded.
        refused: Photos that were not, by reason.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Photos embedded a second."""
        return len(self.latencies) / self.seconds

    def percentile_ms(self, share: float) -> float:
        """Returns a percentile of the latencies, in milliseconds."""
        return float(np.percentile(self.latencies, share) * 1e3)


Call = Callable[[bytes], Awaitable[object]]


async def stream(channel: aio.Channel, photos: Sequence[bytes]) -> Served:
    """Sends photos on one stream, with a fixed number unanswered."""
    served, sent = Served(), dict[str, float]()
    free = asyncio.Semaphore(IN_FLIGHT)

    async def requests() -> AsyncIterator[pb.StreamEmbedImagesRequest]:
        for number, photo in enumerate(photos):
            await free.acquire()
            sent[str(number)] = time.perf_counter()
            request = pb.EmbedImageRequest(image=photo)
            yield pb.StreamEmbedImagesRequest(id=str(number), request=request)

    started = time.perf_counter()
    async for answer in EmbedderServiceStub(channel).StreamEmbedImages(requests()):
        if answer.HasField("error"):
            raise RuntimeError(answer.error.message)
        served.latencies.append(time.perf_counter() - sent[answer.id])
        free.release()
    served.seconds = time.perf_counter() - started
    return served


async def callers(call: Call, photos: Sequence[bytes], count: int) -> Served:
    """Has so many callers ask for one photo after the other."""
    served = Served()
    waiting = iter(photos)

    async def ask() -> None:
        for photo in waiting:
            started = time.perf_counter()
            await call(photo)
            served.latencies.append(time.perf_counter() - started)

    started = time.perf_counter()
    await asyncio.gather(*(ask() for _ in range(count)))
    served.seconds = time.perf_counter() - started
    return served


async def patient_callers(
    channel: aio.Channel, photos: Sequence[bytes], count: int, *, deadline_s: float, seconds: float
) -> Served:
    """Has so many callers ask for a time; one that is refused comes back when it is told to."""
    served, embed = Served(), unary(channel, timeout_s=deadline_s)
    endless = itertools.cycle(photos)
    started = time.perf_counter()

    async def ask() -> None:
        while (asked := time.perf_counter()) < started + seconds:
            try:
                await embed(next(endless))
                served.latencies.append(time.perf_counter() - asked)
            except grpc.RpcError as failed:
                error = from_rpc_error(failed)
                reason = f"{error.code.name} {error.reason}"
                served.refused[reason] = served.refused.get(reason, 0) + 1
                await asyncio.sleep((error.retry_after_ms or 0) / 1e3)

    await asyncio.gather(*(ask() for _ in range(count)))
    served.seconds = time.perf_counter() - started
    return served


async def arrivals(call: Call, photos: Sequence[bytes], rate: float) -> Served:
    """Sends photos at a rate, whatever becomes of those before."""
    served = Served()

    async def ask(photo: bytes) -> None:
        asked = time.perf_counter()
        try:
            await call(photo)
            served.latencies.append(time.perf_counter() - asked)
        except grpc.RpcError as failed:
            reason = from_rpc_error(failed).reason
            served.refused[reason] = served.refused.get(reason, 0) + 1

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number, photo in enumerate(photos):
            await asyncio.sleep(max(0.0, started + number / rate - time.perf_counter()))
            group.create_task(ask(photo))
    served.seconds = time.perf_counter() - started
    return served


def unary(channel: aio.Channel, timeout_s: float | None = None) -> Call:
    """Returns a call of EmbedImage."""
    stub = EmbedderServiceStub(channel)

    async def call(photo: bytes) -> object:
        return await stub.EmbedImage(pb.EmbedImageRequest(image=photo), timeout=timeout_s)

    return call
