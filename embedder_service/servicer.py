"""EmbedderService: protos ↔ domain."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from grpc import aio

from embedder_service.config import EmbedderSettings
from embedder_service.embedding import EmbeddedPhoto, PhotoEmbedder
from embedder_service.engines import Engine
from lookalike.embedder.v1 import embedder_pb2 as pb
from lookalike.embedder.v1 import embedder_pb2_grpc
from lookalike.errors import InvalidArgumentError
from lookalike.interceptors import in_band_status
from lookalike.streams import answer_concurrently

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["EmbedderService"].full_name
MAX_ID_LENGTH = 64
MAX_OUTPUTS = 16

Context = aio.ServicerContext[Any, Any]


class EmbedderServicer(embedder_pb2_grpc.EmbedderServiceServicer):
    """Serves one model."""

    def __init__(self, embedder: PhotoEmbedder, engine: Engine, settings: EmbedderSettings) -> None:
        self._embedder = embedder
        self._model = _model(embedder, engine, settings)
        self._max_in_flight = settings.max_stream_in_flight

    async def GetModel(self, request: pb.GetModelRequest, context: Context) -> pb.GetModelResponse:
        """Describes the loaded model."""
        return pb.GetModelResponse(model=self._model)

    async def EmbedImage(
        self, request: pb.EmbedImageRequest, context: Context
    ) -> pb.EmbedImageResponse:
        """Embeds one photo."""
        return await self._embed(request)

    async def StreamEmbedImages(
        self, request_iterator: AsyncIterator[pb.StreamEmbedImagesRequest], context: Context
    ) -> AsyncIterator[pb.StreamEmbedImagesResponse]:
        """Embeds many photos; bad ones are answered in-band."""
        unanswered: set[str] = set()

        async def answer(item: pb.StreamEmbedImagesRequest) -> pb.StreamEmbedImagesResponse:
            try:
                _check_id(item.id, unanswered)
            except InvalidArgumentError as error:
                return pb.StreamEmbedImagesResponse(id=item.id, error=in_band_status(error))
            unanswered.add(item.id)
            try:
                response = await self._embed(item.request)
                return pb.StreamEmbedImagesResponse(id=item.id, response=response)
            except Exception as error:
                return pb.StreamEmbedImagesResponse(id=item.id, error=in_band_status(error))
            finally:
                unanswered.discard(item.id)

        async for response in answer_concurrently(
            request_iterator, answer, limit=self._max_in_flight
        ):
            yield response

    async def _embed(self, request: pb.EmbedImageRequest) -> pb.EmbedImageResponse:
        if len(request.outputs) > MAX_OUTPUTS:
            raise InvalidArgumentError(
                f"{len(request.outputs)} outputs; the limit is {MAX_OUTPUTS}", field="outputs"
            )
        photo = await self._embedder.embed(request.image, request.outputs)
        return _response(photo, request.outputs or list(photo.vectors), self._model.embedding_space)


def _response(
    photo: EmbeddedPhoto, outputs: Sequence[str], embedding_space: str
) -> pb.EmbedImageResponse:
    return pb.EmbedImageResponse(
        embeddings=[
            pb.Embedding(output=name, values=photo.vectors[name], embedding_space=embedding_space)
            for name in outputs
        ],
        timings=pb.Timings(
            decode_ns=photo.decode_ns, queue_ns=photo.queue_ns, inference_ns=photo.inference_ns
        ),
    )


def _check_id(key: str, unanswered: set[str]) -> None:
    if not 1 <= len(key) <= MAX_ID_LENGTH:
        raise InvalidArgumentError(
            f"id has {len(key)} characters; it must have 1 to {MAX_ID_LENGTH}", field="id"
        )
    if key in unanswered:
        raise InvalidArgumentError(
            f"id '{key}' is already used by an unanswered request of this stream", field="id"
        )


def _model(embedder: PhotoEmbedder, engine: Engine, settings: EmbedderSettings) -> pb.Model:
    manifest = embedder.manifest
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
        ),
        engine=engine.name,
        precision=engine.precision,
    )
