"""The index as the gateway sees it: one collection, by its name or an alias."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from gateway import items
from gateway.budget import Budget, RecentTimes
from gateway.items import Photo
from gateway.listings import (
    Hit,
    ItemId,
    ListingFilter,
    Neighbors,
    PhotoVector,
    ProductId,
    Target,
    Wanted,
    Written,
)
from gateway.upstreams import Upstream
from lookalike.errors import CollectionExistsError, CollectionNotFoundError
from lookalike.index.v1 import index_pb2, index_pb2_grpc

_SERVICE = index_pb2.DESCRIPTOR.services_by_name["IndexService"].full_name
_SPACE_DIGITS = 12
_KEPT_SHARE = 0.1

# Fields of the index's requests, and where they come from in the gateway's.
_FIELDS = {
    "queries[0].item_id": "item_id",
    "queries[0].vector.embedding_space": "image",
    "queries[0].vector.values": "vector.values",
    "queries[0].examples.positives[0].vector.embedding_space": "image",
    "items[0].vector.embedding_space": "image",
    "items[0].vector.values": "image",
    "filter.attributes[0].key": "filter",
    "filter.attributes[1].key": "filter",
}


@dataclass(frozen=True)
class Serving:
    """The collection that answers, and its embedding space."""

    collection: str
    embedding_space: str


@dataclass(frozen=True)
class IndexState:
    """What the index says of itself."""

    backend: str
    read_only: bool
    applied_seq: int


class IndexUpstream(Upstream):
    """One collection of the index.

    Args:
        target: Where the index is.
        name: Of a collection or an alias; if there is neither, the first write makes both.
        max_message_bytes: Largest message either way.
    """

    def __init__(self, target: str, name: str, max_message_bytes: int) -> None:
        super().__init__("index", target, _SERVICE, max_message_bytes, _FIELDS)
        self._stub = index_pb2_grpc.IndexServiceStub(self.channel)
        self.collection = name
        self.serving: Serving | None = None
        self.serving_changed: Callable[[], None] = lambda: None
        self.reads, self._writes = RecentTimes(), RecentTimes()

    async def find(
        self, query: ItemId | Sequence[PhotoVector], wanted: Wanted, budget: Budget
    ) -> Neighbors:
        """Returns what is nearest to an item or to the mean of vectors."""
        request = index_pb2.FindNeighborsRequest(
            collection=self.collection,
            queries=[_query(query)],
            k=wanted.k,
            distinct_products=not wanted.every_photo,
            exclude_same_product=True,
            filter=items.only(wanted.filter),
            max_distance=wanted.max_distance,
            exact=wanted.exact,
            min_seq=wanted.min_seq,
        )
        # Who takes an answer without listings needs some time to get it.
        kept_s = _KEPT_SHARE * budget.remaining_s if wanted.allow_partial else 0.0
        response = await self._find(request, budget, kept_s)
        result = response.results[0]
        return Neighbors(
            hits=[Hit(items.listing(n.item), n.distance) for n in result.neighbors],
            shortfall=result.shortfall,
            exact=result.method == index_pb2.SEARCH_METHOD_EXACT,
            applied_seq=response.applied_seq,
            candidates_scanned=result.candidates_scanned,
        )

    async def near(
        self, vector: PhotoVector, max_distance: float, limit: int, product_id: str, budget: Budget
    ) -> list[tuple[Photo, float]]:
        """Returns photos of other products within a distance, nearest first; misses none."""
        request = index_pb2.FindNeighborsRequest(
            collection=self.collection,
            queries=[_query([vector])],
            k=limit,
            exclude_product_ids=[product_id],
            max_distance=max_distance,
            exact=True,
        )
        response = await self._find(request, budget)
        return [(items.photo(n.item), n.distance) for n in response.results[0].neighbors]

    async def get(self, item_id: str, budget: Budget) -> Photo:
        """Returns a photo with its vector; raises ItemNotFoundError."""
        request = index_pb2.GetItemRequest(collection=self.collection, item_id=item_id)
        async with self._reading(budget) as allowed_s:
            response = await self._stub.GetItem(request, timeout=allowed_s)
        return items.photo(response.item)

    async def page(
        self,
        listing_filter: ListingFilter,
        size: int,
        token: str,
        budget: Budget,
        *,
        vectors: bool = False,
    ) -> tuple[Sequence[Photo], str]:
        """Returns a page of photos in the order of writing, and the next page's token."""
        request = index_pb2.ListItemsRequest(
            collection=self.collection,
            filter=items.only(listing_filter),
            page_size=size,
            page_token=token,
            view=index_pb2.ITEM_VIEW_VECTORS if vectors else index_pb2.ITEM_VIEW_FULL,
        )
        async with self._reading(budget) as allowed_s:
            response = await self._stub.ListItems(request, timeout=allowed_s)
        return [items.photo(item) for item in response.items], response.next_page_token

    async def upsert(self, photo: Photo, budget: Budget, request_id: str = "") -> Written:
        """Writes a photo durably; makes the collection and its alias if it is the first."""
        request = index_pb2.BatchUpsertItemsRequest(
            collection=self.collection, items=[items.item(photo)], request_id=request_id
        )
        try:
            response = await self._upsert(request, budget)
        except CollectionNotFoundError:
            assert photo.vector is not None
            await self._create(photo.vector, budget)
            response = await self._upsert(request, budget)
        return Written(seq=response.seq, replaced=bool(response.replaced))

    async def delete(self, target: Target, budget: Budget, request_id: str) -> tuple[int, int]:
        """Deletes a photo or all of a listing; returns how many, and the write's number."""
        request = index_pb2.BatchDeleteItemsRequest(
            collection=self.collection,
            item_ids=[target.item_id] if isinstance(target, ItemId) else (),
            product_ids=[target.product_id] if isinstance(target, ProductId) else (),
            request_id=request_id,
        )
        async with self.in_hop("search", self._writes, budget) as allowed_s:
            response = await self._stub.BatchDeleteItems(request, timeout=allowed_s)
        return response.deleted, response.seq

    async def look(self, timeout_s: float) -> Serving | None:
        """Asks where the name leads now; None if there is no collection yet."""
        try:
            async with self.calling():
                response = await self._stub.GetCollection(
                    index_pb2.GetCollectionRequest(name=self.collection), timeout=timeout_s
                )
        except CollectionNotFoundError:
            self._saw(None)
            return None
        found = response.collection
        self._saw(Serving(found.name, found.embedding_space))
        return self.serving

    async def state(self, timeout_s: float) -> IndexState:
        """Asks what the index is."""
        async with self.calling():
            response = await self._stub.GetIndex(index_pb2.GetIndexRequest(), timeout=timeout_s)
        return IndexState(response.backend, response.read_only, response.applied_seq)

    async def count(self, timeout_s: float) -> tuple[int, int]:
        """Returns how many photos there are, of how many listings."""
        async with self.calling():
            response = await self._stub.CountItems(
                index_pb2.CountItemsRequest(collection=self.collection), timeout=timeout_s
            )
        return response.items, response.products

    def _reading(self, budget: Budget) -> AbstractAsyncContextManager[float]:
        return self.in_hop("search", self.reads, budget)

    async def _find(
        self, request: index_pb2.FindNeighborsRequest, budget: Budget, kept_s: float = 0.0
    ) -> index_pb2.FindNeighborsResponse:
        async with self.in_hop("search", self.reads, budget, kept_s) as allowed_s:
            response = await self._stub.FindNeighbors(request, timeout=allowed_s)
        self._saw(Serving(response.collection, response.embedding_space))
        return response

    async def _upsert(
        self, request: index_pb2.BatchUpsertItemsRequest, budget: Budget
    ) -> index_pb2.BatchUpsertItemsResponse:
        async with self.in_hop("search", self._writes, budget) as allowed_s:
            return await self._stub.BatchUpsertItems(request, timeout=allowed_s)

    async def _create(self, vector: PhotoVector, budget: Budget) -> None:
        """Makes a collection of the vector's space and lets the name lead to it.

        Several gateways may do so at once: they make the same collection, and the same alias.
        """
        name = collection_name(self.collection, vector.embedding_space)
        collection = index_pb2.Collection(
            name=name,
            embedding_space=vector.embedding_space,
            dimension=len(vector.values),
            indexed_attributes=items.INDEXED,
        )
        async with self.in_hop("search", RecentTimes(), budget) as allowed_s:
            with contextlib.suppress(CollectionExistsError):
                async with self.calling():
                    await self._stub.CreateCollection(
                        index_pb2.CreateCollectionRequest(collection=collection), timeout=allowed_s
                    )
            # Another gateway may be on, and the alias switched to a collection made since.
            if await self.look(budget.remaining_s) is not None:
                return
            # Somebody made a collection of that name, of which then use is made.
            with contextlib.suppress(CollectionExistsError):
                async with self.calling():
                    await self._stub.SetAlias(
                        index_pb2.SetAliasRequest(name=self.collection, collection=name),
                        timeout=budget.remaining_s,
                    )
        self._saw(Serving(name, vector.embedding_space))

    def _saw(self, serving: Serving | None) -> None:
        if serving != self.serving:
            self.serving = serving
            self.serving_changed()


def collection_name(alias: str, embedding_space: str) -> str:
    """Returns the name of the collection of a space that an alias leads to."""
    return f"{alias}-{re.sub(r'[^a-z0-9_-]', '-', embedding_space.lower())[:_SPACE_DIGITS]}"


def _query(query: ItemId | Sequence[PhotoVector]) -> index_pb2.Query:
    if isinstance(query, ItemId):
        return index_pb2.Query(item_id=query.item_id)
    vectors = [items.vector(each) for each in query]
    if len(vectors) == 1:
        return index_pb2.Query(vector=vectors[0])
    examples = [index_pb2.Example(vector=each) for each in vectors]
    return index_pb2.Query(examples=index_pb2.Examples(positives=examples))
