"""The collections: every rule that holds between the store of record and the segments in memory.

Thread-safe, and blocking: callers run it in threads. Reads take no lock: they hold on to the state
that was current when they began. A write builds the next state inside its transaction, commits,
and swaps one reference, which cannot fail, so the two never disagree. Knows neither protos nor SQL.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from index_service.records import (
    Answer,
    Collection,
    Deleted,
    Item,
    Matrix,
    Neighbor,
    QueryAnswer,
    Search,
    Upserted,
    Vector,
)
from index_service.segments import Probe, Segment
from index_service.store import Store
from index_service.vectors import matrix
from lookalike.errors import CollectionExistsError, CollectionNotFoundError, ItemNotFoundError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Live:
    """A collection as it was after some write."""

    key: int
    collection: Collection
    segment: Segment


@dataclass(frozen=True, slots=True)
class _State:
    """Everything that reads see, as it was after write `seq`."""

    seq: int
    live: Mapping[str, Live]


class Catalog:
    """All collections, by name.

    Args:
        store: The store of record, open.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._writing = threading.Lock()
        self._state = _State(0, {})

    def load(self) -> None:
        """Reads every vector into memory; call once, first."""
        live = {}
        for key, collection in self._store.collections().items():
            started = time.perf_counter()
            contents = self._store.contents(key, collection.dimension)
            segment = Segment.empty(collection.dimension, collection.metric)
            live[collection.name] = Live(key, collection, segment.with_items(*contents))
            logger.info(
                "collection loaded",
                extra={
                    "collection": collection.name,
                    "items": len(contents.ids),
                    "duration_ms": round((time.perf_counter() - started) * 1e3, 3),
                },
            )
        self._state = _State(self._store.seq(), live)

    def collections(self) -> list[tuple[Collection, int]]:
        """Returns all collections with their numbers of items, by name."""
        state = self._state
        return [(live.collection, len(live.segment)) for _, live in sorted(state.live.items())]

    def collection(self, name: str) -> tuple[Collection, int]:
        """Returns one collection and its number of items."""
        live = _find(self._state, name)
        return live.collection, len(live.segment)

    def create(self, collection: Collection) -> None:
        """Creates a collection; raises CollectionExistsError if the name is taken."""
        with self._writing:
            if collection.name in self._state.live:
                raise CollectionExistsError(
                    f"there is a collection '{collection.name}' already",
                    resource=("collection", collection.name),
                )
            with self._store.transaction() as write:
                key = write.create_collection(collection)
                segment = Segment.empty(collection.dimension, collection.metric)
            self._publish(write.seq, Live(key, collection, segment))

    def delete(self, name: str) -> int:
        """Deletes a collection; returns how many items went with it."""
        with self._writing:
            live = _find(self._state, name)
            with self._store.transaction() as write:
                deleted = write.delete_collection(live.key)
            rest = {other: kept for other, kept in self._state.live.items() if other != name}
            self._state = _State(write.seq, rest)
            return deleted

    def upsert_items(self, name: str, items: Sequence[Item], vectors: Sequence[Vector]) -> Upserted:
        """Adds items, each id once, or replaces those of the same id: all or none.

        Raises:
            EmbeddingSpaceMismatchError, InvalidArgumentError: A vector does not fit.
            StorageFullError: The disk is full; nothing was kept.
        """
        with self._writing:
            live = _find(self._state, name)
            fields = [f"items[{i}].vector" for i in range(len(vectors))]
            rows = matrix(vectors, live.collection, fields)
            with self._store.transaction() as write:
                inserted = write.upsert(live.key, items, rows)
                segment = live.segment.with_items(
                    [item.id for item in items], [item.product_id for item in items], rows
                )
            self._publish(write.seq, replace(live, segment=segment))
            return Upserted(write.seq, inserted, len(items) - inserted)

    def delete_items(
        self, name: str, item_ids: Sequence[str], product_ids: Sequence[str]
    ) -> Deleted:
        """Deletes items by id, and all items of the products; unknown ids are skipped."""
        with self._writing:
            live = _find(self._state, name)
            with self._store.transaction() as write:
                gone = write.delete(live.key, item_ids, product_ids)
                segment = live.segment.without_items(gone)
            self._publish(write.seq, replace(live, segment=segment))
            return Deleted(write.seq, len(gone))

    def item(self, name: str, item_id: str) -> tuple[Item, Matrix, Collection]:
        """Returns an item, its vector and its collection."""
        live = _find(self._state, name)
        if (found := self._store.item(live.key, item_id)) is None:
            raise _no_item(item_id, name, "item_id")
        return (*found, live.collection)

    def find(self, name: str, queries: Sequence[Vector | str], search: Search) -> Answer:
        """Finds the neighbours of each query: a vector, or the id of an item."""
        for _ in range(2):
            with suppress(_OvertakenError):
                return self._find(name, queries, search)
        with self._writing:  # nothing changes now, so this search is not overtaken
            return self._find(name, queries, search)

    def _find(self, name: str, queries: Sequence[Vector | str], search: Search) -> Answer:
        state = self._state
        live = _find(state, name)
        found = live.segment.search(_probes(live, queries), search)
        ids = list({hit.item_id for hits in found for hit in hits})
        items = self._store.items(live.key, ids)
        if len(items) < len(ids) or any(stored.seq > state.seq for stored in items.values()):
            raise _OvertakenError
        results = [
            QueryAnswer(
                [Neighbor(items[hit.item_id].item, hit.distance) for hit in hits],
                len(live.segment),
                _shortfall(len(hits), query, search),
            )
            for query, hits in zip(queries, found, strict=True)
        ]
        return Answer(results, state.seq, live.collection.embedding_space)

    def _publish(self, seq: int, live: Live) -> None:
        self._state = _State(seq, {**self._state.live, live.collection.name: live})


class _OvertakenError(Exception):
    """The store has changed items that a search found before memory followed: search again."""


def _find(state: _State, name: str) -> Live:
    if (live := state.live.get(name)) is None:
        raise CollectionNotFoundError(
            f"there is no collection '{name}'", resource=("collection", name)
        )
    return live


def _probes(live: Live, queries: Sequence[Vector | str]) -> list[Probe]:
    sent = {i: query for i, query in enumerate(queries) if isinstance(query, Vector)}
    fields = [f"queries[{i}].vector" for i in sent]
    vectors = dict(zip(sent, matrix(list(sent.values()), live.collection, fields), strict=True))
    return [
        Probe(vectors[i])
        if isinstance(query, Vector)
        else _probe_of_item(live, query, f"queries[{i}].item_id")
        for i, query in enumerate(queries)
    ]


def _probe_of_item(live: Live, item_id: str, field: str) -> Probe:
    if (row := live.segment.row(item_id)) is None:
        raise _no_item(item_id, live.collection.name, field)
    return Probe(live.segment.vectors[row], row)


def _no_item(item_id: str, collection: str, field: str) -> ItemNotFoundError:
    return ItemNotFoundError(
        f"collection '{collection}' has no item '{item_id}'",
        field=field,
        resource=("item", item_id),
    )


def _shortfall(found: int, query: Vector | str, search: Search) -> str:
    """Says why a query got fewer than `k` neighbours; empty if it got `k`."""
    if found == search.k:
        return ""
    noun = "product" if search.distinct_products else "item"
    other = "other " if isinstance(query, str) else ""
    left_out = bool(search.exclude_product_ids) or search.exclude_same_product
    besides = " besides those left out" if left_out else ""
    return f"the collection has {found or 'no'} {other}{noun}{'s' * (found != 1)}{besides}"
