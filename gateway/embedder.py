"""The embedder as the gateway sees it: photos to vectors."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from gateway.coalescing import Coalescer
from gateway.deadline import Deadline, LatencyWindow
from gateway.hedging import Hedger
from gateway.listings import PhotoVector
from gateway.models import Model, model_of
from gateway.upstreams import Upstream
from gateway.vectors import compact
from lookalike.embedder.v1 import embedder_pb2, embedder_pb2_grpc
from lookalike.errors import LookalikeError, UnknownOutputError, UpstreamUnavailableError

_SERVICE = embedder_pb2.DESCRIPTOR.services_by_name["EmbedderService"].full_name
# Models that are kept: while pods change theirs one by one, two are served; a catalogue of an
# earlier one is searched by item.
_MOST_MODELS = 4
# While pods change their model, GetModel may ask one that has another.
_TRIES = 3
# Pauses before a photo is sent again: none to another server, and one if the channel had yet to
# notice that the server was gone.
_RETRY_PAUSES_S = (0.0, 0.05)
# What a photo waits at most to learn which outputs there are.
_LOOK_S = 2.0


@dataclass(frozen=True)
class Embedded:
    """A photo's vectors, and what the embedder says that it spent on them.

    Attributes:
        complete: Whether they are all that the model gives to search by.
    """

    vector: PhotoVector
    decode_ns: int = 0
    queue_ns: int = 0
    inference_ns: int = 0
    complete: bool = True


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
        self._looks: Coalescer[Model] = Coalescer()
        self.embedding_space = ""
        self.space_changed: Callable[[], None] = lambda: None
        # By whether photos may wait: those that do say nothing of what the others will take.
        self.latencies = {False: LatencyWindow(), True: LatencyWindow()}

    async def embed(self, image: bytes, timeout_s: float, *, bulk: bool = False) -> Embedded:
        """Returns a photo's default embedding, and its features if the model has some.

        Which outputs there are, the model that was seen last tells. A pod that has another may
        not know them, or have more: then its model is looked at, and it is asked once more.

        Args:
            image: Encoded photo.
            timeout_s: How long it may take.
            bulk: Whether photos that somebody waits for go first.
        """
        until = time.monotonic() + timeout_s
        model = self.known_model(self.embedding_space) or await self._look(until)
        embedded: Embedded | None = None
        for attempt in range(_TRIES):
            # The last attempt asks for what every model has.
            outputs = model.search_outputs if model and attempt < _TRIES - 1 else ()
            try:
                response = await self._embed(image, outputs, until, bulk)
            except LookalikeError as error:
                if isinstance(error, UnknownOutputError) and outputs:
                    model = await self._look(until)
                    continue
                if embedded is None:
                    raise
                break  # what there is will do
            space = response.embeddings[0].embedding_space
            self._note_space(space)
            if model is None or model.embedding_space != space:
                model = self.known_model(space) or await self._look(until)
            made_by = model if model and model.embedding_space == space else None
            embedded = _embedded(
                response, complete=made_by is not None and made_by.search_outputs == outputs
            )
            if embedded.complete or made_by is None:
                break
        assert embedded is not None  # the last attempt raises if it gives nothing
        self.latencies[bulk].add(timeout_s - (until - time.monotonic()))
        return embedded

    async def _embed(
        self, image: bytes, outputs: tuple[str, ...], until: float, bulk: bool
    ) -> embedder_pb2.EmbedImageResponse:
        priority = embedder_pb2.PRIORITY_BULK if bulk else embedder_pb2.PRIORITY_INTERACTIVE
        request = embedder_pb2.EmbedImageRequest(image=image, outputs=outputs, priority=priority)

        async def attempt() -> embedder_pb2.EmbedImageResponse:
            async with self.calling():
                return await self._stub.EmbedImage(request, timeout=until - time.monotonic())

        try:
            return await self._hedger.call(attempt)
        except UpstreamUnavailableError as error:
            failed = error
        # A server that was killed fails all of its calls at once. Those would use up what gRPC
        # allows in retries, and calls that a stopping server cancels it never retries.
        for pause_s in _RETRY_PAUSES_S:
            if not self.ready or until <= time.monotonic() + pause_s:
                break
            await asyncio.sleep(pause_s)
            try:
                return await attempt()
            except UpstreamUnavailableError as error:
                failed = error
        raise failed

    async def model(self, timeout_s: float) -> Model:
        """Asks what is served now."""
        async with self.calling():
            response = await self._stub.GetModel(embedder_pb2.GetModelRequest(), timeout=timeout_s)
        model = model_of(response.model)
        self._models.pop(model.embedding_space, None)
        self._models[model.embedding_space] = model
        while len(self._models) > _MOST_MODELS:
            del self._models[next(iter(self._models))]
        self._note_space(model.embedding_space)
        return model

    def known_model(self, embedding_space: str) -> Model | None:
        """Returns the model of a space, if it was served since the gateway started."""
        return self._models.get(embedding_space)

    async def model_of(self, embedding_space: str, deadline: Deadline) -> Model:
        """Returns the model that made an embedding."""
        for _ in range(_TRIES):
            if embedding_space not in self._models:
                async with self.in_hop("embed", LatencyWindow(), deadline) as allowed_s:
                    await self.model(allowed_s)
        if embedding_space not in self._models:
            raise UpstreamUnavailableError(
                "the embedder changed its model during the request; retry", retry_after_ms=100
            )
        return self._models[embedding_space]

    async def _look(self, until: float) -> Model | None:
        """Asks what is served; those who ask at the same time share the answer.

        What keeps the embedder from telling will be said by the call that comes next.
        """
        timeout_s = min(_LOOK_S, (until - time.monotonic()) / 2)
        try:
            if self._looks.under_way("model"):
                return await self._looks.join("model", timeout_s)
            return await self._looks.start("model", self.model(timeout_s))
        except LookalikeError:
            return None

    def _note_space(self, embedding_space: str) -> None:
        if embedding_space != self.embedding_space:
            self.embedding_space = embedding_space
            self.space_changed()


def _embedded(response: embedder_pb2.EmbedImageResponse, *, complete: bool) -> Embedded:
    first, timings = response.embeddings[0], response.timings
    features = response.embeddings[1].values if len(response.embeddings) > 1 else ()
    return Embedded(
        PhotoVector(tuple(first.values), first.embedding_space, compact(features)),
        timings.decode_ns,
        timings.queue_ns,
        timings.inference_ns,
        complete,
    )
