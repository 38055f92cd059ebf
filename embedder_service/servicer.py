"""EmbedderService and EmbedderAdminService: protos ↔ domain."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Sequence
from typing import Any

from grpc import aio

from embedder_service.config import EmbedderSettings
from embedder_service.embedding import EmbeddedPhoto
from embedder_service.hosting import ModelHost, Session
from embedder_service.scheduling import Priority, SchedulingKey
from embedder_service.words import EmbeddedWords, WordsEmbedder, check_lengths
from lookalike.embedder.v1 import admin_pb2, admin_pb2_grpc, embedder_pb2_grpc
from lookalike.embedder.v1 import embedder_pb2 as pb
from lookalike.errors import InvalidArgumentError
from lookalike.likeness import Likeness
from lookalike.limits import MAX_TEXT_LENGTH
from lookalike.model.bundle import Ranking
from lookalike.pricing import PriceRange
from lookalike.serving.access import Scope
from lookalike.serving.interceptors import in_band_status
from lookalike.serving.streams import answer_by_id

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["EmbedderService"].full_name
ADMIN_SERVICE_NAME = admin_pb2.DESCRIPTOR.services_by_name["EmbedderAdminService"].full_name

# What each RPC needs of its caller.
SCOPES = {
    "GetModel": Scope.READ,
    "EmbedImage": Scope.READ,
    "BatchEmbedImages": Scope.READ,
    "StreamEmbedImages": Scope.READ,
    "EmbedText": Scope.READ,
}
ADMIN_SCOPES = {"ReloadModel": Scope.ADMIN}
MAX_OUTPUTS = 16

_PRIORITIES = {
    pb.PRIORITY_INTERACTIVE: Priority.INTERACTIVE,
    pb.PRIORITY_BULK: Priority.BULK,
}

Context = aio.ServicerContext[Any, Any]


class EmbedderServicer(embedder_pb2_grpc.EmbedderServiceServicer):
    """Serves the host's model."""

    def __init__(self, host: ModelHost, settings: EmbedderSettings) -> None:
        self._host = host
        self._settings = settings

    async def GetModel(self, request: pb.GetModelRequest, context: Context) -> pb.GetModelResponse:
        """Describes the loaded model."""
        return pb.GetModelResponse(model=describe(self._host, self._settings))

    async def EmbedImage(
        self, request: pb.EmbedImageRequest, context: Context
    ) -> pb.EmbedImageResponse:
        """Embeds one photo."""
        priority = _PRIORITIES.get(request.priority, Priority.INTERACTIVE)
        key = SchedulingKey(priority, context.peer())
        with self._host.session() as session:
            return await _embed(session, request, key, context)

    async def BatchEmbedImages(
        self, request: pb.BatchEmbedImagesRequest, context: Context
    ) -> pb.BatchEmbedImagesResponse:
        """Embeds several photos; the answer of a bad one is its error."""
        count, most = len(request.requests), self._settings.max_batch_items
        if not 1 <= count <= most:
            raise InvalidArgumentError(
                f"{count} photos; a batch must have 1 to {most} "
                "(LOOKALIKE_EMBEDDER_MAX_BATCH_ITEMS)",
                field="requests",
            )
        caller = object()
        # The same limit as for a stream, so that one caller cannot fill the queue.
        free = asyncio.Semaphore(self._settings.max_stream_in_flight)

        async def answer(number: int) -> pb.BatchEmbedImagesResult:
            item = request.requests[number]
            try:
                async with free:
                    response = await _embed(session, item, _bulk_key(item, caller), context)
                return pb.BatchEmbedImagesResult(response=response)
            except Exception as error:
                return pb.BatchEmbedImagesResult(error=in_band_status(error))

        with self._host.session() as session:
            results = await asyncio.gather(*(answer(number) for number in range(count)))
        return pb.BatchEmbedImagesResponse(results=results)

    async def StreamEmbedImages(
        self, request_iterator: AsyncIterator[pb.StreamEmbedImagesRequest], context: Context
    ) -> AsyncIterator[pb.StreamEmbedImagesResponse]:
        """Embeds a stream of photos; bad ones get an in-band error."""
        caller = object()

        async def answer(item: pb.StreamEmbedImagesRequest) -> pb.EmbedImageResponse:
            key = _bulk_key(item.request, caller)
            with self._host.session() as session:
                return await _embed(session, item.request, key, context)

        limit = self._settings.max_stream_in_flight
        async for response in answer_by_id(
            request_iterator, answer, pb.StreamEmbedImagesResponse, limit=limit
        ):
            yield response

    async def EmbedText(
        self, request: pb.EmbedTextRequest, context: Context
    ) -> pb.EmbedTextResponse:
        """Embeds a listing's words, or words to look for."""
        _check_outputs(request.outputs)
        check_lengths(request.title, request.description)
        key = SchedulingKey(_PRIORITIES.get(request.priority, Priority.INTERACTIVE), context.peer())
        with self._host.session() as session:
            words = await session.embed_words(
                request.title, request.description, request.outputs, key, context.time_remaining()
            )
        return pb.EmbedTextResponse(
            embeddings=_embeddings(words, request.outputs),
            tokens=words.tokens,
            truncated=words.truncated,
            timings=pb.Timings(
                decode_ns=words.tokenise_ns,
                queue_ns=words.queue_ns,
                inference_ns=words.inference_ns,
            ),
        )


class EmbedderAdminServicer(admin_pb2_grpc.EmbedderAdminServiceServicer):
    """Replaces the host's model."""

    def __init__(self, host: ModelHost, settings: EmbedderSettings) -> None:
        self._host = host
        self._settings = settings

    async def ReloadModel(
        self, request: admin_pb2.ReloadModelRequest, context: Context
    ) -> admin_pb2.ReloadModelResponse:
        """Loads the bundle that is in the model directory now."""
        await self._host.reload()
        return admin_pb2.ReloadModelResponse(model=describe(self._host, self._settings))


def describe(host: ModelHost, settings: EmbedderSettings) -> pb.Model:
    """Returns the API's description of the served model."""
    manifest, engine, words = host.manifest, host.model.photos.engine, host.model.words
    return pb.Model(
        name=manifest.name,
        version=manifest.version,
        embedding_space=manifest.embedding_space,
        labels=manifest.labels,
        outputs=[
            pb.ModelOutput(name=o.name, dimension=o.dimension, kind=o.kind)
            for o in manifest.outputs
        ],
        limits=pb.Limits(
            max_image_bytes=settings.max_image_bytes,
            max_image_pixels=settings.max_image_pixels,
            max_message_bytes=settings.max_message_bytes,
            max_stream_in_flight=settings.max_stream_in_flight,
            max_batch_items=settings.max_batch_items,
            max_outputs=MAX_OUTPUTS,
            max_text_length=MAX_TEXT_LENGTH if words else 0,
        ),
        engine=engine.name,
        precision=engine.precision,
        # `training evaluate` fits it; other bundles may have none.
        temperature=manifest.metrics.get("temperature", 0.0),
        ranking=_ranking(manifest.ranking),
        price_range=_price_range(manifest.price_range),
        text=_text_tower(words) if words else None,
    )


def _ranking(ranking: Ranking | None) -> pb.Ranking | None:
    if ranking is None:
        return None
    return pb.Ranking(
        **ranking.order,
        blend=_likeness(ranking.blend),
        features=_likeness(ranking.features),
        category=_likeness(ranking.category),
    )


def _likeness(likeness: Likeness) -> pb.Likeness:
    return pb.Likeness(**dataclasses.asdict(likeness))


def _price_range(price_range: PriceRange | None) -> pb.PriceRange | None:
    return pb.PriceRange(**dataclasses.asdict(price_range)) if price_range else None


def _text_tower(words: WordsEmbedder) -> pb.TextTower:
    tower = words.tower
    return pb.TextTower(
        encoder=tower.encoder,
        max_tokens=tower.max_tokens,
        precision=words.engine.precision,
        temperature=tower.temperature,
        photos_weight=tower.photos_weight,
        words_weight=tower.words_weight,
        photos_alone_weight=tower.photos_alone_weight,
    )


async def _embed(
    session: Session, request: pb.EmbedImageRequest, key: SchedulingKey, context: Context
) -> pb.EmbedImageResponse:
    outputs = request.outputs
    _check_outputs(outputs)
    with session.model.photos.statistics.request() as done:
        photo = await session.embed(request.image, outputs, key, context.time_remaining())
        done.append(photo)
    return pb.EmbedImageResponse(
        embeddings=_embeddings(photo, outputs),
        timings=pb.Timings(
            decode_ns=photo.decode_ns, queue_ns=photo.queue_ns, inference_ns=photo.inference_ns
        ),
    )


def _check_outputs(outputs: Sequence[str]) -> None:
    if len(outputs) > MAX_OUTPUTS:
        raise InvalidArgumentError(
            f"{len(outputs)} outputs; the limit is {MAX_OUTPUTS}", field="outputs"
        )


def _embeddings(
    embedded: EmbeddedPhoto | EmbeddedWords, outputs: Sequence[str]
) -> list[pb.Embedding]:
    space, vectors = embedded.manifest.embedding_space, embedded.vectors
    return [
        pb.Embedding(output=name, values=vectors[name].tolist(), embedding_space=space)
        for name in outputs or vectors
    ]


def _bulk_key(request: pb.EmbedImageRequest, caller: object) -> SchedulingKey:
    return SchedulingKey(_PRIORITIES.get(request.priority, Priority.BULK), caller)
