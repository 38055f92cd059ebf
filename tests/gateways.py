"""Fakes for tests of the gateway: its upstreams as objects, and the services behind them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from grpc import aio
from grpc_health.v1 import health_pb2_grpc

from gateway.budget import Budget, RecentTimes
from gateway.embedder import Embedded, EmbedderUpstream, Model
from gateway.index import IndexState, IndexUpstream, Serving
from gateway.items import Photo
from gateway.listings import (
    Hit,
    ItemId,
    Listing,
    ListingFilter,
    Neighbors,
    PhotoVector,
    Target,
    Wanted,
    Written,
)
from lookalike.embedder.v1 import embedder_pb2, embedder_pb2_grpc
from lookalike.errors import ItemNotFoundError, LookalikeError
from lookalike.health import HealthServicer
from lookalike.index.v1 import index_pb2, index_pb2_grpc
from lookalike.interceptors import RequestInterceptor

Context = aio.ServicerContext[Any, Any]

EMBEDDER = "lookalike.embedder.v1.EmbedderService"
INDEX = "lookalike.index.v1.IndexService"
SPACE = "space-1"
VECTOR = PhotoVector((0.5, -2.0), SPACE)
LISTING = Listing("photo", "listing", "tools", "A hammer", 0.0, "Basel")


def model(embedding_space: str = "space", temperature: float = 1.0) -> Model:
    """A model of three categories."""
    labels = ("books", "clothes", "tools")
    return Model("tiny", "1", embedding_space, labels, 3, "openvino", "fp32", temperature)


class FakeEmbedder(EmbedderUpstream):
    """Gives every photo the same logits; `error` is raised instead, `gate` is waited for."""

    def __init__(self) -> None:
        self.target = "embedder:1"
        self.logits: Sequence[float] = (1.0, 3.0, 2.0)
        self.served = model()
        self.embedding_space = ""
        self.space_changed = lambda: None
        self.error: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.embedded: list[bytes] = []
        self.timeouts: list[float] = []
        self.bulk: list[bool] = []
        self.cancelled = 0
        self.recent = {False: RecentTimes(), True: RecentTimes()}

    async def embed(self, image: bytes, timeout_s: float, *, bulk: bool = False) -> Embedded:
        self.embedded.append(image)
        self.timeouts.append(timeout_s)
        self.bulk.append(bulk)
        if self.gate:
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        if self.error:
            raise self.error
        self.embedding_space = self.served.embedding_space
        return Embedded(PhotoVector(self.logits, self.served.embedding_space), 1, 2, 3)

    async def model(self, timeout_s: float) -> Model:
        if self.error:
            raise self.error
        self._saw(self.served.embedding_space)
        return self.served

    async def model_of(self, embedding_space: str, budget: Budget) -> Model:
        assert embedding_space == self.served.embedding_space
        return self.served


class FakeIndex(IndexUpstream):
    """Keeps photos in a dictionary and finds one listing; `error` is raised instead."""

    def __init__(self) -> None:
        self.target = "index:1"
        self.collection = "listings"
        self.leads_to: Serving | None = Serving("listings-space", "space")
        self.serving = None
        self.serving_changed = lambda: None
        self.reads = RecentTimes()
        self.neighbors = Neighbors([Hit(Listing("photo", "listing"), 0.5)], "", exact=True)
        self.error: Exception | None = None
        self.write_error: Exception | None = None
        self.searched: list[tuple[ItemId | Sequence[PhotoVector], Wanted]] = []
        self.written: list[Photo] = []
        self.request_ids: list[str] = []
        self.kept: dict[str, Photo] = {}
        self.close_by: list[tuple[Photo, float]] = []
        self.looked_within: list[float] = []
        self.deleted: list[Target] = []
        self.read_only = False

    def _check(self) -> None:
        if self.error:
            raise self.error

    async def find(
        self, query: ItemId | Sequence[PhotoVector], wanted: Wanted, budget: Budget
    ) -> Neighbors:
        self.searched.append((query, wanted))
        self._check()
        return self.neighbors

    async def near(
        self, vector: PhotoVector, max_distance: float, limit: int, product_id: str, budget: Budget
    ) -> list[tuple[Photo, float]]:
        self._check()
        self.looked_within.append(max_distance)
        written = [(photo, 0.0) for photo in self.kept.values()]
        return [
            (photo, distance)
            for photo, distance in [*self.close_by, *written]
            if photo.listing.product_id != product_id and distance <= max_distance
        ][:limit]

    async def get(self, item_id: str, budget: Budget) -> Photo:
        self._check()
        if item_id not in self.kept:
            raise ItemNotFoundError("no such item", resource=("item", item_id))
        return self.kept[item_id]

    async def page(
        self,
        listing_filter: ListingFilter,
        size: int,
        token: str,
        budget: Budget,
        *,
        vectors: bool = False,
    ) -> tuple[Sequence[Photo], str]:
        self._check()
        only = listing_filter.product_ids
        photos = [p for p in self.kept.values() if not only or p.listing.product_id in only]
        start = int(token or 0)
        following = str(start + size) if start + size < len(photos) else ""
        return photos[start : start + size], following

    async def upsert(self, photo: Photo, budget: Budget, request_id: str = "") -> Written:
        self._check()
        if self.write_error:
            raise self.write_error
        replaced = photo.listing.item_id in self.kept
        self.written.append(photo)
        self.request_ids.append(request_id)
        self.kept[photo.listing.item_id] = photo
        return Written(len(self.written), replaced)

    async def delete(self, target: Target, budget: Budget, request_id: str) -> tuple[int, int]:
        self._check()
        self.deleted.append(target)
        self.request_ids.append(request_id)
        return 1, 7

    async def look(self, timeout_s: float) -> Serving | None:
        self._check()
        self._saw(self.leads_to)
        return self.leads_to

    async def state(self, timeout_s: float) -> IndexState:
        self._check()
        return IndexState("native", self.read_only, 7)

    async def count(self, timeout_s: float) -> tuple[int, int]:
        self._check()
        return len(self.kept), len({photo.listing.product_id for photo in self.kept.values()})


class FakeServices(embedder_pb2_grpc.EmbedderServiceServicer, index_pb2_grpc.IndexServiceServicer):
    """Both services in one: remembers requests, and raises the errors lined up for a method."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.errors: dict[str, list[LookalikeError]] = {}
        self.model = embedder_pb2.Model(embedding_space=SPACE, labels=["books", "tools"])
        self.found = index_pb2.QueryResult(method=index_pb2.SEARCH_METHOD_EXACT)
        self.leads_to = index_pb2.Collection(name="listings-space-1", embedding_space=SPACE)
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
        if errors := self.errors.get(name):
            raise errors.pop(0)

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
        embedding = embedder_pb2.Embedding(
            output="category", values=VECTOR.values, embedding_space=self.model.embedding_space
        )
        timings = embedder_pb2.Timings(decode_ns=1, queue_ns=2, inference_ns=3)
        return embedder_pb2.EmbedImageResponse(embeddings=[embedding], timings=timings)

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

    async def SetAlias(
        self, request: index_pb2.SetAliasRequest, context: Context
    ) -> index_pb2.SetAliasResponse:
        await self._take("SetAlias", request, context)
        return index_pb2.SetAliasResponse(seq=1)

    async def BatchUpsertItems(
        self, request: index_pb2.BatchUpsertItemsRequest, context: Context
    ) -> index_pb2.BatchUpsertItemsResponse:
        await self._take("BatchUpsertItems", request, context)
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
        )


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
