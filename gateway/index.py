"""Calls the index service: one collection, by its name or an alias."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias, TypeVar

from gateway import items, queries
from gateway.deadline import Deadline, LatencyWindow
from gateway.identity import Identity
from gateway.index_state import CollectionStats, IndexState, ServingCollection
from gateway.items import NearPhoto, StoredPhoto
from gateway.listings import (
    ItemId,
    Neighbors,
    PhotoVector,
    ProductId,
    Rerank,
    SearchOptions,
    Target,
    Written,
)
from gateway.upstreams import Upstream
from lookalike.catalogue.listings import ListingFilter
from lookalike.catalogue.schema import INDEXED_ATTRIBUTES, TEXT_ATTRIBUTES, collection_name
from lookalike.channel import CallObserver
from lookalike.errors import (
    CollectionExistsError,
    CollectionNotFoundError,
    InvalidArgumentError,
    RankingUnavailableError,
    WordsUnavailableError,
)
from lookalike.index.v1 import index_pb2, index_pb2_grpc

T = TypeVar("T")
_Call: TypeAlias = Callable[[float], Awaitable[T]]

_SERVICE = index_pb2.DESCRIPTOR.services_by_name["IndexService"].full_name
_KEPT_SHARE = 0.1

_FEATURES_FIELD = "items[0].features"

# Maps fields of the index's requests to the fields of the gateway's requests that they come from.
_FIELDS = {
    "queries[0].item_id": "item_id",
    "queries[0].vector.embedding_space": "image",
    "queries[0].vector.values": "vector.values",
    "queries[0].features": "vector.features",
    "queries[0].words": "text",
    "queries[0].examples.positives[0].vector.embedding_space": "image",
    "items[0].vector.embedding_space": "image",
    "items[0].vector.values": "image",
    "filter.attributes[0].key": "filter",
    "filter.attributes[1].key": "filter",
}


class IndexUpstream(Upstream["index_pb2_grpc.IndexServiceAsyncStub"]):
    """A client of one collection of the index.

    Args:
        target: Address of the index.
        name: A collection or an alias; if neither exists, the first write creates both.
        max_message_bytes: Largest message either way.
        identity: Who the gateway is to it; None for nobody.
    """

    def __init__(
        self,
        target: str,
        name: str,
        max_message_bytes: int,
        identity: Identity | None = None,
        observer: CallObserver | None = None,
    ) -> None:
        super().__init__(
            "index",
            target,
            service=_SERVICE,
            stub=index_pb2_grpc.IndexServiceStub,
            max_message_bytes=max_message_bytes,
            fields=_FIELDS,
            identity=identity,
            observer=observer,
        )
        self.collection = name
        self.serving: ServingCollection | None = None
        self.serving_changed: Callable[[], None] = lambda: None
        # False once an answer shows that the index is too old to rank by features.
        self.can_rank = True
        self.read_latencies, self._write_latencies = LatencyWindow(), LatencyWindow()

    async def find(
        self,
        query: ItemId | Sequence[PhotoVector],
        options: SearchOptions,
        deadline: Deadline,
        rerank: Rerank | None = None,
        words: str = "",
    ) -> Neighbors:
        """Returns the nearest neighbours of an item or of the mean of vectors, or what has words.

        Args:
            query: The item, or the vectors; no vectors look for words alone.
            options: Filters, limits and how many.
            deadline: The request's time.
            rerank: How to rank by features; None ranks by vector.
            words: Words to look for too; empty for none.

        Raises:
            RankingUnavailableError: The collection, the item or the index itself lacks what
                `rerank` needs.
            WordsUnavailableError: The collection or the index finds no words.
        """
        request = queries.find(self.collection, query, options, rerank, words)
        # Leave time to answer without listings, should the index not answer.
        kept_s = _KEPT_SHARE * deadline.remaining_s if options.allow_partial else 0.0
        response = await self._find(request, deadline, kept_s)
        if not words:
            return queries.found(response)
        self._note_words(response)
        return queries.found(response, orders=4 if query else 1)

    async def near(
        self,
        vector: PhotoVector,
        deadline: Deadline,
        *,
        max_distance: float,
        limit: int,
        other_than: str,
        rerank: Rerank | None = None,
    ) -> list[NearPhoto]:
        """Returns photos near a vector, nearest first; misses none but those beyond `limit`.

        Args:
            vector: The query.
            deadline: The request's time.
            max_distance: Greatest distance by vector.
            limit: Most photos.
            other_than: The product whose photos are left out.
            rerank: How to rank by features; None ranks by vector.

        Raises:
            RankingUnavailableError: The index cannot rank so.
        """
        request = queries.find(
            self.collection,
            [vector],
            SearchOptions(limit, every_photo=True, max_distance=max_distance, exact=True),
            rerank,
        )
        request.exclude_product_ids.append(other_than)
        return queries.near(await self._find(request, deadline))

    async def get(self, item_id: str, deadline: Deadline) -> StoredPhoto:
        """Returns a photo with its vector; raises ItemNotFoundError."""
        request = index_pb2.GetItemRequest(collection=self.collection, item_id=item_id)
        response = await self._read(deadline, lambda s: self._stub.GetItem(request, timeout=s))
        return items.stored_photo(response.item)

    async def page(
        self,
        listing_filter: ListingFilter,
        size: int,
        token: str,
        deadline: Deadline,
        *,
        vectors: bool = False,
    ) -> tuple[Sequence[StoredPhoto], str]:
        """Returns a page of photos in the order of writing, and the next page's token."""
        request = index_pb2.ListItemsRequest(
            collection=self.collection,
            filter=items.to_filter(listing_filter),
            page_size=size,
            page_token=token,
            view=index_pb2.ITEM_VIEW_VECTORS if vectors else index_pb2.ITEM_VIEW_FULL,
        )
        response = await self._read(deadline, lambda s: self._stub.ListItems(request, timeout=s))
        return [items.stored_photo(item) for item in response.items], response.next_page_token

    async def upsert(
        self, stored: StoredPhoto, deadline: Deadline, request_id: str = ""
    ) -> Written:
        """Writes a photo durably; creates the collection and its alias for the first one.

        Its features are written too, if the collection keeps features of that dimension.
        """
        assert stored.vector is not None
        try:
            response = await self._upsert(stored, request_id, deadline)
        except CollectionNotFoundError:
            await self._create(stored.vector, deadline)
            response = await self._upsert(stored, request_id, deadline)
        return Written(seq=response.seq, replaced=bool(response.replaced))

    async def delete(self, target: Target, deadline: Deadline, request_id: str) -> tuple[int, int]:
        """Deletes a photo, or all of a listing; returns their number and the write's `seq`."""
        request = index_pb2.BatchDeleteItemsRequest(
            collection=self.collection,
            item_ids=[target.item_id] if isinstance(target, ItemId) else (),
            product_ids=[target.product_id] if isinstance(target, ProductId) else (),
            request_id=request_id,
        )
        response = await self._written(
            deadline, lambda s: self._stub.BatchDeleteItems(request, timeout=s)
        )
        return response.deleted, response.seq

    async def refresh(self, timeout_s: float) -> ServingCollection | None:
        """Asks which collection the name stands for now; None if there is none yet."""
        try:
            async with self.calling():
                response = await self._stub.GetCollection(
                    index_pb2.GetCollectionRequest(name=self.collection), timeout=timeout_s
                )
        except CollectionNotFoundError:
            self._note_serving(None)
            return None
        found = response.collection
        if not found.features_dimension:
            self.can_rank = True  # nothing shows that it cannot
        self._note_serving(
            ServingCollection(
                found.name,
                found.embedding_space,
                found.features_dimension,
                finds_words=bool(found.text_attributes),
            )
        )
        return self.serving

    async def state(self, timeout_s: float) -> IndexState:
        """Asks for the state of the index."""
        async with self.calling():
            response = await self._stub.GetIndex(index_pb2.GetIndexRequest(), timeout=timeout_s)
        held = {
            state.name: CollectionStats(
                state.items,
                state.items_with_features,
                state.feature_rows_in_memory,
                state.most_candidates,
            )
            for state in response.collections
        }
        return IndexState(response.backend, response.read_only, response.applied_seq, held)

    async def count(self, timeout_s: float) -> tuple[int, int]:
        """Returns the numbers of photos and of listings."""
        async with self.calling():
            response = await self._stub.CountItems(
                index_pb2.CountItemsRequest(collection=self.collection), timeout=timeout_s
            )
        return response.items, response.products

    def _read(self, deadline: Deadline, call: _Call[T], kept_s: float = 0.0) -> Awaitable[T]:
        return self.in_hop("search", self.read_latencies, deadline, call, kept_s)

    def _written(self, deadline: Deadline, call: _Call[T]) -> Awaitable[T]:
        return self.in_hop("write", self._write_latencies, deadline, call)

    async def _find(
        self, request: index_pb2.FindNeighborsRequest, deadline: Deadline, kept_s: float = 0.0
    ) -> index_pb2.FindNeighborsResponse:
        try:
            response = await self._read(
                deadline, lambda s: self._stub.FindNeighbors(request, timeout=s), kept_s
            )
        except InvalidArgumentError as error:
            if why := queries.why_not_ranked(error, request):
                raise RankingUnavailableError(why, field="ranking") from None
            raise
        self._learn(response)
        # An older index answers, but ignores the ranking that was asked for.
        if request.HasField("rerank") and not self.can_rank:
            raise RankingUnavailableError(queries.INDEX_TOO_OLD, field="ranking")
        return response

    def _note_words(self, response: index_pb2.FindNeighborsResponse) -> None:
        """Raises WordsUnavailableError if an index of an earlier version ignored the words."""
        neighbors = response.results[0].neighbors
        if neighbors and not neighbors[0].HasField("fused_score"):
            raise WordsUnavailableError(
                "the index is of an earlier version, which finds no words: update it", field="text"
            )

    def _learn(self, response: index_pb2.FindNeighborsResponse) -> None:
        dimension, known = response.features_dimension, self.serving
        if dimension:
            self.can_rank = True
        elif known and known.collection == response.collection and known.features_dimension:
            # An index that can rank reports the dimension; assume this one cannot, until `refresh`.
            self.can_rank = False
            dimension = known.features_dimension
        words = bool(known and known.collection == response.collection and known.finds_words)
        self._note_serving(
            ServingCollection(response.collection, response.embedding_space, dimension, words)
        )

    async def _upsert(
        self, stored: StoredPhoto, request_id: str, deadline: Deadline
    ) -> index_pb2.BatchUpsertItemsResponse:
        assert stored.vector is not None
        features = stored.vector.features
        try:
            return await self._write(items.item(stored, features), request_id, deadline)
        except InvalidArgumentError as error:
            # The collection keeps features of another dimension, or none. Let the index decide
            # rather than what was seen last: the alias may have moved since, and features left out
            # by mistake would stay missing.
            if error.field != _FEATURES_FIELD or not features:
                raise
            return await self._write(items.item(stored), request_id, deadline)

    async def _write(
        self, item: index_pb2.Item, request_id: str, deadline: Deadline
    ) -> index_pb2.BatchUpsertItemsResponse:
        request = index_pb2.BatchUpsertItemsRequest(
            collection=self.collection, items=[item], request_id=request_id
        )
        return await self._written(
            deadline, lambda s: self._stub.BatchUpsertItems(request, timeout=s)
        )

    async def _create(self, vector: PhotoVector, deadline: Deadline) -> None:
        """Creates a collection for the vector's embedding space, and its alias.

        Several gateways may do so at once: they create the same collection and the same alias.
        """
        name = collection_name(self.collection, vector.embedding_space)
        collection = index_pb2.Collection(
            name=name,
            embedding_space=vector.embedding_space,
            dimension=len(vector.values),
            indexed_attributes=INDEXED_ATTRIBUTES,
            text_attributes=TEXT_ATTRIBUTES,
            features_dimension=len(vector.features),
        )
        allowed_s = deadline.allow_s("search", LatencyWindow())
        with deadline.hop("search"):
            with contextlib.suppress(CollectionExistsError):
                async with self.calling():
                    await self._stub.CreateCollection(
                        index_pb2.CreateCollectionRequest(collection=collection), timeout=allowed_s
                    )
            # Another gateway may have been quicker, or the alias may lead to a newer collection.
            if await self.refresh(deadline.remaining_s) is not None:
                return
            # If another client created a collection of that name first, use that one.
            with contextlib.suppress(CollectionExistsError):
                async with self.calling():
                    await self._stub.SetAlias(
                        index_pb2.SetAliasRequest(name=self.collection, collection=name),
                        timeout=deadline.remaining_s,
                    )
            await self.refresh(deadline.remaining_s)

    def _note_serving(self, serving: ServingCollection | None) -> None:
        if serving != self.serving:
            self.serving = serving
            self.serving_changed()
