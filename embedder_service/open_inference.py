"""GRPCInferenceService, the Open Inference Protocol v2: protos ↔ domain.

Specification: https://github.com/kserve/open-inference-protocol
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from grpc import aio

from embedder_service import tensors
from embedder_service.config import EmbedderSettings
from embedder_service.embedding import EmbeddedPhoto
from embedder_service.hosting import ModelHost, Session
from embedder_service.model import Model
from embedder_service.scheduling import Priority, SchedulingKey
from embedder_service.statistics import ModelStatistics, Total
from embedder_service.words import EmbeddedWords, check_lengths
from lookalike import __version__
from lookalike.errors import InvalidArgumentError, ModelNotFoundError, NotSupportedError
from lookalike.inference import open_inference_pb2 as pb
from lookalike.inference import open_inference_pb2_grpc
from lookalike.serving.access import Scope

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name

# What each RPC needs of its caller; the first three are this protocol's health checks.
SCOPES = {
    "ServerLive": Scope.PUBLIC,
    "ServerReady": Scope.PUBLIC,
    "ModelReady": Scope.PUBLIC,
    "ServerMetadata": Scope.READ,
    "ModelMetadata": Scope.READ,
    "ModelConfig": Scope.READ,
    "ModelInfer": Scope.READ,
    "ModelStatistics": Scope.READ,
    "RepositoryIndex": Scope.READ,
}
EXTENSIONS = (tensors.CLASSIFICATION, "model_configuration", "statistics")

_PLATFORM = "lookalike"

Context = aio.ServicerContext[Any, Any]
T = TypeVar("T")
R = TypeVar("R")


class OpenInferenceServicer(open_inference_pb2_grpc.GRPCInferenceServiceServicer):
    """Serves the host's model to clients of other inference servers."""

    def __init__(self, host: ModelHost, settings: EmbedderSettings) -> None:
        self._host = host
        self._settings = settings

    async def ServerLive(
        self, request: pb.ServerLiveRequest, context: Context
    ) -> pb.ServerLiveResponse:
        """Always true: an answer is the proof."""
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(
        self, request: pb.ServerReadyRequest, context: Context
    ) -> pb.ServerReadyResponse:
        """Always true: the port takes calls only once the model is warmed up."""
        return pb.ServerReadyResponse(ready=True)

    async def ModelReady(
        self, request: pb.ModelReadyRequest, context: Context
    ) -> pb.ModelReadyResponse:
        """Returns whether the named model is the loaded one."""
        return pb.ModelReadyResponse(ready=self._is_served(request.name, request.version))

    async def ServerMetadata(
        self, request: pb.ServerMetadataRequest, context: Context
    ) -> pb.ServerMetadataResponse:
        """Names the server."""
        return pb.ServerMetadataResponse(
            name="lookalike-embedder", version=__version__, extensions=EXTENSIONS
        )

    async def ModelMetadata(
        self, request: pb.ModelMetadataRequest, context: Context
    ) -> pb.ModelMetadataResponse:
        """Describes the model's tensors."""
        self._check_served(request.name, request.version)
        manifest, tensor = self._host.manifest, pb.ModelMetadataResponse.TensorMetadata
        return pb.ModelMetadataResponse(
            name=manifest.name,
            versions=[manifest.version],
            platform=_PLATFORM,
            inputs=[
                tensor(name=name, datatype="BYTES", shape=[-1, 1])
                for name in _inputs(self._host.model)
            ],
            outputs=[
                tensor(name=output.name, datatype="FP32", shape=[-1, output.dimension])
                for output in manifest.outputs
            ],
        )

    async def ModelConfig(
        self, request: pb.ModelConfigRequest, context: Context
    ) -> pb.ModelConfigResponse:
        """Tells how photos become batches."""
        self._check_served(request.name, request.version)
        manifest, settings = self._host.manifest, self._settings
        batching = pb.ModelDynamicBatching(
            preferred_batch_size=[settings.max_batch],
            max_queue_delay_microseconds=round(settings.max_batch_delay_ms * 1000),
        )
        config = pb.ModelConfig(
            name=manifest.name,
            platform=_PLATFORM,
            backend=_PLATFORM,
            max_batch_size=settings.max_batch_items,
            input=[
                pb.ModelInput(name=name, data_type=pb.TYPE_STRING, dims=[1])
                for name in _inputs(self._host.model)
            ],
            output=[
                pb.ModelOutput(name=output.name, data_type=pb.TYPE_FP32, dims=[output.dimension])
                for output in manifest.outputs
            ],
            dynamic_batching=batching,
        )
        return pb.ModelConfigResponse(config=config)

    async def ModelInfer(
        self, request: pb.ModelInferRequest, context: Context
    ) -> pb.ModelInferResponse:
        """Embeds photos or texts; a bad one fails the whole request, as the protocol requires."""
        self._check_served(request.model_name, request.model_version)
        with self._host.session() as session:
            inputs = _inputs(session.model)
            sent = tensors.elements(request, inputs, self._settings.max_batch_items)
            wanted = tensors.wanted_outputs(request)
            # A single one counts as interactive, several as bulk.
            key = SchedulingKey() if len(sent) == 1 else SchedulingKey(Priority.BULK, object())
            many = _Many(
                session,
                [output.name for output in wanted],
                key,
                context.time_remaining(),
                self._settings.max_stream_in_flight,
            )
            if request.inputs[0].name == tensors.TEXT_INPUT:
                return tensors.response(request, wanted, await many.texts(tensors.texts(sent)))
            with session.model.photos.statistics.request() as done:
                photos = await many.photos(sent)
                done.extend(photos)
            return tensors.response(request, wanted, photos)

    async def ModelStatistics(
        self, request: pb.ModelStatisticsRequest, context: Context
    ) -> pb.ModelStatisticsResponse:
        """Tells what the loaded model did, by this and by our own API."""
        self._check_served(request.name or self._host.manifest.name, request.version)
        told = _statistics(self._host.model.photos.statistics)
        told.name, told.version = self._host.manifest.name, self._host.manifest.version
        return pb.ModelStatisticsResponse(model_stats=[told])

    async def RepositoryIndex(
        self, request: pb.RepositoryIndexRequest, context: Context
    ) -> pb.RepositoryIndexResponse:
        """Lists the loaded model."""
        if request.repository_name:
            raise NotSupportedError(
                f"repository_name is '{request.repository_name[:100]}'; there are no named "
                "repositories, leave it empty",
                field="repository_name",
            )
        manifest = self._host.manifest
        index = pb.RepositoryIndexResponse.ModelIndex(
            name=manifest.name, version=manifest.version, state="READY"
        )
        return pb.RepositoryIndexResponse(models=[index])

    def _is_served(self, name: str, wanted: str) -> bool:
        manifest = self._host.manifest
        return name == manifest.name and wanted in ("", manifest.version)

    def _check_served(self, name: str, wanted: str) -> None:
        if not self._is_served(name, wanted):
            manifest = self._host.manifest
            asked = f"'{name}'" + (f" version '{wanted}'" if wanted else "")
            raise ModelNotFoundError(
                f"model {asked} is not served; '{manifest.name}' version '{manifest.version}' is",
                resource=("model", name),
            )


@dataclass(frozen=True)
class _Many:
    """Embeds the elements of a request side by side; the first bad one ends the others.

    Attributes:
        session: The request's hold on the model.
        outputs: Names of those that are wanted.
        key: Priority and source of each.
        remaining_s: Until the deadline; None if there is none.
        at_a_time: Most elements in the service.
    """

    session: Session
    outputs: Sequence[str]
    key: SchedulingKey
    remaining_s: float | None
    at_a_time: int

    async def photos(self, images: Sequence[bytes]) -> list[EmbeddedPhoto]:
        """Embeds encoded photos."""

        async def embed(image: bytes) -> EmbeddedPhoto:
            return await self.session.embed(image, self.outputs, self.key, self.remaining_s)

        return await self._all(embed, images, "image", tensors.INPUT)

    async def texts(self, texts: Sequence[str]) -> list[EmbeddedWords]:
        """Embeds texts."""

        async def embed(text: str) -> EmbeddedWords:
            check_lengths(text, "")
            return await self.session.embed_words(
                text, "", self.outputs, self.key, self.remaining_s
            )

        return await self._all(embed, texts, "title", tensors.TEXT_INPUT)

    async def _all(
        self, embed: Callable[[T], Awaitable[R]], sent: Sequence[T], field: str, name: str
    ) -> list[R]:
        free = asyncio.Semaphore(self.at_a_time)

        async def one(number: int) -> R:
            async with free:
                try:
                    return await embed(sent[number])
                except InvalidArgumentError as error:
                    if error.field == field:
                        error.field = name
                        if len(sent) > 1:
                            error.message = f"element {number} of {len(sent)}: {error.message}"
                            error.field = f"{name}[{number}]"
                    raise

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(number)) for number in range(len(sent))]
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [task.result() for task in tasks]


def _inputs(model: Model) -> list[str]:
    return [tensors.INPUT, tensors.TEXT_INPUT] if model.words else [tensors.INPUT]


def _statistics(known: ModelStatistics) -> pb.ModelStatistics:
    duration = pb.StatisticDuration

    def told(total: Total) -> pb.StatisticDuration:
        return duration(count=total.count, ns=total.ns)

    return pb.ModelStatistics(
        last_inference=round(known.last_s * 1000),
        inference_count=known.photos,
        execution_count=known.executions,
        inference_stats=pb.InferStatistics(
            success=told(known.success),
            fail=told(known.fail),
            queue=told(known.queue),
            compute_input=told(known.decode),
            compute_infer=told(known.inference),
            compute_output=duration(count=known.success.count),
        ),
        batch_stats=[
            pb.InferBatchStatistics(
                batch_size=size,
                compute_input=duration(count=total.count),
                compute_infer=told(total),
                compute_output=duration(count=total.count),
            )
            for size, total in sorted(known.batches.copy().items())
        ],
    )
