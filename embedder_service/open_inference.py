"""GRPCInferenceService, the Open Inference Protocol v2: protos ↔ domain.

Specification: https://github.com/kserve/open-inference-protocol
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from grpc import aio

from embedder_service.config import EmbedderSettings
from embedder_service.embedding import EmbeddedPhoto
from embedder_service.hosting import ModelHost
from embedder_service.scheduling import Priority, SchedulingKey
from lookalike.errors import InvalidArgumentError, ModelNotFoundError
from lookalike.inference import open_inference_pb2 as pb
from lookalike.inference import open_inference_pb2_grpc

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name
INPUT = "image"
_LENGTH = struct.Struct("<I")

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
        return pb.ServerMetadataResponse(name="lookalike-embedder", version=version("lookalike"))

    async def ModelMetadata(
        self, request: pb.ModelMetadataRequest, context: Context
    ) -> pb.ModelMetadataResponse:
        """Describes the model's tensors."""
        self._check_served(request.name, request.version)
        manifest, tensor = self._host.manifest, pb.ModelMetadataResponse.TensorMetadata
        return pb.ModelMetadataResponse(
            name=manifest.name,
            versions=[manifest.version],
            platform="lookalike",
            inputs=[tensor(name=INPUT, datatype="BYTES", shape=[-1])],
            outputs=[
                tensor(name=output.name, datatype="FP32", shape=[-1, output.dimension])
                for output in manifest.outputs
            ],
        )

    async def ModelInfer(
        self, request: pb.ModelInferRequest, context: Context
    ) -> pb.ModelInferResponse:
        """Embeds the photos; a bad one fails the whole request, as the protocol requires."""
        self._check_served(request.model_name, request.model_version)
        images = _images(request, self._settings.max_batch_items)
        outputs = [output.name for output in request.outputs]
        # A single photo counts as interactive, several as bulk.
        key = SchedulingKey() if len(images) == 1 else SchedulingKey(Priority.BULK, object())
        remaining_s = context.time_remaining()
        free = asyncio.Semaphore(self._settings.max_stream_in_flight)

        async def embed(image: bytes) -> EmbeddedPhoto:
            async with free:
                return await session.embed(image, outputs, key, remaining_s)

        try:
            with self._host.session() as session:
                async with asyncio.TaskGroup() as group:  # the first bad photo ends the others
                    tasks = [group.create_task(embed(image)) for image in images]
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return _response(request, [task.result() for task in tasks])

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


def _images(request: pb.ModelInferRequest, most: int) -> Sequence[bytes]:
    """Returns the encoded photos; raises InvalidArgumentError for a request that is malformed."""
    names = [tensor.name for tensor in request.inputs]
    if names != [INPUT]:
        raise InvalidArgumentError(
            f"inputs are {names or 'none'}; there must be one, named '{INPUT}'", field="inputs"
        )
    (tensor,) = request.inputs
    if tensor.datatype != "BYTES":
        raise InvalidArgumentError(
            f"datatype is '{tensor.datatype}'; it must be BYTES, an encoded photo an element",
            field="inputs[0].datatype",
        )
    shape = list(tensor.shape)
    count = shape[0] if shape else 0
    if shape not in ([count], [count, 1]) or not 1 <= count <= most:
        raise InvalidArgumentError(
            f"shape is {shape}; it must be [N] or [N, 1] with N from 1 to {most} "
            "(LOOKALIKE_EMBEDDER_MAX_BATCH_ITEMS)",
            field="inputs[0].shape",
        )
    raw = request.raw_input_contents
    if raw and (len(raw) != 1 or tensor.HasField("contents")):
        raise InvalidArgumentError(
            f"{len(raw)} raw contents; there must be one for the one input, and no other contents",
            field="raw_input_contents",
        )
    images = list(_elements(raw[0])) if raw else list(tensor.contents.bytes_contents)
    if len(images) != count:
        raise InvalidArgumentError(
            f"{len(images)} elements, but the shape is {shape}",
            field="raw_input_contents[0]" if raw else "inputs[0].contents",
        )
    return images


def _elements(raw: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(raw):
        body = start + _LENGTH.size
        length = _LENGTH.unpack_from(raw, start)[0] if body <= len(raw) else None
        if length is None or body + length > len(raw):
            raise InvalidArgumentError(
                f"the element at byte {start} ends beyond the {len(raw):,} bytes; each element "
                "follows its length as 4 bytes, little-endian",
                field="raw_input_contents[0]",
            )
        yield raw[body : body + length]
        start = body + length


def _response(
    request: pb.ModelInferRequest, photos: Sequence[EmbeddedPhoto]
) -> pb.ModelInferResponse:
    manifest = photos[0].manifest
    response = pb.ModelInferResponse(
        model_name=manifest.name,
        model_version=manifest.version,
        id=request.id,
        parameters={"embedding_space": pb.InferParameter(string_param=manifest.embedding_space)},
    )
    for name in [output.name for output in request.outputs] or list(photos[0].vectors):
        values = np.stack([photo.vectors[name] for photo in photos]).astype("<f4")
        tensor = response.outputs.add(name=name, datatype="FP32", shape=values.shape)
        if request.raw_input_contents:
            response.raw_output_contents.append(values.tobytes())
        else:
            tensor.contents.fp32_contents.extend(values.ravel().tolist())
    return response
