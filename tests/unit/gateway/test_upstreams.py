"""The gateway's side of its calls, against servers in this process that answer as told."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest
from grpc import aio
from grpc_health.v1 import health_pb2_grpc

from gateway.budget import Budget
from gateway.listings import Hit, Listing, Neighbors, PhotoVector, Written
from gateway.upstreams import EmbedderUpstream, IndexUpstream
from lookalike.channel import MAX_MESSAGE_BYTES
from lookalike.embedder.v1 import embedder_pb2, embedder_pb2_grpc
from lookalike.errors import (
    CollectionExistsError,
    CollectionNotFoundError,
    DrainingError,
    EmbeddingSpaceMismatchError,
    ForeignError,
    InvalidImageError,
    ItemNotFoundError,
    LookalikeError,
    QueueFullError,
    UpstreamUnavailableError,
)
from lookalike.health import HealthServicer
from lookalike.index.v1 import index_pb2, index_pb2_grpc
from lookalike.interceptors import RequestInterceptor

Context = aio.ServicerContext[Any, Any]

EMBEDDER = "lookalike.embedder.v1.EmbedderService"
INDEX = "lookalike.index.v1.IndexService"
VECTOR = PhotoVector((0.5, -2.0), "space-1")
LISTING = Listing("photo", "listing", "tools", "A hammer", 0.0, "Basel")
BARE = Listing("photo", "listing")


class FakeServices(embedder_pb2_grpc.EmbedderServiceServicer, index_pb2_grpc.IndexServiceServicer):
    """Both services in one: remembers requests, and raises the errors lined up for a method."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.errors: dict[str, list[LookalikeError]] = {}
        self.model = embedder_pb2.Model(embedding_space="space-1", labels=["books", "tools"])
        self.found = index_pb2.QueryResult(method=index_pb2.SEARCH_METHOD_EXACT)
        self.remaining_s: float | None = None
        self.hang = False

    async def _take(self, name: str, request: Any, context: Context) -> None:
        self.asked.append(request)
        self.remaining_s = context.time_remaining()
        if self.hang:
            await asyncio.Event().wait()
        if errors := self.errors.get(name):
            raise errors.pop(0)

    def count(self, kind: type) -> int:
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
        return embedder_pb2.EmbedImageResponse(embeddings=[embedding])

    async def CreateCollection(
        self, request: index_pb2.CreateCollectionRequest, context: Context
    ) -> index_pb2.CreateCollectionResponse:
        await self._take("CreateCollection", request, context)
        return index_pb2.CreateCollectionResponse(collection=request.collection)

    async def BatchUpsertItems(
        self, request: index_pb2.BatchUpsertItemsRequest, context: Context
    ) -> index_pb2.BatchUpsertItemsResponse:
        await self._take("BatchUpsertItems", request, context)
        return index_pb2.BatchUpsertItemsResponse(seq=7, replaced=1)

    async def FindNeighbors(
        self, request: index_pb2.FindNeighborsRequest, context: Context
    ) -> index_pb2.FindNeighborsResponse:
        await self._take("FindNeighbors", request, context)
        return index_pb2.FindNeighborsResponse(results=[self.found])


@pytest.fixture
def services() -> FakeServices:
    return FakeServices()  # type: ignore[abstract]  # the rest is answered with UNIMPLEMENTED


@pytest.fixture
def health() -> HealthServicer:
    health = HealthServicer()
    health.set_ready(EMBEDDER, True)
    health.set_ready(INDEX, True)
    return health


@pytest.fixture
async def server(services: FakeServices, health: HealthServicer) -> AsyncIterator[aio.Server]:
    server = aio.server(interceptors=[RequestInterceptor()])
    embedder_pb2_grpc.add_EmbedderServiceServicer_to_server(services, server)
    index_pb2_grpc.add_IndexServiceServicer_to_server(services, server)
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    yield server
    await asyncio.gather(server.stop(None), health.end_watches())


@pytest.fixture
async def target(server: aio.Server) -> str:
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return f"127.0.0.1:{port}"


@pytest.fixture
async def embedder(target: str) -> AsyncIterator[EmbedderUpstream]:
    upstream = EmbedderUpstream(target, MAX_MESSAGE_BYTES)
    yield upstream
    await upstream.channel.close()


@pytest.fixture
async def index(target: str) -> AsyncIterator[IndexUpstream]:
    upstream = IndexUpstream(target, "listings", MAX_MESSAGE_BYTES)
    yield upstream
    await upstream.channel.close()


async def refused(call: Awaitable[object]) -> LookalikeError:
    with pytest.raises(LookalikeError) as caught:
        await call
    return caught.value


async def test_photo_is_embedded_within_the_time_that_is_left(
    embedder: EmbedderUpstream, services: FakeServices
) -> None:
    budget = Budget(30)
    vector = await embedder.embed(b"photo", budget)
    assert (tuple(vector.values), vector.embedding_space) == (VECTOR.values, "space-1")
    assert services.asked == [embedder_pb2.EmbedImageRequest(image=b"photo")]
    assert services.remaining_s is not None
    assert 0 < services.remaining_s <= 31
    assert 0 < budget.spent_ns("embed") <= budget.total_ns
    assert budget.spent_ns("search") == 0


async def test_labels_are_asked_for_once_for_each_model(
    embedder: EmbedderUpstream, services: FakeServices
) -> None:
    for _ in range(3):
        assert await embedder.labels("space-1", Budget(30)) == ("books", "tools")
    assert len(services.asked) == 1
    services.model = embedder_pb2.Model(embedding_space="space-2", labels=["toys"])
    assert await embedder.labels("space-2", Budget(30)) == ("toys",)
    assert len(services.asked) == 2


async def test_vector_of_a_model_that_is_gone_gets_no_labels_of_another(
    embedder: EmbedderUpstream,
) -> None:
    error = await refused(embedder.labels("space-0", Budget(30)))
    assert isinstance(error, UpstreamUnavailableError)
    assert error.retry_after_ms


async def test_client_errors_are_passed_on_unchanged(
    embedder: EmbedderUpstream, index: IndexUpstream, services: FakeServices
) -> None:
    budget = Budget(30)
    sent: LookalikeError = InvalidImageError("image is empty (0 bytes)", field="image")
    services.errors = {"EmbedImage": [sent, QueueFullError("full", retry_after_ms=70)]}
    error = await refused(embedder.embed(b"", budget))
    assert (type(error), error.message, error.field) == (type(sent), sent.message, "image")
    assert budget.spent_ns("embed") > 0, "a hop that fails took its time too"
    error = await refused(embedder.embed(b"", budget))
    assert (type(error), error.retry_after_ms) == (QueueFullError, 70)
    sent = CollectionNotFoundError("there is no 'x'", resource=("collection", "x"))
    services.errors = {"FindNeighbors": [sent]}
    error = await refused(index.find("photo", 1, budget))
    assert (type(error), error.message, error.resource) == (type(sent), sent.message, sent.resource)


@pytest.mark.parametrize(
    ("error_class", "field", "known_as"),
    [
        (ItemNotFoundError, "queries[0].item_id", "item_id"),
        (EmbeddingSpaceMismatchError, "queries[0].vector.embedding_space", "image"),
    ],
)
async def test_field_of_the_index_becomes_the_field_that_the_caller_knows(
    index: IndexUpstream,
    services: FakeServices,
    error_class: type[LookalikeError],
    field: str,
    known_as: str,
) -> None:
    services.errors = {"FindNeighbors": [error_class("no", field=field, metadata={"a": "b"})]}
    error = await refused(index.find("photo", 1, Budget(30)))
    assert (type(error), error.field, error.metadata) == (error_class, known_as, {"a": "b"})


async def test_upstream_that_nobody_can_reach_is_named_with_its_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        target = f"127.0.0.1:{taken.getsockname()[1]}"
    upstream = IndexUpstream(target, "listings", MAX_MESSAGE_BYTES)
    error = await refused(upstream.find("photo", 1, Budget(30)))
    await upstream.channel.close()
    assert isinstance(error, UpstreamUnavailableError)
    assert error.message.startswith(f"the index at {target} cannot be reached: ")
    assert error.metadata == {"upstream": "index"}
    assert error.retry_after_ms == 1000


async def test_upstream_that_drains_is_unavailable_for_as_long_as_it_says(
    embedder: EmbedderUpstream, services: FakeServices, target: str
) -> None:
    draining = DrainingError("shutting down", retry_after_ms=7)
    services.errors = {"EmbedImage": [draining] * 4}
    error = await refused(embedder.embed(b"photo", Budget(30)))
    assert isinstance(error, UpstreamUnavailableError)
    assert error.message == f"the embedder at {target} cannot be reached: shutting down"
    assert (error.metadata, error.retry_after_ms) == ({"upstream": "embedder"}, 7)
    assert len(services.asked) == 4, "it was tried again first"


async def test_upstream_that_hangs_is_left_when_the_time_is_up(
    embedder: EmbedderUpstream, index: IndexUpstream, services: FakeServices
) -> None:
    services.hang = True
    for name, call in (
        ("embedder", embedder.embed(b"photo", Budget(0.2))),
        ("embedder", embedder.labels("space-1", Budget(0))),
        ("index", index.upsert(LISTING, VECTOR, Budget(0.2))),
    ):
        error = await refused(call)
        assert isinstance(error, ForeignError)
        assert error.code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert error.message.startswith(f"{name}: ")


async def test_call_that_a_stopping_server_drops_says_that_it_may_be_tried_again(
    index: IndexUpstream, services: FakeServices
) -> None:
    services.errors = {"FindNeighbors": [ForeignError("", code=grpc.StatusCode.CANCELLED)]}
    error = await refused(index.find("photo", 1, Budget(30)))
    assert isinstance(error, UpstreamUnavailableError)
    assert (error.metadata, error.retry_after_ms) == ({"upstream": "index"}, 1000)


async def test_status_of_somebody_else_keeps_its_code_and_says_who_sent_it(
    index: IndexUpstream, services: FakeServices
) -> None:
    services.errors = {"FindNeighbors": [ForeignError("what?", code=grpc.StatusCode.UNIMPLEMENTED)]}
    error = await refused(index.find("photo", 1, Budget(30)))
    assert isinstance(error, ForeignError)
    assert (error.code, error.message) == (grpc.StatusCode.UNIMPLEMENTED, "index: what?")


@pytest.mark.parametrize("listing", [LISTING, BARE])
async def test_listing_comes_back_as_it_was_written(
    index: IndexUpstream, services: FakeServices, listing: Listing
) -> None:
    assert await index.upsert(listing, VECTOR, Budget(30)) == Written(seq=7, replaced=True)
    (request,) = services.asked
    (item,) = request.items
    assert request.collection == "listings"
    assert tuple(item.vector.values) == VECTOR.values
    assert item.vector.embedding_space == "space-1"
    item.ClearField("vector")
    services.found.neighbors.add(item=item, distance=0.25)
    found = await index.find(VECTOR, 1, Budget(30))
    assert found == Neighbors([Hit(listing, 0.25)], shortfall="", exact=True)


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        ("photo", index_pb2.Query(item_id="photo")),
        (
            VECTOR,
            index_pb2.Query(
                vector=index_pb2.Vector(values=VECTOR.values, embedding_space="space-1")
            ),
        ),
    ],
)
async def test_search_wants_each_listing_once_and_not_the_one_asked_about(
    index: IndexUpstream, services: FakeServices, query: PhotoVector | str, sent: index_pb2.Query
) -> None:
    services.found = index_pb2.QueryResult(shortfall="the collection has no items")
    found = await index.find(query, 3, Budget(30))
    assert found == Neighbors([], "the collection has no items", exact=False)
    assert services.asked == [
        index_pb2.FindNeighborsRequest(
            collection="listings",
            queries=[sent],
            k=3,
            distinct_products=True,
            exclude_same_product=True,
        )
    ]


MISSING = CollectionNotFoundError("none", resource=("collection", "listings"))


async def test_first_write_makes_the_collection_for_its_vectors_space_and_length(
    index: IndexUpstream, services: FakeServices
) -> None:
    services.errors = {"BatchUpsertItems": [MISSING]}
    assert (await index.upsert(LISTING, VECTOR, Budget(30))).seq == 7
    first, created, second = services.asked
    assert created.collection == index_pb2.Collection(
        name="listings", embedding_space="space-1", dimension=2
    )
    assert first == second


async def test_collection_that_another_write_made_meanwhile_is_as_good(
    index: IndexUpstream, services: FakeServices
) -> None:
    exists = CollectionExistsError("there is one", resource=("collection", "listings"))
    services.errors = {"BatchUpsertItems": [MISSING], "CreateCollection": [exists]}
    assert (await index.upsert(LISTING, VECTOR, Budget(30))).seq == 7


async def test_collection_that_cannot_be_made_is_not_tried_for_ever(
    index: IndexUpstream, services: FakeServices
) -> None:
    full = QueueFullError("full", retry_after_ms=10)
    services.errors = {"BatchUpsertItems": [MISSING], "CreateCollection": [full]}
    assert isinstance(await refused(index.upsert(LISTING, VECTOR, Budget(30))), QueueFullError)
    services.errors = {"BatchUpsertItems": [MISSING, MISSING, MISSING]}
    error = await refused(index.upsert(LISTING, VECTOR, Budget(30)))
    assert isinstance(error, CollectionNotFoundError)
    assert services.count(index_pb2.BatchUpsertItemsRequest) == 3


async def test_readiness_follows_the_health_that_the_upstream_tells(
    server: aio.Server, health: HealthServicer, target: str
) -> None:
    health.set_ready(EMBEDDER, False)
    upstream = EmbedderUpstream(target, MAX_MESSAGE_BYTES)
    changed = asyncio.Condition()

    async def tell() -> None:
        async with changed:
            changed.notify_all()

    async def becomes(predicate: Callable[[], bool]) -> None:
        async with asyncio.timeout(60), changed:
            await changed.wait_for(predicate)

    assert not upstream.ready
    watcher = asyncio.create_task(upstream.watch(tell))
    health.set_ready(EMBEDDER, True)
    await becomes(lambda: upstream.ready)
    health.set_ready(EMBEDDER, False)
    await becomes(lambda: not upstream.ready)
    health.set_ready(EMBEDDER, True)
    await becomes(lambda: upstream.ready)
    await asyncio.gather(server.stop(None), health.end_watches())
    await becomes(lambda: not upstream.ready)
    watcher.cancel()
    await asyncio.gather(watcher, return_exceptions=True)
    await upstream.channel.close()
