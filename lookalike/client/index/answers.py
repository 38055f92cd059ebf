"""Results of the index's clients: frozen dataclasses, independent of protos and gRPC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lookalike.client.index.values import Item


@dataclass(frozen=True)
class Neighbor:
    """An item near a query.

    Attributes:
        item: The item, without its vectors.
        distance: Distance by the collection's metric; of re-ranked candidates, the sum that ranked
            them.
        vector_distance: Distance by the collection's metric, always.
        fused_score: What it is ranked by where the query has words, larger for nearer; None where
            it has none. Of a query by words alone both distances are 0.
    """

    item: Item
    distance: float
    vector_distance: float
    fused_score: float | None = None


@dataclass(frozen=True)
class QueryResult:
    """The answer to one query; iterating gives its neighbours.

    Attributes:
        neighbors: Nearest first.
        exact: Whether every candidate was compared by vector, not those that a graph led to.
        complete: Whether nothing nearer can be missing, by what the neighbours are ranked by.
        shortfall: Why there are fewer than `k`; empty if there are `k`.
        candidates_scanned: How many vectors were compared with the query.
        candidates_ranked: How many candidates were ranked again by features.
        words_matched: How many items that may be found have one of the query's words.
    """

    neighbors: tuple[Neighbor, ...]
    exact: bool
    complete: bool
    shortfall: str = ""
    candidates_scanned: int = 0
    candidates_ranked: int = 0
    words_matched: int = 0

    def __iter__(self) -> Iterator[Neighbor]:
        """Yields the neighbours, nearest first."""
        return iter(self.neighbors)

    def __len__(self) -> int:
        """Returns the number of neighbours."""
        return len(self.neighbors)


@dataclass(frozen=True)
class NeighborsFound:
    """The answer of `neighbors`.

    Attributes:
        results: One for each query, in their order.
        applied_seq: The newest write that the answer takes into account.
        collection: Name of the collection that answered, where an alias was named.
        embedding_space: The collection's.
        features_dimension: The collection's.
    """

    results: tuple[QueryResult, ...]
    applied_seq: int
    collection: str
    embedding_space: str
    features_dimension: int = 0


@dataclass(frozen=True)
class RangeFound:
    """The answer of `search_range`.

    Attributes:
        neighbors: Nearest first.
        total: How many there are, also beyond the limit.
        applied_seq: The newest write that the answer takes into account.
        embedding_space: The collection's.
    """

    neighbors: tuple[Neighbor, ...]
    total: int
    applied_seq: int
    embedding_space: str


@dataclass(frozen=True)
class Upserted:
    """The answer of `upsert`: the write's number, and how many items were new and replaced."""

    seq: int
    inserted: int
    replaced: int


@dataclass(frozen=True)
class ItemsDeleted:
    """The answer of `delete`: the write's number, and how many items were there and are gone."""

    seq: int
    deleted: int


@dataclass(frozen=True)
class AliasSet:
    """The answer of `set_alias`: the write's number, and where it led before; empty if nowhere."""

    seq: int
    previous_collection: str = ""


@dataclass(frozen=True)
class ItemPage:
    """One page of a collection: items in the order of writing; the next page's token, or empty."""

    items: tuple[Item, ...]
    next_page_token: str = ""


@dataclass(frozen=True)
class ItemCount:
    """The answer of `count`: items, their products, and the newest write taken into account."""

    items: int
    products: int
    applied_seq: int


@dataclass(frozen=True)
class Snapshot:
    """A copy of the whole index in its data directory: its name, newest write and size."""

    name: str
    seq: int
    size_bytes: int


@dataclass(frozen=True)
class CollectionState:
    """How one collection is searched.

    Attributes:
        name: Of the collection.
        items: How many.
        items_in_graph: Of them, how many a graph leads to.
        deleted_rows: Rows of deleted items that compaction has not removed yet.
        memory_bytes: Of vectors, columns and the graph.
        recall: Share of the true neighbours that sampled approximate answers had; None without a
            sample.
        recall_samples: How many answers were in that sample.
        search_effort: How far the graph is searched (`efSearch` of HNSW).
        items_with_features: Of the items.
        feature_rows_in_memory: Rows whose features are in memory; those of others are read from
            the disk.
        most_candidates: How many candidates a query may rank because of that; 0 for any number.
    """

    name: str
    items: int
    items_in_graph: int = 0
    deleted_rows: int = 0
    memory_bytes: int = 0
    recall: float | None = None
    recall_samples: int = 0
    search_effort: int = 0
    items_with_features: int = 0
    feature_rows_in_memory: int = 0
    most_candidates: int = 0


@dataclass(frozen=True)
class IndexState:
    """The answer of `state`.

    Attributes:
        backend: `native` or `milvus`.
        read_only: Whether writes are refused.
        applied_seq: The newest write.
        collections: How each is searched, by name.
    """

    backend: str
    read_only: bool
    applied_seq: int
    collections: tuple[CollectionState, ...] = ()
