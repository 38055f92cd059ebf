"""Embeds photos with one model: decode, batch, infer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from embedder_service.batching import DynamicBatcher
from embedder_service.scheduling import FairSlots, SchedulingKey
from embedder_service.statistics import ModelStatistics
from lookalike.catalogue.images import ImageLimits
from lookalike.errors import UnknownOutputError
from lookalike.model.bundle import Manifest
from lookalike.model.engines import Engine
from lookalike.model.preprocessing import preprocess

Pixels = NDArray[np.uint8]
Vectors = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class EmbeddedPhoto:
    """A photo's vectors, each of shape (dimension,), and the time of each stage in nanoseconds."""

    manifest: Manifest  # of the model that computed them
    vectors: Vectors
    decode_ns: int
    queue_ns: int
    inference_ns: int


@dataclass
class _Photo:
    """A photo that waits for the engine."""

    image: bytes
    pixels: Pixels | None = field(default=None, init=False)
    decode_ns: int = field(default=0, init=False)


class PhotoEmbedder:
    """Embeds photos with one model; use as an async context manager.

    Photos are decoded only a little ahead of the engine: a photo of higher priority can then
    overtake others while they are still encoded.

    Args:
        manifest: The model's manifest.
        engine: Runs the model.
        limits: Largest photos accepted.
        decoders: Runs decoding; the caller shuts it down.
        decode_ahead: Most photos that are decoded but not yet embedded.
        batch_sizes: See `DynamicBatcher`.
        max_delay_s: See `DynamicBatcher`.
    """

    def __init__(
        self,
        manifest: Manifest,
        engine: Engine,
        *,
        limits: ImageLimits,
        decoders: Executor,
        decode_ahead: int,
        batch_sizes: Sequence[int],
        max_delay_s: float = 0.0,
    ) -> None:
        self.manifest = manifest
        self.engine = engine
        self.statistics = ModelStatistics()
        self._limits = limits
        self._decoders = decoders
        self._slots = FairSlots(decode_ahead)
        self._batch_sizes = batch_sizes
        self._batcher = DynamicBatcher[_Photo, Vectors](
            self._infer, sizes=batch_sizes, max_delay_s=max_delay_s
        )

    @property
    def running_s(self) -> float:
        """Run time of the engine's current batch so far, in seconds; 0 if it is idle."""
        return self._batcher.running_s

    async def __aenter__(self) -> PhotoEmbedder:
        self._batcher.start()
        try:
            await self._warm_up()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._batcher.close()

    def known(self, outputs: Sequence[str]) -> Sequence[str]:
        """Returns the outputs asked for, or the default one.

        Raises:
            UnknownOutputError: The model has no such output.
        """
        names = [output.name for output in self.manifest.outputs]
        for number, name in enumerate(outputs):
            if name not in names:
                raise UnknownOutputError(
                    f"model {self.manifest.name} has no output '{name}'; it has {', '.join(names)}",
                    field=f"outputs[{number}]",
                )
        return outputs or names[:1]

    async def embed(
        self, image: bytes, outputs: Sequence[str] = (), key: SchedulingKey = SchedulingKey()
    ) -> EmbeddedPhoto:
        """Returns a photo's vectors.

        Args:
            image: Encoded photo.
            outputs: Names of the outputs wanted; none for the default.
            key: Its priority and source.

        Raises:
            UnknownOutputError: The model has no such output.
            InvalidImageError: The photo cannot be decoded.
            ImageTooLargeError: The photo exceeds a limit.
        """
        names = self.known(outputs)
        arrived = time.perf_counter_ns()
        async with self._slots.slot(key):
            waited_ns = time.perf_counter_ns() - arrived
            photo = _Photo(image)
            if not self._batcher.idle:
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(self._decoders, self._pixels_of, photo)
            # An idle engine decodes on its own thread, which saves a lone caller a thread switch.
            decoded_ns = photo.decode_ns
            answer = await self._batcher.submit(photo, key)
            run_ns = answer.run_ns - (photo.decode_ns - decoded_ns)
        vectors = {name: answer.result[name] for name in names}
        return EmbeddedPhoto(
            self.manifest, vectors, photo.decode_ns, waited_ns + answer.queue_ns, run_ns
        )

    def _pixels_of(self, photo: _Photo) -> Pixels:
        if photo.pixels is None:
            started = time.perf_counter_ns()
            size = self.manifest.preprocessing.size
            photo.pixels = preprocess(photo.image, size, self._limits)
            photo.decode_ns = time.perf_counter_ns() - started
        return photo.pixels

    def _infer(self, batch: list[_Photo]) -> list[Vectors]:
        pixels = np.stack([self._pixels_of(photo) for photo in batch])
        started = time.perf_counter_ns()
        outputs = self.engine.infer(pixels)
        self.statistics.batches[len(batch)].add(time.perf_counter_ns() - started)
        for output in self.manifest.outputs:
            if output.name not in outputs:
                raise RuntimeError(f"the engine has no output '{output.name}'")
            values, expected = outputs[output.name], (len(batch), output.dimension)
            if values.shape != expected:
                raise RuntimeError(
                    f"output '{output.name}' is of shape {values.shape} instead of {expected}"
                )
            if not np.isfinite(values).all():
                raise FloatingPointError(f"output '{output.name}' holds NaN or infinity")
        return [
            {name: values[row] for name, values in outputs.items()} for row in range(len(batch))
        ]

    async def _warm_up(self) -> None:
        # Engines compile or tune for each batch size at its first use.
        size = self.manifest.preprocessing.size
        black = _Photo(b"")
        black.pixels = np.zeros((size, size, 3), np.uint8)
        for count in self._batch_sizes:
            await self._batcher.submit_together([black] * count)
        self.statistics = ModelStatistics()
