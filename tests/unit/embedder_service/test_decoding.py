"""Costly photos are decoded beside the others, in turns, and hold up nobody."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from embedder_service import decoding
from embedder_service.decoding import Decoded, PhotoDecoder
from embedder_service.scheduling import Priority, SchedulingKey
from lookalike.catalogue.images import Header, ImageLimits
from lookalike.errors import ImageTooLargeError, QueueFullError
from tests.photos import encode, quarters

BULK = Priority.BULK


def header(seconds: float = 0.0, memory: float = 0.0) -> Header:
    """Of a photo of one pixel that costs this."""
    return Header("PNG", 1, 1, memory, seconds * 1e9, 0, bytes)


class Stuck:
    """Stands for a decoder: photos that cost a second hang until they are let go, in order."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.seen: list[float] = []

    def __call__(self, photo: Header, size: int) -> np.ndarray:
        self.seen.append(photo.seconds)
        if photo.seconds >= 1:
            assert self.go_on.wait(30)
        return np.zeros((size, size, 3), np.uint8)


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Stuck:
    stuck = Stuck()
    monkeypatch.setattr(decoding, "preprocess_surveyed", stuck)
    return stuck


@pytest.fixture
def decoder(stuck: Stuck) -> Iterator[PhotoDecoder]:
    decoder = PhotoDecoder(1, ImageLimits())
    yield decoder
    stuck.go_on.set()
    decoder.close()


async def begun(stuck: Stuck, count: int) -> None:
    async with asyncio.timeout(10):
        while len(stuck.seen) < count:  # noqa: ASYNC110  threads set no asyncio.Event
            await asyncio.sleep(0.001)


@pytest.mark.parametrize(
    ("photo", "costly"),
    [
        (header(0.4, 100e6), False),
        (header(0.6), True),
        (header(0.1, 200e6), True),
    ],
)
def test_costly_is_what_takes_long_or_much(photo: Header, costly: bool) -> None:
    assert PhotoDecoder.is_costly(photo) == costly


async def test_photo_over_a_limit_is_refused_before_it_waits() -> None:
    decoder = PhotoDecoder(1, ImageLimits(max_pixels=100))
    with pytest.raises(ImageTooLargeError):
        await decoder.survey(encode(quarters(), "PNG"))
    large = encode(quarters(), "PNG") + bytes(1 << 20)  # it is looked through in a thread
    with pytest.raises(ImageTooLargeError):
        await decoder.survey(large)
    decoder.close()


async def test_a_stuck_costly_photo_does_not_hold_up_ordinary_ones(
    decoder: PhotoDecoder, stuck: Stuck
) -> None:
    costly = asyncio.create_task(decoder.decode_costly(header(1), 8, SchedulingKey()))
    await begun(stuck, 1)
    async with asyncio.timeout(10):
        for _ in range(3):
            assert (await decoder.decode(header(), 8)).pixels.shape == (8, 8, 3)
    assert not costly.done()
    assert decoder.running_s > 0
    stuck.go_on.set()
    assert isinstance(await costly, Decoded)
    assert decoder.running_s == 0


async def test_sources_of_costly_photos_take_turns(decoder: PhotoDecoder, stuck: Stuck) -> None:
    first = asyncio.create_task(decoder.decode_costly(header(1), 8, SchedulingKey(BULK, "a")))
    await begun(stuck, 1)
    many = [decoder.decode_costly(header(2), 8, SchedulingKey(BULK, "a")) for _ in range(5)]
    others = [asyncio.create_task(one) for one in many]
    await asyncio.sleep(0)
    one = asyncio.create_task(decoder.decode_costly(header(3), 8, SchedulingKey(BULK, "b")))
    await asyncio.sleep(0)
    stuck.go_on.set()
    await asyncio.gather(first, one, *others)
    assert stuck.seen.index(3) == 2, "after one of the six of the other source"


async def test_interactive_costly_photos_are_refused_when_many_wait(
    decoder: PhotoDecoder, stuck: Stuck
) -> None:
    waiting = [
        asyncio.create_task(decoder.decode_costly(header(1), 8, SchedulingKey())) for _ in range(32)
    ]
    await begun(stuck, 1)
    with pytest.raises(QueueFullError, match="32 photos that take long to decode") as caught:
        await decoder.decode_costly(header(1), 8, SchedulingKey())
    assert caught.value.retry_after_ms == 2000
    stuck.go_on.set()
    await asyncio.gather(*waiting)
