"""The embedder and the index as the gateway sees them: one channel each, domain types both ways.

An upstream's client errors (a bad image, an unknown item) are passed on unchanged, but for a field
that only the index's requests have. That an upstream cannot be reached becomes
UpstreamUnavailableError naming it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import grpc
from grpc import aio

from gateway.budget import Budget
from gateway.listings import Hit, Listing, Neighbors, PhotoVector, Written
from lookalike.channel import open_channel
from lookalike.embedder.v1 import embedder_pb2, embedder_pb2_grpc
from lookalike.errors import (
    CollectionExistsError,
    CollectionNotFoundError,
    ForeignError,
    UpstreamUnavailableError,
)
from lookalike.index.v1 import index_pb2, index_pb2_grpc
from lookalike.status import from_rpc_error

_EMBEDDER = embedder_pb2.DESCRIPTOR.services_by_name["EmbedderService"].full_name
_INDEX = index_pb2.DESCRIPTOR.services_by_name["IndexService"].full_name

# gRPC cancels calls that reach a stopping server before it takes them up.
_UNAVAILABLE = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}

# Fields of the index's requests, and where they come from in the gateway's.
_FIELDS = {
    "queries[0].item_id": "item_id",
    "queries[0].vector.embedding_space": "image",
    "items[0].vector.embedding_space": "image",
}


class _Upstream:
    """A channel to one service, with its errors translated."""

    def __init__(self, name: str, target: str, service: str, max_message_bytes: int) -> None:
        self.name = name
        self._target = target
        self.channel = open_channel(
            target, health_service=service, max_message_bytes=max_message_bytes
        )

    async def watch(self, changed: Callable[[], Awaitable[None]]) -> None:
        """Calls `changed` whenever the service becomes reachable or is lost; runs for ever."""
        while True:
            state = self.channel.get_state(try_to_connect=True)
            await changed()
            await self.channel.wait_for_state_change(state)

    @property
    def ready(self) -> bool:
        """Whether some server of it is reachable and says that it is serving."""
        return self.channel.get_state() is grpc.ChannelConnectivity.READY

    @asynccontextmanager
    async def _calling(self, hop: str, budget: Budget) -> AsyncIterator[None]:
        try:
            with budget.hop(hop):
                yield
        except aio.AioRpcError as rpc_error:
            error = from_rpc_error(rpc_error)
            if error.code in _UNAVAILABLE:
                raise UpstreamUnavailableError(
                    f"the {self.name} at {self._target} cannot be reached: {error.message}",
                    metadata={"upstream": self.name},
                    retry_after_ms=error.retry_after_ms or 1000,
                ) from None
            if isinstance(error, ForeignError):
                raise ForeignError(f"{self.name}: {error.message}", code=error.code) from None
            error.field = _FIELDS.get(error.field, error.field)
            raise error from None


class EmbedderUpstream(_Upstream):
    """Photos to vectors."""

    def __init__(self, target: str, max_message_bytes: int) -> None:
        super().__init__("embedder", target, _EMBEDDER, max_message_bytes)
        self._stub = embedder_pb2_grpc.EmbedderServiceStub(self.channel)
        self._labels: dict[str, Sequence[str]] = {}

    async def embed(self, image: bytes, budget: Budget) -> PhotoVector:
        """Returns a photo's default embedding."""
        async with self._calling("embed", budget):
            response = await self._stub.EmbedImage(
                embedder_pb2.EmbedImageRequest(image=image), timeout=budget.remaining_s
            )
        embedding = response.embeddings[0]
        return PhotoVector(embedding.values, embedding.embedding_space)

    async def labels(self, embedding_space: str, budget: Budget) -> Sequence[str]:
        """Returns the category labels of the model that made an embedding."""
        if embedding_space not in self._labels:
            async with self._calling("embed", budget):
                response = await self._stub.GetModel(
                    embedder_pb2.GetModelRequest(), timeout=budget.remaining_s
                )
            self._labels = {response.model.embedding_space: tuple(response.model.labels)}
        if embedding_space not in self._labels:
            raise UpstreamUnavailableError(
                "the embedder changed its model during the request; retry", retry_after_ms=100
            )
        return self._labels[embedding_space]


class IndexUpstream(_Upstream):
    """One collection of the index."""

    def __init__(self, target: str, collection: str, max_message_bytes: int) -> None:
        super().__init__("index", target, _INDEX, max_message_bytes)
        self._stub = index_pb2_grpc.IndexServiceStub(self.channel)
        self._collection = collection

    async def find(self, query: PhotoVector | str, k: int, budget: Budget) -> Neighbors:
        """Returns the `k` listings nearest to a vector or to an item, each listing once."""
        target = (
            index_pb2.Query(item_id=query)
            if isinstance(query, str)
            else index_pb2.Query(vector=_vector(query))
        )
        request = index_pb2.FindNeighborsRequest(
            collection=self._collection,
            queries=[target],
            k=k,
            distinct_products=True,
            exclude_same_product=True,
        )
        async with self._calling("search", budget):
            response = await self._stub.FindNeighbors(request, timeout=budget.remaining_s)
        result = response.results[0]
        return Neighbors(
            hits=[Hit(_listing(n.item), n.distance) for n in result.neighbors],
            shortfall=result.shortfall,
            exact=result.method == index_pb2.SEARCH_METHOD_EXACT,
        )

    async def upsert(self, listing: Listing, vector: PhotoVector, budget: Budget) -> Written:
        """Writes a listing's photo durably; makes the collection if it is the first."""
        request = index_pb2.BatchUpsertItemsRequest(
            collection=self._collection, items=[_item(listing, vector)]
        )
        try:
            response = await self._upsert(request, budget)
        except CollectionNotFoundError:
            await self._create_collection(vector, budget)
            response = await self._upsert(request, budget)
        return Written(seq=response.seq, replaced=bool(response.replaced))

    async def _upsert(
        self, request: index_pb2.BatchUpsertItemsRequest, budget: Budget
    ) -> index_pb2.BatchUpsertItemsResponse:
        async with self._calling("search", budget):
            return await self._stub.BatchUpsertItems(request, timeout=budget.remaining_s)

    async def _create_collection(self, vector: PhotoVector, budget: Budget) -> None:
        collection = index_pb2.Collection(
            name=self._collection,
            embedding_space=vector.embedding_space,
            dimension=len(vector.values),
        )
        try:
            async with self._calling("search", budget):
                await self._stub.CreateCollection(
                    index_pb2.CreateCollectionRequest(collection=collection),
                    timeout=budget.remaining_s,
                )
        except CollectionExistsError:
            pass  # another ingest was first


def _vector(vector: PhotoVector) -> index_pb2.Vector:
    return index_pb2.Vector(values=vector.values, embedding_space=vector.embedding_space)


def _item(listing: Listing, vector: PhotoVector) -> index_pb2.Item:
    texts = {"title": listing.title, "location": listing.location}
    return index_pb2.Item(
        id=listing.item_id,
        product_id=listing.product_id,
        category=listing.category,
        price=listing.price,
        attributes={name: text for name, text in texts.items() if text},
        vector=_vector(vector),
    )


def _listing(item: index_pb2.Item) -> Listing:
    attributes: Mapping[str, str] = item.attributes
    return Listing(
        item_id=item.id,
        product_id=item.product_id,
        category=item.category,
        title=attributes.get("title", ""),
        price=item.price if item.HasField("price") else None,
        location=attributes.get("location", ""),
    )
