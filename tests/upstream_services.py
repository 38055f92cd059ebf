"""Both services behind the gateway in one, on a loopback port, for tests of its clients of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from grpc import aio
from grpc_health.v1 import health_pb2_grpc

from lookalike.embedder.v1 import embedder_pb2, embedder_pb2_grpc
from lookalike.errors import DimensionMismatchError, UnknownOutputError
from lookalike.index.v1 import index_pb2, index_pb2_grpc
from lookalike.serving.health import HealthServicer
from lookalike.serving.interceptors import RequestInterceptor
from tests.gateway_models import FEATURES
from tests.gateways import SPACE, VECTOR

Context = aio.ServicerContext[Any, Any]


class FakeServices(embedder_pb2_grpc.EmbedderServiceServicer, index_pb2_grpc.IndexServiceServicer):
    """Both services in one: remembers requests, and raises the errors lined up for a method.

    None in a line of errors lets that call through.
    """

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.errors: dict[str, list[Any]] = {}
        self.model = embedder_pb2.Model(embedding_space=SPACE, labels=["books", "tools"])
        self.features_dimension = 0  # as the index tells it with every answer
        self.found = index_pb2.QueryResult(method=index_pb2.SEARCH_METHOD_EXACT)
        self.leads_to = index_pb2.Collection(name="listings-space-1", embedding_space=SPACE)
        self.state = index_pb2.GetIndexResponse(backend="native", applied_seq=7)
        self.remaining_s: float | None = None
        self.hang = False
        self.hanging_method = ""  # the only one that hangs; empty for all
        self.left = asyncio.Event()
        self.arrived = asyncio.Event()

    async def _take(self, name: str, request: Any, context: Context) -> None:
        self.asked.append(request)
        self.remaining_s = context.time_remaining()
        self.arrived.set()
        if self.hang and self.hanging_method in ("", name):
            try:
                await asyncio.Event().wait()
            finally:
                self.left.set()
        if (errors := self.errors.get(name)) and (error := errors.pop(0)):
            raise error

    def count(self, kind: type) -> int:
        """How many requests of a kind came."""
        return sum(isinstance(request, kind) for request in self.asked)

    async def GetModel(
        self, request: embedder_pb2.GetModelRequest, context: Context
    ) -> embedder_pb2.GetModelResponse:
        await self._take("GetModel", request, context)
        return embedder_pb2.GetModelResponse(model=self.model)

    async def EmbedImage(
        self, request: embedder_pb2.EmbedImageRequest, context: Context
    ) -> embedder_pb2.EmbedImageResponse:
        await self._take("EmbedImage", request, context)
        values = {"category": VECTOR.values, "features": FEATURES}
        known = [output.name for output in self.model.outputs] or ["category"]
        if unknown := set(request.outputs) - set(known):
            raise UnknownOutputError(f"no output {unknown}", field="outputs")
        embeddings = [
            embedder_pb2.Embedding(
                output=name, values=values[name], embedding_space=self.model.embedding_space
            )
            for name in request.outputs or known[:1]
        ]
        timings = embedder_pb2.Timings(decode_ns=1, queue_ns=2, inference_ns=3)
        return embedder_pb2.EmbedImageResponse(embeddings=embeddings, timings=timings)

    async def CreateCollection(
        self, request: index_pb2.CreateCollectionRequest, context: Context
    ) -> index_pb2.CreateCollectionResponse:
        await self._take("CreateCollection", request, context)
        return index_pb2.CreateCollectionResponse(collection=request.collection)

    async def GetCollection(
        self, request: index_pb2.GetCollectionRequest, context: Context
    ) -> index_pb2.GetCollectionResponse:
        await self._take("GetCollection", request, context)
        return index_pb2.GetCollectionResponse(collection=self.leads_to)

    async def GetIndex(
        self, request: index_pb2.GetIndexRequest, context: Context
    ) -> index_pb2.GetIndexResponse:
        await self._take("GetIndex", request, context)
        return self.state

    async def SetAlias(
        self, request: index_pb2.SetAliasRequest, context: Context
    ) -> index_pb2.SetAliasResponse:
        await self._take("SetAlias", request, context)
        return index_pb2.SetAliasResponse(seq=1)

    async def BatchUpsertItems(
        self, request: index_pb2.BatchUpsertItemsRequest, context: Context
    ) -> index_pb2.BatchUpsertItemsResponse:
        await self._take("BatchUpsertItems", request, context)
        kept = self.leads_to.features_dimension
        if request.items[0].features and len(request.items[0].features) != kept:
            raise DimensionMismatchError(f"it keeps {kept}", field="items[0].features")
        return index_pb2.BatchUpsertItemsResponse(seq=7, replaced=1)

    async def FindNeighbors(
        self, request: index_pb2.FindNeighborsRequest, context: Context
    ) -> index_pb2.FindNeighborsResponse:
        await self._take("FindNeighbors", request, context)
        return index_pb2.FindNeighborsResponse(
            results=[self.found],
            applied_seq=9,
            embedding_space=SPACE,
            collection="listings-space-1",
            features_dimension=self.features_dimension,
        )


def outputs(*names: str) -> list[embedder_pb2.ModelOutput]:
    """The outputs of a model, as its embedder tells them."""
    sizes = {"category": len(VECTOR.values), "features": len(FEATURES)}
    kinds = {"category": "logits", "features": "embedding"}
    return [
        embedder_pb2.ModelOutput(name=name, dimension=sizes[name], kind=kinds[name])
        for name in names
    ]


def fake_services() -> FakeServices:
    """Services that answer what they can; the rest is answered with UNIMPLEMENTED."""
    return FakeServices()  # type: ignore[abstract]


@asynccontextmanager
async def serving(services: FakeServices, health: HealthServicer) -> AsyncIterator[str]:
    """Serves on a free port, and gives the address."""
    server = aio.server(interceptors=[RequestInterceptor()])
    embedder_pb2_grpc.add_EmbedderServiceServicer_to_server(services, server)
    index_pb2_grpc.add_IndexServiceServicer_to_server(services, server)
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await asyncio.gather(server.stop(None), health.end_watches())
