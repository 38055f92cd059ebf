"""Defines each call once for both clients of the index: its request, and how its answer is read."""

from __future__ import annotations

from collections.abc import Sequence

from lookalike.client.calls import Call, new_request_id
from lookalike.client.index import messages
from lookalike.client.index.answers import (
    AliasSet,
    IndexState,
    ItemCount,
    ItemPage,
    ItemsDeleted,
    NeighborsFound,
    RangeFound,
    Snapshot,
    Upserted,
)
from lookalike.client.index.values import (
    Collection,
    Example,
    Item,
    ItemFilter,
    ItemView,
    Query,
    Rerank,
)
from lookalike.client.messages import strings
from lookalike.client.options import INDEX
from lookalike.client.results import Embedding
from lookalike.client.text import message
from lookalike.errors import InvalidArgumentError
from lookalike.index.v1 import index_pb2 as pb

BATCH_SIZE = 1000
PAGE_SIZE = 1000
PAGE_SIZE_WITH_VECTORS = 250  # so that a page of vectors and features fits into a message
# Bytes of a request beside its items: a collection's name, a request id, tags and lengths.
_FRAME_BYTES = 1024
_BYTES_BESIDE_ITEM = 8  # an item's tag and length


def create_collection(collection: Collection) -> Call[Collection]:
    """Creates a collection."""
    request = pb.CreateCollectionRequest(collection=messages.collection_message(collection))
    return Call(INDEX, "CreateCollection", request, lambda a: messages.collection(a.collection))


def get_collection(name: str) -> Call[Collection]:
    """Describes a collection."""
    request = message(pb.GetCollectionRequest)(name=name)
    return Call(INDEX, "GetCollection", request, lambda a: messages.collection(a.collection))


def list_collections() -> Call[tuple[Collection, ...]]:
    """Describes all collections."""

    def read(answer: pb.ListCollectionsResponse) -> tuple[Collection, ...]:
        return tuple(map(messages.collection, answer.collections))

    return Call(INDEX, "ListCollections", pb.ListCollectionsRequest(), read)


def delete_collection(name: str) -> Call[int]:
    """Deletes a collection with all its items."""
    request = message(pb.DeleteCollectionRequest)(name=name)
    return Call(INDEX, "DeleteCollection", request, lambda answer: int(answer.deleted_items))


def set_alias(name: str, collection: str) -> Call[AliasSet]:
    """Points an alias at a collection."""
    request = message(pb.SetAliasRequest)(name=name, collection=collection)
    return Call(INDEX, "SetAlias", request, messages.alias_set)


def list_aliases() -> Call[dict[str, str]]:
    """Lists the aliases, and where each leads."""

    def read(answer: pb.ListAliasesResponse) -> dict[str, str]:
        return {alias.name: alias.collection for alias in answer.aliases}

    return Call(INDEX, "ListAliases", pb.ListAliasesRequest(), read)


def delete_alias(name: str) -> Call[int]:
    """Deletes an alias."""
    request = message(pb.DeleteAliasRequest)(name=name)
    return Call(INDEX, "DeleteAlias", request, lambda answer: int(answer.seq))


def upsert(collection: str, items: Sequence[Item], request_id: str | None) -> Call[Upserted]:
    """Writes items, all or none."""
    sent = [messages.item_message(item, f"items[{i}]") for i, item in enumerate(items)]
    return _upsert(collection, sent, request_id)


class Batches:
    """Divides items into upserts small enough for a message.

    Args:
        collection: Where to write.
        size: Most items of one upsert.
        max_message_bytes: Largest request.
    """

    def __init__(self, collection: str, size: int, max_message_bytes: int) -> None:
        if size < 1:
            raise InvalidArgumentError(f"batch_size is {size}; it must be 1 or more")
        self._collection = collection
        self._size = size
        self._most_bytes = max_message_bytes - _FRAME_BYTES
        self._items: list[pb.Item] = []
        self._bytes = 0

    def add(self, item: Item) -> Call[Upserted] | None:
        """Takes an item; returns the upsert of those before it if it does not fit among them."""
        sent = messages.item_message(item)
        size = sent.ByteSize() + _BYTES_BESIDE_ITEM
        full = len(self._items) >= self._size or self._bytes + size > self._most_bytes
        ready = self.rest() if full else None
        self._items.append(sent)
        self._bytes += size
        return ready

    def rest(self) -> Call[Upserted] | None:
        """Returns the upsert of the items taken since the last one; None if there are none."""
        if not self._items:
            return None
        call = _upsert(self._collection, self._items, None)
        self._items, self._bytes = [], 0
        return call


def delete(
    collection: str, item_ids: Sequence[str], product_ids: Sequence[str], request_id: str | None
) -> Call[ItemsDeleted]:
    """Deletes items, all or none."""
    request = message(pb.BatchDeleteItemsRequest)(
        collection=collection,
        item_ids=strings(item_ids),
        product_ids=strings(product_ids),
        request_id=new_request_id() if request_id is None else request_id,
    )
    return Call(INDEX, "BatchDeleteItems", request, messages.deleted)


def get(collection: str, item_id: str, min_seq: int) -> Call[Item]:
    """Returns one item with its vectors."""
    request = message(pb.GetItemRequest)(collection=collection, item_id=item_id, min_seq=min_seq)
    return Call(INDEX, "GetItem", request, lambda answer: messages.item(answer.item))


def page(
    collection: str,
    where: ItemFilter | None,
    *,
    view: ItemView,
    page_size: int | None,
    page_token: str,
    min_seq: int,
) -> Call[ItemPage]:
    """Returns one page of a collection."""
    if page_size is None:
        page_size = PAGE_SIZE_WITH_VECTORS if view == ItemView.VECTORS else PAGE_SIZE
    request = message(pb.ListItemsRequest)(
        collection=collection,
        filter=messages.filter_message(where),
        page_size=page_size,
        page_token=page_token,
        view=messages.view(view),
        min_seq=min_seq,
    )
    return Call(INDEX, "ListItems", request, messages.page)


def count(collection: str, where: ItemFilter | None, min_seq: int) -> Call[ItemCount]:
    """Counts items and their products."""
    request = message(pb.CountItemsRequest)(
        collection=collection, filter=messages.filter_message(where), min_seq=min_seq
    )
    return Call(INDEX, "CountItems", request, messages.count)


def neighbors(
    collection: str,
    queries: Example | Query | Sequence[Example | Query],
    *,
    k: int,
    where: ItemFilter | None,
    distinct_products: bool,
    exclude_same_product: bool,
    max_distance: float | None,
    rerank: Rerank | None,
    exact: bool,
    min_seq: int,
    view: ItemView,
) -> Call[NeighborsFound]:
    """Finds the items nearest to each query."""
    # A str would be taken as a sequence of letters.
    several = (queries,) if isinstance(queries, str | Embedding | Query) else queries
    request = message(pb.FindNeighborsRequest)(
        collection=collection,
        queries=[messages.query_message(q, f"queries[{i}]") for i, q in enumerate(several)],
        k=k,
        filter=messages.filter_message(where),
        distinct_products=distinct_products,
        exclude_same_product=exclude_same_product,
        max_distance=max_distance,
        rerank=messages.rerank_message(rerank),
        exact=exact,
        min_seq=min_seq,
        view=messages.view(view),
    )
    return Call(INDEX, "FindNeighbors", request, messages.neighbors_found)


def search_range(
    collection: str,
    query: Example | Query,
    max_distance: float,
    *,
    limit: int,
    where: ItemFilter | None,
    distinct_products: bool,
    min_seq: int,
    view: ItemView,
) -> Call[RangeFound]:
    """Finds all items within a distance of a query."""
    request = message(pb.SearchRangeRequest)(
        collection=collection,
        query=messages.query_message(query, "query"),
        max_distance=max_distance,
        limit=limit,
        filter=messages.filter_message(where),
        distinct_products=distinct_products,
        min_seq=min_seq,
        view=messages.view(view),
    )
    return Call(INDEX, "SearchRange", request, messages.range_found)


def create_snapshot() -> Call[Snapshot]:
    """Writes a snapshot."""
    return Call(INDEX, "CreateSnapshot", pb.CreateSnapshotRequest(), messages.snapshot)


def state() -> Call[IndexState]:
    """Describes the service."""
    return Call(INDEX, "GetIndex", pb.GetIndexRequest(), messages.index_state)


def _upsert(collection: str, items: list[pb.Item], request_id: str | None) -> Call[Upserted]:
    request = message(pb.BatchUpsertItemsRequest)(
        collection=collection,
        items=items,
        request_id=new_request_id() if request_id is None else request_id,
    )
    return Call(INDEX, "BatchUpsertItems", request, messages.upserted)
