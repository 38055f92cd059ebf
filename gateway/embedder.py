"""Calls the embedders: photos and words to vectors."""

from __future__ import annotations

import functools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from gateway.coalescing import Coalescer
from gateway.deadline import Deadline, LatencyWindow
from gateway.hedging import Hedger
from gateway.identity import Identity
from gateway.listings import PhotoVector, Words
from gateway.models import Model, model_of
from gateway.upstreams import Upstream
from gateway.vectors import compact
from lookalike.channel import CallObserver
from lookalike.embedder.v1 import embedder_pb2, embedder_pb2_grpc
from lookalike.errors import LookalikeError, UnknownOutputError, UpstreamUnavailableError

_SERVICE = embedder_pb2.DESCRIPTOR.services_by_name["EmbedderService"].full_name
# Models to remember: two are served while pods are updated one by one, and a catalogue of an
# earlier model can still be searched by item.
_MOST_MODELS = 4
# While pods are updated, GetModel may reach one that serves another model.
_TRIES = 3
# Longest wait of a photo for the model's outputs to become known.
_MODEL_TIMEOUT_S = 2.0

_Response: TypeAlias = embedder_pb2.EmbedImageResponse | embedder_pb2.EmbedTextResponse
_Outputs = tuple[str, ...]


@dataclass(frozen=True)
class Embedded:
    """Vectors of a photo or of words, and the embedder's timings.

    Attributes:
        complete: Whether all outputs that searches use are there.
        tokens: Of words, how many were read.
        truncated: Of words, whether there were more.
    """

    vector: PhotoVector
    decode_ns: int = 0
    queue_ns: int = 0
    inference_ns: int = 0
    complete: bool = True
    tokens: int = 0
    truncated: bool = False


class EmbedderUpstream(Upstream["embedder_pb2_grpc.EmbedderServiceAsyncStub"]):
    """A client of any number of embedders behind one channel.

    Args:
        target: Their address or addresses.
        max_message_bytes: Largest message either way.
        hedger: Sends slow calls a second time.
        identity: Who the gateway is to them; None for nobody.
        observer: Watches the calls; None for nobody.
    """

    def __init__(
        self,
        target: str,
        max_message_bytes: int,
        hedger: Hedger,
        identity: Identity | None = None,
        observer: CallObserver | None = None,
    ) -> None:
        super().__init__(
            "embedder",
            target,
            service=_SERVICE,
            stub=embedder_pb2_grpc.EmbedderServiceStub,
            max_message_bytes=max_message_bytes,
            fields={},
            identity=identity,
            observer=observer,
        )
        self._hedger = hedger
        self._models: dict[str, Model] = {}
        self._model_calls: Coalescer[Model] = Coalescer()
        self.embedding_space = ""
        self.space_changed: Callable[[], None] = lambda: None
        # Keyed by `bulk`: bulk latencies do not predict interactive ones.
        self.latencies = {False: LatencyWindow(), True: LatencyWindow()}
        self.text_latencies = LatencyWindow()

    async def embed(self, image: bytes, timeout_s: float, *, bulk: bool = False) -> Embedded:
        """Returns a photo's default embedding, and its features if the model has some.

        Args:
            image: Encoded photo.
            timeout_s: Time for the call, with all its retries.
            bulk: Whether interactive photos go first.
        """
        priority = embedder_pb2.PRIORITY_BULK if bulk else embedder_pb2.PRIORITY_INTERACTIVE

        async def call(outputs: _Outputs, until: float) -> _Response:
            request = embedder_pb2.EmbedImageRequest(
                image=image, outputs=outputs, priority=priority
            )
            return await self._stub.EmbedImage(request, timeout=until - time.monotonic())

        started = time.monotonic()
        embedded = await self._embed(call, started + timeout_s)
        self.latencies[bulk].add(time.monotonic() - started)
        return embedded

    async def read(self, words: Words, timeout_s: float) -> Embedded:
        """Returns the embedding of words, and their features if the model has some.

        Args:
            words: What to read.
            timeout_s: Time for the call, with all its retries.

        Raises:
            WordsUnavailableError: The model has no text tower.
        """

        async def call(outputs: _Outputs, until: float) -> _Response:
            request = embedder_pb2.EmbedTextRequest(
                title=words.title, description=words.description, outputs=outputs
            )
            return await self._stub.EmbedText(request, timeout=until - time.monotonic())

        started = time.monotonic()
        embedded = await self._embed(call, started + timeout_s)
        self.text_latencies.add(time.monotonic() - started)
        return embedded

    async def _embed(
        self, call: Callable[[_Outputs, float], Awaitable[_Response]], until: float
    ) -> Embedded:
        """Makes a call for the outputs of the model seen last.

        A pod with another model may lack some of them, or have more: then its model is fetched, and
        the call made once more.
        """
        model = self.known_model(self.embedding_space) or await self._refresh_model(until)
        embedded: Embedded | None = None
        for attempt in range(_TRIES):
            # The last attempt requests the default output, which every model has.
            outputs = model.search_outputs if model and attempt < _TRIES - 1 else ()
            try:
                response = await self._called(functools.partial(call, outputs, until), until)
            except LookalikeError as error:
                if isinstance(error, UnknownOutputError) and outputs:
                    model = await self._refresh_model(until)
                    continue
                if embedded is None:
                    raise
                break  # settle for the vectors of an earlier attempt
            space = response.embeddings[0].embedding_space
            self._note_space(space)
            if model is None or model.embedding_space != space:
                model = self.known_model(space) or await self._refresh_model(until)
            made_by = model if model and model.embedding_space == space else None
            embedded = _embedded(
                response, complete=made_by is not None and made_by.search_outputs == outputs
            )
            if embedded.complete or made_by is None:
                break
        assert embedded is not None  # the last attempt raises or returns
        return embedded

    async def _called(self, call: Callable[[], Awaitable[_Response]], until: float) -> _Response:
        async def attempt() -> _Response:
            async with self.calling():
                return await call()

        return await self.patience.persist(attempt, until, lambda: self._hedger.call(attempt))

    async def model(self, timeout_s: float) -> Model:
        """Asks an embedder for its model, and remembers it."""
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
        """Returns the model of an embedding space, if one was seen since the gateway started."""
        return self._models.get(embedding_space)

    async def model_of(self, embedding_space: str, deadline: Deadline) -> Model:
        """Returns the model that made an embedding."""
        for _ in range(_TRIES):
            if embedding_space not in self._models:
                await self.in_hop("embed", LatencyWindow(), deadline, self.model)
        if embedding_space not in self._models:
            raise UpstreamUnavailableError(
                "the embedder changed its model during the request; retry", retry_after_ms=100
            )
        return self._models[embedding_space]

    async def _refresh_model(self, until: float) -> Model | None:
        """Asks for the model; concurrent callers share the answer.

        Returns None on an error, which the call that follows will meet and report.
        """
        timeout_s = min(_MODEL_TIMEOUT_S, (until - time.monotonic()) / 2)
        try:
            if self._model_calls.under_way("model"):
                return await self._model_calls.join("model", timeout_s)
            return await self._model_calls.start("model", self.model(timeout_s))
        except LookalikeError:
            return None

    def _note_space(self, embedding_space: str) -> None:
        if embedding_space != self.embedding_space:
            self.embedding_space = embedding_space
            self.space_changed()


def _embedded(response: _Response, *, complete: bool) -> Embedded:
    first, timings = response.embeddings[0], response.timings
    features = response.embeddings[1].values if len(response.embeddings) > 1 else ()
    embedded = Embedded(
        PhotoVector(tuple(first.values), first.embedding_space, compact(features)),
        timings.decode_ns,
        timings.queue_ns,
        timings.inference_ns,
        complete,
    )
    if isinstance(response, embedder_pb2.EmbedTextResponse):
        return replace(embedded, tokens=response.tokens, truncated=response.truncated)
    return embedded
