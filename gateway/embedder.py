"""The embedder as the gateway sees it: photos to vectors."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.budget import Budget, RecentTimes
from gateway.hedging import Hedger
from gateway.listings import PhotoVector
from gateway.upstreams import Upstream
from lookalike.embedder.v1 import embedder_pb2, embedder_pb2_grpc
from lookalike.errors import UpstreamUnavailableError

_SERVICE = embedder_pb2.DESCRIPTOR.services_by_name["EmbedderService"].full_name
# Models whose labels are kept: while pods change theirs one by one, two are served.
_MOST_MODELS = 4
# While pods change their model, GetModel may ask one that has another.
_TRIES = 3


@dataclass(frozen=True)
class Model:
    """What the embedder says of the model that it serves; `temperature` calibrates its logits."""

    name: str
    version: str
    embedding_space: str
    labels: Sequence[str]
    dimension: int
    engine: str
    precision: str
    temperature: float


@dataclass(frozen=True)
class Embedded:
    """A photo's default output, and what the embedder says that it spent on it."""

    vector: PhotoVector
    decode_ns: int = 0
    queue_ns: int = 0
    inference_ns: int = 0


class EmbedderUpstream(Upstream):
    """Any number of embedders behind one channel.

    Args:
        target: Where they are.
        max_message_bytes: Largest message either way.
        hedger: Sends slow calls a second time.
    """

    def __init__(self, target: str, max_message_bytes: int, hedger: Hedger) -> None:
        super().__init__("embedder", target, _SERVICE, max_message_bytes, {})
        self._stub = embedder_pb2_grpc.EmbedderServiceStub(self.channel)
        self._hedger = hedger
        self._models: dict[str, Model] = {}
        self.embedding_space = ""
        self.space_changed: Callable[[], None] = lambda: None
        # By whether photos may wait: those that do say nothing of what the others will take.
        self.recent = {False: RecentTimes(), True: RecentTimes()}

    async def embed(self, image: bytes, timeout_s: float, *, bulk: bool = False) -> Embedded:
        """Returns a photo's default embedding.

        Args:
            image: Encoded photo.
            timeout_s: How long it may take.
            bulk: Whether photos that somebody waits for go first.
        """
        priority = embedder_pb2.PRIORITY_BULK if bulk else embedder_pb2.PRIORITY_INTERACTIVE
        request = embedder_pb2.EmbedImageRequest(image=image, priority=priority)
        deadline = time.monotonic() + timeout_s

        async def attempt() -> embedder_pb2.EmbedImageResponse:
            async with self.calling():
                return await self._stub.EmbedImage(request, timeout=deadline - time.monotonic())

        try:
            response = await self._hedger.call(attempt)
        except UpstreamUnavailableError:
            # A server that was killed fails all of its calls at once. Those would use up what gRPC
            # allows in retries, and calls that a stopping server cancels it never retries.
            if not self.ready or deadline <= time.monotonic():
                raise
            response = await attempt()
        embedding, timings = response.embeddings[0], response.timings
        self._saw(embedding.embedding_space)
        self.recent[bulk].add(timeout_s - (deadline - time.monotonic()))
        return Embedded(
            PhotoVector(tuple(embedding.values), embedding.embedding_space),
            timings.decode_ns,
            timings.queue_ns,
            timings.inference_ns,
        )

    async def model(self, timeout_s: float) -> Model:
        """Asks what is served now."""
        async with self.calling():
            response = await self._stub.GetModel(embedder_pb2.GetModelRequest(), timeout=timeout_s)
        sent = response.model
        model = Model(
            name=sent.name,
            version=sent.version,
            embedding_space=sent.embedding_space,
            labels=tuple(sent.labels),
            dimension=sent.outputs[0].dimension if sent.outputs else 0,
            engine=sent.engine,
            precision=sent.precision,
            temperature=sent.temperature or 1.0,
        )
        self._models.pop(model.embedding_space, None)
        self._models[model.embedding_space] = model
        while len(self._models) > _MOST_MODELS:
            del self._models[next(iter(self._models))]
        self._saw(model.embedding_space)
        return model

    async def model_of(self, embedding_space: str, budget: Budget) -> Model:
        """Returns the model that made an embedding."""
        for _ in range(_TRIES):
            if embedding_space not in self._models:
                async with self.in_hop("embed", RecentTimes(), budget) as allowed_s:
                    await self.model(allowed_s)
        if embedding_space not in self._models:
            raise UpstreamUnavailableError(
                "the embedder changed its model during the request; retry", retry_after_ms=100
            )
        return self._models[embedding_space]

    def _saw(self, embedding_space: str) -> None:
        if embedding_space != self.embedding_space:
            self.embedding_space = embedding_space
            self.space_changed()
