"""Embeds photos with one model: decode, batch, infer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedder_service.batching import BatchingEmbedder, BatchObserver, DynamicBatcher
from embedder_service.decoding import PhotoDecoder
from embedder_service.scheduling import FairSlots, SchedulingKey
from embedder_service.statistics import ModelStatistics
from lookalike.errors import UnknownOutputError
from lookalike.model.bundle import Manifest
from lookalike.model.engines import Engine

Pixels = NDArray[np.uint8]
Vectors = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class EmbeddedPhoto:
    """A photo's vectors, each of shape (dimension,), and the time of each stage in nanoseconds.

    Attributes:
        manifest: Of the model that computed them.
        queue_ns: The wait for a place to be decoded, `waited_ns`, and that for the engine.
        batch: What the batches' observer made of its batch.
    """

    manifest: Manifest
    vectors: Vectors
    decode_ns: int
    queue_ns: int
    inference_ns: int
    waited_ns: int = 0
    batch: object = None


class PhotoEmbedder(BatchingEmbedder[Pixels, Vectors]):
    """Embeds photos with one model; use as an async context manager.

    Photos are decoded only a little ahead of the engine: a photo of higher priority can then
    overtake others while they are still encoded.

    Args:
        manifest: The model's manifest.
        engine: Runs the model.
        decoder: Decodes photos; the caller closes it.
        decode_ahead: Most photos that are decoded but not yet embedded.
        batch_sizes: See `DynamicBatcher`.
        max_delay_s: See `DynamicBatcher`.
        observer: Watches the batches; None for nobody.
    """

    def __init__(
        self,
        manifest: Manifest,
        engine: Engine,
        *,
        decoder: PhotoDecoder,
        decode_ahead: int,
        batch_sizes: Sequence[int],
        max_delay_s: float = 0.0,
        observer: BatchObserver | None = None,
    ) -> None:
        self._observer = observer
        self.manifest = manifest
        self.engine = engine
        self.statistics = ModelStatistics()
        self._decoder = decoder
        self._slots = FairSlots(decode_ahead)
        self._batch_sizes = batch_sizes
        self._batcher = DynamicBatcher[Pixels, Vectors](
            self._infer, sizes=batch_sizes, max_delay_s=max_delay_s
        )

    async def embed(
        self,
        image: bytes,
        outputs: Sequence[str] = (),
        key: SchedulingKey = SchedulingKey(),
        admitted: AbstractAsyncContextManager[None] | None = None,
    ) -> EmbeddedPhoto:
        """Returns a photo's vectors.

        Args:
            image: Encoded photo.
            outputs: Names of the outputs wanted; none for the default.
            key: Its priority and source.
            admitted: Its room in the service. A costly photo is decoded before it takes one, so
                that many of them do not fill the service while they wait for their turn.

        Raises:
            UnknownOutputError: The model has no such output.
            InvalidImageError: The photo cannot be decoded.
            ImageTooLargeError: The photo exceeds a limit.
        """
        names = known_outputs(self.manifest, outputs)
        size = self.manifest.preprocessing.size
        photo = await self._decoder.survey(image)
        costly = self._decoder.is_costly(photo)
        decoded = await self._decoder.decode_costly(photo, size, key) if costly else None
        async with admitted or nullcontext():
            arrived = time.perf_counter_ns()
            async with self._slots.slot(key):
                waited_ns = time.perf_counter_ns() - arrived
                pixels, decode_ns = decoded or await self._decoder.decode(photo, size)
                answer = await self._batcher.submit(pixels, key)
        vectors = {name: answer.result[name] for name in names}
        return EmbeddedPhoto(
            self.manifest,
            vectors,
            decode_ns,
            waited_ns + answer.queue_ns,
            answer.run_ns,
            waited_ns,
            answer.batch,
        )

    def _infer(self, batch: list[Pixels]) -> list[Vectors]:
        pixels = np.stack(batch)
        started = time.perf_counter_ns()
        outputs = self.engine.infer(pixels)
        self.statistics.batches[len(batch)].add(time.perf_counter_ns() - started)
        return checked(self.manifest, outputs, len(batch))

    async def _warm_up(self) -> None:
        # Engines compile or tune for each batch size at its first use.
        size = self.manifest.preprocessing.size
        black = np.zeros((size, size, 3), np.uint8)
        for count in self._batch_sizes:
            await self._batcher.submit_together([black] * count)
        self.statistics = ModelStatistics()


def known_outputs(manifest: Manifest, outputs: Sequence[str]) -> Sequence[str]:
    """Returns the outputs asked for, or the default one.

    Raises:
        UnknownOutputError: The model has no such output.
    """
    names = [output.name for output in manifest.outputs]
    for number, name in enumerate(outputs):
        if name not in names:
            raise UnknownOutputError(
                f"model {manifest.name} has no output '{name}'; it has {', '.join(names)}",
                field=f"outputs[{number}]",
            )
    return outputs or names[:1]


def checked(manifest: Manifest, outputs: Vectors, count: int) -> list[Vectors]:
    """Returns an engine's outputs for each of a batch, once they are what the manifest says."""
    for output in manifest.outputs:
        if output.name not in outputs:
            raise RuntimeError(f"the engine has no output '{output.name}'")
        values, expected = outputs[output.name], (count, output.dimension)
        if values.shape != expected:
            raise RuntimeError(
                f"output '{output.name}' is of shape {values.shape} instead of {expected}"
            )
        if not np.isfinite(values).all():
            raise FloatingPointError(f"output '{output.name}' holds NaN or infinity")
    return [{name: values[row] for name, values in outputs.items()} for row in range(count)]
