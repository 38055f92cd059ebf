"""One photo's way through the service: admission, decode, batch, vectors. Knows no protos."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedder_service.batching import DynamicBatcher
from embedder_service.bundle import Manifest
from embedder_service.engines import Engine
from embedder_service.preprocessing import ImageLimits, preprocess
from lookalike.errors import QueueFullError, UnknownOutputError

Pixels = NDArray[np.uint8]
Vectors = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class EmbeddedPhoto:
    """A photo's vectors, each of shape (dimension,), and where its time went in nanoseconds."""

    vectors: Vectors
    decode_ns: int
    queue_ns: int
    inference_ns: int


class PhotoEmbedder:
    """Embeds photos with one model; use as an async context manager.

    Args:
        manifest: The model's manifest.
        engine: Runs the model.
        limits: Which photos are refused.
        decode_threads: Photos decoded at a time.
        max_batch: Most photos of one forward pass.
        max_queue: Most photos in here; more are refused.
    """

    def __init__(
        self,
        manifest: Manifest,
        engine: Engine,
        *,
        limits: ImageLimits,
        decode_threads: int,
        max_batch: int,
        max_queue: int,
    ) -> None:
        self.manifest = manifest
        self._engine = engine
        self._limits = limits
        self._max_batch = max_batch
        self._max_queue = max_queue
        self._inside = 0
        self._decoders = ThreadPoolExecutor(decode_threads, thread_name_prefix="decode")
        self._batcher = DynamicBatcher[Pixels, Vectors](self._infer, max_batch=max_batch)

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
        self._decoders.shutdown(cancel_futures=True)

    async def embed(self, image: bytes, outputs: Sequence[str] = ()) -> EmbeddedPhoto:
        """Returns a photo's vectors.

        Args:
            image: Encoded photo.
            outputs: Names of the outputs wanted; none for the default.

        Raises:
            UnknownOutputError: The model has no such output.
            InvalidImageError: The photo cannot be decoded.
            ImageTooLargeError: The photo exceeds a limit.
            QueueFullError: The service is full.
        """
        names = self._known(outputs)
        if self._inside >= self._max_queue:
            raise QueueFullError(
                f"{self._inside} photos are in the service; the limit is {self._max_queue} "
                "(LOOKALIKE_EMBEDDER_MAX_QUEUE)",
                retry_after_ms=100,
            )
        self._inside += 1
        try:
            loop = asyncio.get_running_loop()
            pixels, decode_ns = await loop.run_in_executor(self._decoders, self._decode, image)
            answer = await self._batcher.submit(pixels)
        finally:
            self._inside -= 1
        vectors = {name: answer.result[name] for name in names}
        return EmbeddedPhoto(vectors, decode_ns, answer.queue_ns, answer.run_ns)

    def _known(self, outputs: Sequence[str]) -> Sequence[str]:
        known = [output.name for output in self.manifest.outputs]
        for number, name in enumerate(outputs):
            if name not in known:
                raise UnknownOutputError(
                    f"model {self.manifest.name} has no output '{name}'; it has {', '.join(known)}",
                    field=f"outputs[{number}]",
                )
        return outputs or known[:1]

    def _decode(self, image: bytes) -> tuple[Pixels, int]:
        started = time.perf_counter_ns()
        pixels = preprocess(image, self.manifest.preprocessing.size, self._limits)
        return pixels, time.perf_counter_ns() - started

    def _infer(self, batch: list[Pixels]) -> list[Vectors]:
        outputs = self._engine.infer(np.stack(batch))
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
        # A single photo and a full batch: engines prepare each new batch size at its first use.
        size = self.manifest.preprocessing.size
        black = np.zeros((size, size, 3), np.uint8)
        await self._batcher.submit(black)
        await asyncio.gather(*(self._batcher.submit(black) for _ in range(self._max_batch)))
