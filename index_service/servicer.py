"""The index service's RPCs: each converts protos, calls the backend once, and converts back.

Large messages are converted in a thread, so that they do not hold up other calls.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import ParamSpec, TypeVar

from index_service import pages, replies, validation
from index_service.backend import Backend
from index_service.workers import Workers
from lookalike.index.v1 import index_pb2 as pb
from lookalike.index.v1 import index_pb2_grpc
from lookalike.serving.access import Scope
from lookalike.serving.interceptors import Context
from lookalike.serving.streams import answer_by_id

NAME = pb.DESCRIPTOR.services_by_name["IndexService"].full_name

# What each RPC needs of its caller. `reindex` and a gateway's first ingest make collections and set
# aliases, which the next such call takes back; what ADMIN does, none does.
SCOPES = {
    "GetCollection": Scope.READ,
    "ListCollections": Scope.READ,
    "ListAliases": Scope.READ,
    "GetItem": Scope.READ,
    "ListItems": Scope.READ,
    "CountItems": Scope.READ,
    "FindNeighbors": Scope.READ,
    "StreamFindNeighbors": Scope.READ,
    "SearchRange": Scope.READ,
    "GetIndex": Scope.READ,
    "CreateCollection": Scope.WRITE,
    "SetAlias": Scope.WRITE,
    "BatchUpsertItems": Scope.WRITE,
    "StreamUpsertItems": Scope.WRITE,
    "BatchDeleteItems": Scope.WRITE,
    "DeleteCollection": Scope.ADMIN,
    "DeleteAlias": Scope.ADMIN,
    "CreateSnapshot": Scope.ADMIN,
}

P = ParamSpec("P")
R = TypeVar("R")

# Items or queries in a message from which converting it in a thread pays.
_MANY = 16
# Neighbours that take as long to convert as one of those.
_NEIGHBORS_A_QUERY = 16
_UPSERTS_IN_FLIGHT = 8
_SEARCHES_IN_FLIGHT = 64


class IndexServicer(index_pb2_grpc.IndexServiceServicer):
    """Answers `lookalike.index.v1.IndexService`.

    Args:
        backend: Stores and searches the vectors.
        conversions: Threads that convert large messages.
        searched: Called with the seconds of each search; None if nobody measures.
        cached_items: How many items the backend gives as the same objects again; 0 for none.
    """

    def __init__(
        self,
        backend: Backend,
        conversions: Workers,
        searched: Callable[[float], None] | None = None,
        cached_items: int = 0,
    ) -> None:
        self._backend = backend
        self._conversions = conversions
        self._searched = searched
        self._encoded = replies.EncodedItems(cached_items)

    async def CreateCollection(
        self, request: pb.CreateCollectionRequest, context: Context
    ) -> pb.CreateCollectionResponse:
        collection = validation.collection(request)
        collection = await self._backend.create_collection(collection)
        return pb.CreateCollectionResponse(collection=replies.collection(collection, 0))

    async def GetCollection(
        self, request: pb.GetCollectionRequest, context: Context
    ) -> pb.GetCollectionResponse:
        described = await self._backend.collection(request.name)
        return pb.GetCollectionResponse(collection=replies.collection(*described))

    async def ListCollections(
        self, request: pb.ListCollectionsRequest, context: Context
    ) -> pb.ListCollectionsResponse:
        described = await self._backend.collections()
        return pb.ListCollectionsResponse(
            collections=[replies.collection(*each) for each in described]
        )

    async def DeleteCollection(
        self, request: pb.DeleteCollectionRequest, context: Context
    ) -> pb.DeleteCollectionResponse:
        deleted = await self._backend.delete_collection(request.name)
        return pb.DeleteCollectionResponse(deleted_items=deleted)

    async def SetAlias(self, request: pb.SetAliasRequest, context: Context) -> pb.SetAliasResponse:
        previous, seq = await self._backend.set_alias(*validation.alias(request))
        return pb.SetAliasResponse(previous_collection=previous, seq=seq)

    async def DeleteAlias(
        self, request: pb.DeleteAliasRequest, context: Context
    ) -> pb.DeleteAliasResponse:
        return pb.DeleteAliasResponse(seq=await self._backend.delete_alias(request.name))

    async def ListAliases(
        self, request: pb.ListAliasesRequest, context: Context
    ) -> pb.ListAliasesResponse:
        aliases = sorted((await self._backend.aliases()).items())
        return pb.ListAliasesResponse(
            aliases=[pb.Alias(name=name, collection=collection) for name, collection in aliases]
        )

    async def BatchUpsertItems(
        self, request: pb.BatchUpsertItemsRequest, context: Context
    ) -> pb.BatchUpsertItemsResponse:
        return await self._upsert(request, asyncio.Lock())

    async def StreamUpsertItems(
        self, request_iterator: AsyncIterator[pb.StreamUpsertItemsRequest], context: Context
    ) -> AsyncIterator[pb.StreamUpsertItemsResponse]:
        order = asyncio.Lock()

        async def answer(request: pb.StreamUpsertItemsRequest) -> pb.BatchUpsertItemsResponse:
            return await self._upsert(request.request, order)

        async for response in answer_by_id(
            request_iterator, answer, pb.StreamUpsertItemsResponse, limit=_UPSERTS_IN_FLIGHT
        ):
            yield response

    async def BatchDeleteItems(
        self, request: pb.BatchDeleteItemsRequest, context: Context
    ) -> pb.BatchDeleteItemsResponse:
        ids, products = validation.deletion(request)
        done = await self._backend.delete_items(
            request.collection, ids, products, request.request_id
        )
        return pb.BatchDeleteItemsResponse(seq=done.seq, deleted=done.deleted)

    async def GetItem(self, request: pb.GetItemRequest, context: Context) -> pb.GetItemResponse:
        item_id = validation.item_id(request)
        found = await self._backend.item(request.collection, item_id, request.min_seq)
        return pb.GetItemResponse(item=replies.full_item(*found))

    async def ListItems(
        self, request: pb.ListItemsRequest, context: Context
    ) -> pb.ListItemsResponse:
        where, size, view = validation.page(request)
        page = await self._backend.list_items(
            request.collection,
            where,
            size=size,
            after=pages.after(request),
            view=view,
            min_seq=request.min_seq,
        )
        return pb.ListItemsResponse(
            items=[replies.full_item(item, page.collection, view) for item in page.items],
            next_page_token=pages.token(request, page.following),
        )

    async def CountItems(
        self, request: pb.CountItemsRequest, context: Context
    ) -> pb.CountItemsResponse:
        where = validation.item_filter(request.filter)
        count = await self._backend.count_items(request.collection, where, request.min_seq)
        return pb.CountItemsResponse(
            items=count.items, products=count.products, applied_seq=count.applied_seq
        )

    async def FindNeighbors(
        self, request: pb.FindNeighborsRequest, context: Context
    ) -> pb.FindNeighborsResponse:
        return await self._find(request)

    async def StreamFindNeighbors(
        self, request_iterator: AsyncIterator[pb.StreamFindNeighborsRequest], context: Context
    ) -> AsyncIterator[pb.StreamFindNeighborsResponse]:
        async def answer(request: pb.StreamFindNeighborsRequest) -> pb.FindNeighborsResponse:
            return await self._find(request.request)

        async for response in answer_by_id(
            request_iterator, answer, pb.StreamFindNeighborsResponse, limit=_SEARCHES_IN_FLIGHT
        ):
            yield response

    async def SearchRange(
        self, request: pb.SearchRangeRequest, context: Context
    ) -> pb.SearchRangeResponse:
        query, search = validation.search_range(request)
        with self._timing():
            answer = await self._backend.search_range(
                request.collection, query, search, request.min_seq
            )
        size = len(answer.neighbors.items) // _NEIGHBORS_A_QUERY
        return await self._converted(size, replies.in_range, answer, search.view, self._encoded)

    async def CreateSnapshot(
        self, request: pb.CreateSnapshotRequest, context: Context
    ) -> pb.CreateSnapshotResponse:
        name, seq, size = await self._backend.create_snapshot()
        return pb.CreateSnapshotResponse(snapshot=pb.Snapshot(name=name, seq=seq, size_bytes=size))

    async def GetIndex(self, request: pb.GetIndexRequest, context: Context) -> pb.GetIndexResponse:
        state = await self._backend.state()
        return pb.GetIndexResponse(
            backend=state.backend,
            read_only=state.read_only,
            applied_seq=state.applied_seq,
            collections=[replies.state(collection) for collection in state.collections],
        )

    async def _upsert(
        self, request: pb.BatchUpsertItemsRequest, order: asyncio.Lock
    ) -> pb.BatchUpsertItemsResponse:
        """Writes a batch; batches that share an `order` take effect in the order of arrival."""
        await order.acquire()
        with ExitStack() as held:
            held.callback(order.release)
            batch = await self._converted(len(request.items), validation.items, request)
            done = await self._backend.upsert_items(
                request.collection, batch, request.request_id, placed=held.close
            )
        return pb.BatchUpsertItemsResponse(
            seq=done.seq, inserted=done.inserted, replaced=done.replaced
        )

    async def _find(self, request: pb.FindNeighborsRequest) -> pb.FindNeighborsResponse:
        number = len(request.queries)
        queries, search = await self._converted(number, validation.search, request)
        with self._timing():
            answer = await self._backend.find_neighbors(
                request.collection, queries, search, request.min_seq
            )
        size = len(answer.results) * search.k
        return await self._converted(
            size // _NEIGHBORS_A_QUERY,
            replies.found,
            answer,
            search.view,
            self._encoded,
            columns=request.columns,
        )

    @contextmanager
    def _timing(self) -> Iterator[None]:
        started = time.perf_counter()
        yield
        if self._searched is not None:
            self._searched(time.perf_counter() - started)

    async def _converted(
        self, size: int, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Runs a conversion, in a thread if the message is large."""
        if size < _MANY:
            return function(*args, **kwargs)
        return await self._conversions.run(function, *args, **kwargs)
