"""Clients of the index, `IndexClient` and `AsyncIndexClient`, with their arguments and results."""

from lookalike.client.index.answers import (
    AliasSet,
    CollectionState,
    IndexState,
    ItemCount,
    ItemPage,
    ItemsDeleted,
    Neighbor,
    NeighborsFound,
    QueryResult,
    RangeFound,
    Snapshot,
    Upserted,
)
from lookalike.client.index.asynchronous import AsyncIndexClient
from lookalike.client.index.synchronous import IndexClient
from lookalike.client.index.values import (
    Collection,
    Example,
    Item,
    ItemFilter,
    ItemView,
    Metric,
    Query,
    Rerank,
)

__all__ = [
    "AliasSet",
    "AsyncIndexClient",
    "Collection",
    "CollectionState",
    "Example",
    "IndexClient",
    "IndexState",
    "Item",
    "ItemCount",
    "ItemFilter",
    "ItemPage",
    "ItemView",
    "ItemsDeleted",
    "Metric",
    "Neighbor",
    "NeighborsFound",
    "Query",
    "QueryResult",
    "RangeFound",
    "Rerank",
    "Snapshot",
    "Upserted",
]
