"""A photo's way through the service, with engines that do odd things."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, suppress
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from embedder_service.decoding import PhotoDecoder
from embedder_service.embedding import PhotoEmbedder
from embedder_service.scheduling import Priority, SchedulingKey
from lookalike.catalogue.images import ImageLimits
from lookalike.errors import (
    ImageTooLargeError,
    InvalidImageError,
    UnknownOutputError,
)
from lookalike.model.bundle import Architecture, Manifest, Output, Preprocessing

SIZE = 8
MANIFEST = Manifest(
    name="fake",
    version="1",
    labels=("dark", "light"),
    architecture=Architecture(),
    preprocessing=Preprocessing(SIZE),
    outputs=(Output("category", 2, "logits"), Output("mean", 3, "embedding")),
    embedding_space="space",
)

Vectors = dict[str, NDArray[np.float32]]


class FakeEngine:
    """Returns mean colours; what it returns can be spoilt, and it can be held."""

    name = "fake"
    precision = "fp32"

    def __init__(self) -> None:
        self.batch_sizes: list[int] = []
        self.spoil: Callable[[Vectors], Vectors] = lambda vectors: vectors
        self.free = threading.Event()
        self.free.set()
        self.begun = threading.Semaphore(0)

    def infer(self, batch: NDArray[np.uint8]) -> Vectors:
        assert batch.shape[1:] == (SIZE, SIZE, 3)
        assert batch.dtype == np.uint8
        self.batch_sizes.append(len(batch))
        self.begun.release()
        assert self.free.wait(30)
        mean = batch.mean(axis=(1, 2), dtype=np.float32)
        light = mean.mean(axis=1, keepdims=True)
        return self.spoil({"mean": mean, "category": np.hstack([-light, light])})


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


Open = Callable[..., AbstractAsyncContextManager[PhotoEmbedder]]


@pytest.fixture
def open_embedder(engine: FakeEngine) -> Open:
    @asynccontextmanager
    async def open_embedder(**changes: Any) -> AsyncIterator[PhotoEmbedder]:
        arguments: dict[str, Any] = {
            "decode_ahead": 8,
            "batch_sizes": [1, 2, 3],
        }
        with closing(PhotoDecoder(2, ImageLimits(max_pixels=100_000))) as decoder:
            embedder = PhotoEmbedder(MANIFEST, engine, decoder=decoder, **(arguments | changes))
            async with embedder:
                # What the warm-up did is nobody's concern here.
                engine.batch_sizes.clear()
                while engine.begun.acquire(blocking=False):
                    pass
                try:
                    yield embedder
                finally:
                    engine.free.set()

    return open_embedder


def embedder_of(engine: FakeEngine, sizes: Sequence[int]) -> PhotoEmbedder:
    """One that decodes nothing."""
    return PhotoEmbedder(
        MANIFEST,
        engine,
        decoder=PhotoDecoder(1, ImageLimits()),
        decode_ahead=1,
        batch_sizes=sizes,
    )


async def test_warm_up_runs_every_batch_size(engine: FakeEngine) -> None:
    async with embedder_of(engine, [1, 2, 4, 6]):
        assert engine.batch_sizes == [1, 2, 4, 6]


async def test_default_output_is_the_first_of_the_manifest_and_not_of_the_engine(
    open_embedder: Open, draw_photo: Any
) -> None:
    async with open_embedder() as embedder:
        photo = await embedder.embed(draw_photo(1))
    assert list(photo.vectors) == ["category"]
    assert photo.vectors["category"].shape == (2,)
    assert photo.decode_ns > 0
    assert photo.inference_ns > 0
    assert photo.queue_ns >= 0


async def test_outputs_come_as_asked_for(open_embedder: Open, draw_photo: Any) -> None:
    async with open_embedder() as embedder:
        photo = await embedder.embed(draw_photo(1), ["mean", "category"])
        assert list(photo.vectors) == ["mean", "category"]
        only = await embedder.embed(draw_photo(1), ["mean"])
    np.testing.assert_array_equal(only.vectors["mean"], photo.vectors["mean"])


async def test_each_photo_of_a_batch_gets_its_own_vector(
    open_embedder: Open, engine: FakeEngine, draw_photo: Any
) -> None:
    async with open_embedder(decode_ahead=10) as embedder:
        alone = [(await embedder.embed(draw_photo(i))).vectors["category"] for i in range(6)]
        engine.free.clear()
        tasks = [asyncio.create_task(embedder.embed(draw_photo(i))) for i in range(6)]
        assert await asyncio.to_thread(engine.begun.acquire, timeout=30)
        engine.free.set()
        together = [photo.vectors["category"] for photo in await asyncio.gather(*tasks)]
    np.testing.assert_array_equal(together, alone)
    assert len({tuple(vector) for vector in alone}) == 6


async def test_unknown_output_is_refused_with_those_that_there_are(
    open_embedder: Open, engine: FakeEngine, draw_photo: Any
) -> None:
    async with open_embedder() as embedder:
        with pytest.raises(UnknownOutputError) as caught:
            await embedder.embed(draw_photo(1), ["mean", "style"])
    assert caught.value.message == "model fake has no output 'style'; it has category, mean"
    assert caught.value.field == "outputs[1]"
    assert engine.batch_sizes == []


async def test_bad_photos_never_reach_the_engine(
    open_embedder: Open, engine: FakeEngine, draw_photo: Any
) -> None:
    async with open_embedder() as embedder:
        with pytest.raises(InvalidImageError):
            await embedder.embed(b"no photo")
        with pytest.raises(ImageTooLargeError):
            await embedder.embed(draw_photo(1, (400, 300)))
    assert engine.batch_sizes == []


async def test_an_interactive_photo_overtakes_bulk_ones_before_they_are_decoded(
    open_embedder: Open, engine: FakeEngine, draw_photo: Any
) -> None:
    done: list[str] = []

    async with open_embedder(decode_ahead=1, batch_sizes=[1]) as embedder:

        async def embed(name: str, key: SchedulingKey) -> None:
            await embedder.embed(draw_photo(1), key=key)
            done.append(name)

        engine.free.clear()
        bulk = SchedulingKey(Priority.BULK, "stream")
        tasks = [asyncio.create_task(embed(f"bulk {i}", bulk)) for i in range(8)]
        assert await asyncio.to_thread(engine.begun.acquire, timeout=30)
        tasks.append(asyncio.create_task(embed("interactive", SchedulingKey())))
        await asyncio.sleep(0)
        engine.free.set()
        await asyncio.gather(*tasks)
    assert done.index("interactive") == 1, "behind the one that was under way"


async def test_failed_and_abandoned_photos_give_their_room_back(
    open_embedder: Open, engine: FakeEngine, draw_photo: Any
) -> None:
    async with open_embedder(decode_ahead=1) as embedder:
        for _ in range(3):
            with pytest.raises(InvalidImageError):
                await embedder.embed(b"no photo")
            with pytest.raises(UnknownOutputError):
                await embedder.embed(draw_photo(1), ["style"])
            engine.free.clear()
            abandoned = asyncio.create_task(embedder.embed(draw_photo(1)))
            assert await asyncio.to_thread(engine.begun.acquire, timeout=30)
            abandoned.cancel()
            with suppress(asyncio.CancelledError):
                await abandoned
            engine.free.set()
        assert (await embedder.embed(draw_photo(1))).vectors


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("output", ["category", "mean"])
async def test_vector_that_is_not_finite_is_an_error_and_not_an_answer(
    open_embedder: Open, engine: FakeEngine, draw_photo: Any, value: float, output: str
) -> None:
    def spoil(vectors: Vectors) -> Vectors:
        vectors[output][0, -1] = value
        return vectors

    async with open_embedder() as embedder:
        engine.spoil = spoil
        with pytest.raises(FloatingPointError, match=f"output '{output}' holds NaN or infinity"):
            await embedder.embed(draw_photo(1))
        engine.spoil = lambda vectors: vectors
        assert (await embedder.embed(draw_photo(1))).vectors


async def test_photo_at_fault_does_not_spoil_the_others_of_its_batch(
    open_embedder: Open, engine: FakeEngine, draw_photo: Any
) -> None:
    black = draw_photo(0, (8, 8), "PNG")

    def spoil(vectors: Vectors) -> Vectors:
        vectors["category"][vectors["mean"].sum(axis=1) == at_fault] = np.nan
        return vectors

    async with open_embedder(decode_ahead=10) as embedder:
        at_fault = (await embedder.embed(black, ["mean"])).vectors["mean"].sum()
        engine.spoil = spoil
        engine.free.clear()
        photos = [draw_photo(5), black, draw_photo(6)]
        tasks = [asyncio.create_task(embedder.embed(photo)) for photo in photos]
        assert await asyncio.to_thread(engine.begun.acquire, timeout=30)
        engine.free.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[1], FloatingPointError)
    assert not isinstance(results[0], BaseException)
    assert not isinstance(results[2], BaseException)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda vectors: {name: values[:0] for name, values in vectors.items()},
        lambda vectors: {name: np.vstack([values, values]) for name, values in vectors.items()},
        lambda vectors: {"category": vectors["category"][:, :1], "mean": vectors["mean"]},
        lambda vectors: {"category": vectors["category"][0], "mean": vectors["mean"]},
    ],
    ids=["too few rows", "too many rows", "too few values", "no rows"],
)
async def test_output_of_another_shape_is_an_error_and_no_mix_up(
    open_embedder: Open,
    engine: FakeEngine,
    draw_photo: Any,
    spoil: Callable[[Vectors], Vectors],
) -> None:
    async with open_embedder() as embedder:
        engine.spoil = spoil
        with pytest.raises(RuntimeError, match=r"'category' is of shape .* instead of "):
            await embedder.embed(draw_photo(1))


async def test_engine_without_an_output_of_the_manifest_does_not_start(engine: FakeEngine) -> None:
    engine.spoil = lambda vectors: {"mean": vectors["mean"]}
    with pytest.raises(RuntimeError, match="the engine has no output 'category'"):
        async with embedder_of(engine, [1]):
            pytest.fail("it started")
