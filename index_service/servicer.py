"""The index service's RPCs: protos in, one call of the catalog, protos out.

Whatever may take long (large messages, the disk, a search) runs in worker threads.
"""

from __future__ import annotations

from index_service import validation
from index_service.catalog import Catalog
from index_service.records import Collection, Item, QueryAnswer
from index_service.workers import Workers
from lookalike.index.v1 import index_pb2 as pb
from lookalike.index.v1 import index_pb2_grpc
from lookalike.interceptors import Context

NAME = pb.DESCRIPTOR.services_by_name["IndexService"].full_name
_METRICS = {metric: number for number, metric in validation.METRICS.items()}


class IndexServicer(index_pb2_grpc.IndexServiceServicer):
    """Answers `lookalike.index.v1.IndexService`.

    Args:
        catalog: The collections.
        reads: Threads for what does not change them.
        writes: The one thread for what does.
    """

    def __init__(self, catalog: Catalog, reads: Workers, writes: Workers) -> None:
        self._catalog = catalog
        self._reads = reads
        self._writes = writes

    async def CreateCollection(
        self, request: pb.CreateCollectionRequest, context: Context
    ) -> pb.CreateCollectionResponse:
        collection = validation.collection(request)
        await self._writes.run(self._catalog.create, collection)
        return pb.CreateCollectionResponse(collection=_collection(collection, 0))

    async def GetCollection(
        self, request: pb.GetCollectionRequest, context: Context
    ) -> pb.GetCollectionResponse:
        collection = _collection(*self._catalog.collection(request.name))
        return pb.GetCollectionResponse(collection=collection)

    async def ListCollections(
        self, request: pb.ListCollectionsRequest, context: Context
    ) -> pb.ListCollectionsResponse:
        collections = [_collection(*described) for described in self._catalog.collections()]
        return pb.ListCollectionsResponse(collections=collections)

    async def DeleteCollection(
        self, request: pb.DeleteCollectionRequest, context: Context
    ) -> pb.DeleteCollectionResponse:
        deleted = await self._writes.run(self._catalog.delete, request.name)
        return pb.DeleteCollectionResponse(deleted_items=deleted)

    async def BatchUpsertItems(
        self, request: pb.BatchUpsertItemsRequest, context: Context
    ) -> pb.BatchUpsertItemsResponse:
        # Checked among the reads, so that the writer has only good batches to wait for.
        items, vectors = await self._reads.run(validation.items, request)
        done = await self._writes.run(
            self._catalog.upsert_items, request.collection, items, vectors
        )
        return pb.BatchUpsertItemsResponse(
            seq=done.seq, inserted=done.inserted, replaced=done.replaced
        )

    async def BatchDeleteItems(
        self, request: pb.BatchDeleteItemsRequest, context: Context
    ) -> pb.BatchDeleteItemsResponse:
        ids, product_ids = validation.deletion(request)
        done = await self._writes.run(
            self._catalog.delete_items, request.collection, ids, product_ids
        )
        return pb.BatchDeleteItemsResponse(seq=done.seq, deleted=done.deleted)

    async def GetItem(self, request: pb.GetItemRequest, context: Context) -> pb.GetItemResponse:
        item_id = validation.item_id(request)
        item, vector, collection = await self._reads.run(
            self._catalog.item, request.collection, item_id
        )
        message = _item(item)
        message.vector.values.extend(vector.tolist())
        message.vector.embedding_space = collection.embedding_space
        return pb.GetItemResponse(item=message)

    async def FindNeighbors(
        self, request: pb.FindNeighborsRequest, context: Context
    ) -> pb.FindNeighborsResponse:
        return await self._reads.run(self._find_neighbors, request)

    def _find_neighbors(self, request: pb.FindNeighborsRequest) -> pb.FindNeighborsResponse:
        queries, search = validation.search(request)
        answer = self._catalog.find(request.collection, queries, search)
        return pb.FindNeighborsResponse(
            results=(_query_result(result) for result in answer.results),
            applied_seq=answer.applied_seq,
            embedding_space=answer.embedding_space,
        )


def _collection(collection: Collection, item_count: int) -> pb.Collection:
    return pb.Collection(
        name=collection.name,
        embedding_space=collection.embedding_space,
        dimension=collection.dimension,
        metric=_METRICS[collection.metric],
        item_count=item_count,
    )


def _item(item: Item) -> pb.Item:
    return pb.Item(
        id=item.id,
        product_id=item.product_id,
        category=item.category,
        price=item.price,
        attributes=item.attributes,
    )


def _query_result(answer: QueryAnswer) -> pb.QueryResult:
    neighbors = (
        pb.Neighbor(item=_item(item), distance=distance) for item, distance in answer.neighbors
    )
    return pb.QueryResult(
        neighbors=neighbors,
        method=pb.SEARCH_METHOD_EXACT,
        candidates_scanned=answer.candidates_scanned,
        shortfall=answer.shortfall,
    )
