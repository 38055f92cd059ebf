"""GRPCInferenceService, the Open Inference Protocol v2: protos ↔ domain.

Specification: https://github.com/kserve/open-inference-protocol
"""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import Any

from grpc import aio

from embedder_service import tensors
from embedder_service.config import EmbedderSettings
from embedder_service.embedding import EmbeddedPhoto
from embedder_service.hosting import ModelHost
from embedder_service.scheduling import Priority, SchedulingKey
from embedder_service.statistics import ModelStatistics, Total
from lookalike.errors import InvalidArgumentError, ModelNotFoundError, NotSupportedError
from lookalike.inference import open_inference_pb2 as pb
from lookalike.inference import open_inference_pb2_grpc

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name
EXTENSIONS = (tensors.CLASSIFICATION, "model_configuration", "statistics")

_PLATFORM = "lookalike"

Context = aio.ServicerContext[Any, Any]


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
            name="lookalike-embedder", version=version("lookalike"), extensions=EXTENSIONS
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
            inputs=[tensor(name=tensors.INPUT, datatype="BYTES", shape=[-1, 1])],
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
            input=[pb.ModelInput(name=tensors.INPUT, data_type=pb.TYPE_STRING, dims=[1])],
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
        """Embeds the photos; a bad one fails the whole request, as the protocol requires."""
        self._check_served(request.model_name, request.model_version)
        images = tensors.images(request, self._settings.max_batch_items)
        wanted = tensors.wanted_outputs(request)
        outputs = [output.name for output in wanted]
        # A single photo counts as interactive, several as bulk.
        key = SchedulingKey() if len(images) == 1 else SchedulingKey(Priority.BULK, object())
        remaining_s = context.time_remaining()
        free = asyncio.Semaphore(self._settings.max_stream_in_flight)

        async def embed(number: int) -> EmbeddedPhoto:
            async with free:
                try:
                    return await session.embed(images[number], outputs, key, remaining_s)
                except InvalidArgumentError as error:
                    if error.field == "image" and len(images) > 1:
                        error.message = f"element {number} of {len(images)}: {error.message}"
                        error.field = f"image[{number}]"
                    raise

        with self._host.session() as session, session.model.photos.statistics.request() as done:
            try:
                async with asyncio.TaskGroup() as group:  # the first bad photo ends the others
                    tasks = [group.create_task(embed(number)) for number in range(len(images))]
            except BaseExceptionGroup as errors:
                raise errors.exceptions[0] from None
            photos = [task.result() for task in tasks]
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
