"""The three parts, one after the other."""

from __future__ import annotations

import asyncio
import itertools
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import grpc

from benchmarks.embedder.clients import stream
from benchmarks.embedder.model import SMALL, photos_of, served_bundle
from benchmarks.embedder.rounds import BUNDLE
from benchmarks.embedder.servers import Servers
from benchmarks.outside.photos import CHOICES, Recipe
from benchmarks.outside.worst import LIMITS, Found, measured, search
from benchmarks.processes import resident_bytes
from benchmarks.report import Figure
from lookalike.channel import open_channel
from lookalike.embedder.v1 import embedder_pb2 as pb
from lookalike.embedder.v1.embedder_pb2_grpc import EmbedderServiceStub
from lookalike.progress import track_photos


def measure(*, quick: bool) -> list[Figure]:
    """Returns the figures; `quick` searches for seconds and sends thousands."""
    worst = [measured(search(kind, 3 if quick else 60)) for kind in CHOICES]
    figures = [figure for found in worst for figure in _costs(found)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = photos_of(SMALL, 64)
        bundle = served_bundle(BUNDLE, photos[:32])
        with Servers(bundle.path, folder) as servers:
            address = servers.embedder()
            costly = max(worst, key=lambda found: found.seconds).photo
            figures += asyncio.run(_goodput(address, photos, costly, rounds=2 if quick else 5))
        # Decoders are tried here, so the network is small.
        small = served_bundle(folder / "small", photos[:32], size=32)
        with Servers(small.path, folder) as servers:
            address = servers.embedder()
            figures += _many(address, servers.embedder_pid, 2000 if quick else 1_000_000)
    return figures


def _costs(found: Found) -> Iterator[Figure]:
    size = f"{len(found.photo) / 1e6:.1f} MB; told {found.told_seconds:.2f}"
    yield Figure(
        f"costliest {found.recipe}", found.seconds, "s", at_most=LIMITS.max_seconds, note=size
    )
    told = f"told {found.told_bytes_per_pixel:.1f}"
    yield Figure("  memory", found.bytes_per_pixel, "bytes/pixel", note=told)


async def _goodput(
    address: str, photos: Sequence[bytes], costly: bytes, *, rounds: int
) -> list[Figure]:
    """Returns the rate of ordinary photos beside one source of costly ones, over that alone."""
    some = list(itertools.islice(itertools.cycle(photos), 400))
    shares, slowest = [], []
    async with open_channel(address) as ours, open_channel(address) as theirs:
        await stream(ours, some[:100])
        for _ in range(rounds):
            alone = await stream(ours, some)
            flood = asyncio.create_task(stream(theirs, [costly] * 10_000))
            await asyncio.sleep(1)
            beside = await stream(ours, some)
            flood.cancel()
            await asyncio.gather(flood, return_exceptions=True)
            await asyncio.sleep(3)  # what it had in flight is decoded to its end
            shares.append(beside.rate / alone.rate)
            slowest.append(max(beside.latencies))
    return [
        Figure("goodput of others", statistics.median(shares), "ratio", at_least=0.4),
        Figure("  their slowest photo", statistics.median(slowest), "s"),
    ]


def _many(address: str, pid: int, count: int) -> list[Figure]:
    """Sends photos, seven in eight of them damaged, and watches the process's memory."""
    dice = random.Random(7)
    small = [
        Recipe(kind, mode).make(2000) for kind, (modes, _) in CHOICES.items() for mode in modes
    ]
    before, started = resident_bytes(pid), time.monotonic()
    outcomes = {"embedded": 0, "refused": 0}
    settled = before
    with grpc.insecure_channel(address) as channel:
        stub = EmbedderServiceStub(channel)

        def requests() -> Iterator[pb.StreamEmbedImagesRequest]:
            for number in range(count):
                image = bytearray(dice.choice(small))
                for _ in range(dice.randrange(8)):
                    image[dice.randrange(len(image))] ^= 1 << dice.randrange(8)
                request = pb.EmbedImageRequest(image=bytes(image))
                yield pb.StreamEmbedImagesRequest(id=str(number), request=request)

        answers = stub.StreamEmbedImages(requests())
        for number, answer in enumerate(track_photos(answers, "Damaged photos", total=count)):
            outcomes["refused" if answer.HasField("error") else "embedded"] += 1
            if number == count // 10:
                settled = resident_bytes(pid)
    if sum(outcomes.values()) != count:
        raise RuntimeError(f"{count} photos were sent, and {outcomes} answered")
    seconds = time.monotonic() - started
    note = f"{outcomes['refused']:,} of {count:,} refused, in {seconds:,.0f} s"
    after = resident_bytes(pid)
    return [
        Figure("memory before", before / 1e6, "MB"),
        Figure("  after a tenth of the damaged photos", settled / 1e6, "MB"),
        Figure("  after all of them", after / 1e6, "MB", note=note),
    ]
