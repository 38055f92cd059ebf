"""The backend in front of a Milvus cluster: it stores nothing itself.

Translates each call into Milvus's terms and refuses what Milvus cannot do. The calls themselves
block, so they run in threads: reads in several, writes one after the other, in the order in which
they came.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from index_service.config import IndexSettings
from index_service.milvus import schema
from index_service.milvus.connection import (
    MAX_ROWS,
    MilvusConnection,
    MilvusSettings,
    StoredCollection,
)
from index_service.milvus.expressions import ID, PRODUCT_ID, matching, one_of
from index_service.milvus.listing import MilvusListing
from index_service.milvus.names import MilvusNames
from index_service.milvus.search import MilvusSearch
from index_service.milvus.selection import Selection
from index_service.milvus.unseen import UnseenWrites
from index_service.ranking.queries import NamedItem, ResolvedQueries, resolve
from index_service.records import (
    Answer,
    Batch,
    Collection,
    Count,
    Deleted,
    Filter,
    FullItem,
    IndexState,
    PackedVectors,
    Page,
    Queries,
    Query,
    RangeAnswer,
    Search,
    Snapshot,
    Upserted,
    View,
)
from index_service.refusals import item_not_found
from index_service.vectors import features_matrix, matrix
from index_service.workers import Workers
from lookalike.errors import NotSupportedError, WordsUnavailableError

__all__ = ["MilvusBackend", "MilvusSettings"]


def open_milvus(settings: IndexSettings) -> MilvusBackend:
    """Returns the backend for a service's settings; it connects at the first call."""
    return MilvusBackend(
        MilvusSettings(
            settings.milvus_uri,
            token=settings.milvus_token,
            database=settings.milvus_database,
            index=settings.milvus_index,
            ef_search=settings.milvus_search_effort,
            strong=settings.milvus_strong,
            timeout_s=settings.milvus_timeout_s,
            max_batch_bytes=settings.milvus_max_batch_bytes,
            threads=settings.milvus_threads,
            waiting=settings.max_waiting_reads,
        )
    )


class MilvusBackend:
    """A `Backend`; use as a context manager.

    Args:
        settings: Where Milvus is and how it is used.
    """

    def __init__(self, settings: MilvusSettings) -> None:
        self._settings = settings
        self._milvus = MilvusConnection(settings)
        self._names = MilvusNames(self._milvus)
        self._positions = schema.Positions()
        self._reads = Workers("reads", threads=settings.threads, waiting=settings.waiting)
        self._writes = Workers("writes", threads=1, waiting=settings.waiting)
        # Of its own: whoever asks how it is must not wait behind searches.
        self._states = Workers("states", threads=1, waiting=settings.waiting)
        # Writes wait here until reads see them, without holding up the next write.
        self._acknowledgements = Workers(
            "acknowledgements", threads=settings.threads, waiting=2 * settings.waiting
        )
        self._unseen = UnseenWrites()

    def close(self) -> None:
        """Waits for running calls, and closes the connection."""
        self._reads.close()
        self._states.close()
        self._writes.close()
        self._acknowledgements.close()
        self._milvus.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def create_collection(self, collection: Collection) -> Collection:
        """See `Backend`; keeps no `text_attributes`, since Milvus finds no words."""
        kept = replace(collection, text_attributes=())
        await self._writes.run(self._names.create, kept)
        return kept

    async def collection(self, name: str) -> tuple[Collection, int]:
        """See `Backend`."""
        return await self._reads.run(self._names.collection, name)

    async def collections(self) -> Sequence[tuple[Collection, int]]:
        """See `Backend`."""
        return await self._reads.run(self._names.collections)

    async def delete_collection(self, name: str) -> int:
        """See `Backend`."""
        return await self._writes.run(self._names.delete, name)

    async def set_alias(self, name: str, collection: str) -> tuple[str, int]:
        """See `Backend`."""
        return await self._writes.run(self._names.set_alias, name, collection)

    async def delete_alias(self, name: str) -> int:
        """See `Backend`."""
        return await self._writes.run(self._names.delete_alias, name)

    async def aliases(self) -> Mapping[str, str]:
        """See `Backend`."""
        return await self._reads.run(self._names.aliases)

    async def upsert_items(
        self,
        name: str,
        batch: Batch,
        request_id: str = "",
        placed: Callable[[], None] | None = None,
    ) -> Upserted:
        """See `Backend`."""
        _refuse_request_id(request_id)
        # Tasks start in the order in which they are created, and the single thread keeps it.
        writing = asyncio.ensure_future(self._writes.run(self._upsert_items, name, batch))
        if placed:
            placed()
        stored, done = await writing
        await self._acknowledgements.run(self._see, stored, done.seq)
        return done

    def _upsert_items(self, name: str, batch: Batch) -> tuple[StoredCollection, Upserted]:
        stored = self._milvus.collection(name)
        rows = self._rows(stored.collection, batch)
        if (size := sum(map(schema.size_of, rows))) > self._settings.max_batch_bytes:
            raise NotSupportedError(
                f"the batch has {size} bytes; Milvus writes at most "
                f"{self._settings.max_batch_bytes} all or none "
                "(LOOKALIKE_INDEX_MILVUS_MAX_BATCH_BYTES): send it in parts",
                field="items",
            )
        ids = [item.id for item in batch.items]
        read_ts = self._milvus.read_timestamp(stored, self._unseen.newest(stored.name, ids))
        before = self._milvus.query(stored, one_of(ID, ids), [ID], read_ts)
        seq = self._milvus.upsert(stored, rows)
        self._unseen.add(stored.name, ids, seq)
        return stored, Upserted(seq, inserted=len(rows) - len(before), replaced=len(before))

    def _see(self, stored: StoredCollection, seq: int) -> None:
        self._milvus.wait_until_seen(stored, seq)
        self._unseen.forget(stored.name, seq)

    def _rows(self, collection: Collection, batch: Batch) -> list[dict[str, Any]]:
        count = len(batch.items)
        vectors = matrix(batch.vectors, collection, [f"items[{i}].vector" for i in range(count)])
        paths = [f"items[{i}].features" for i in range(count)]
        sent = iter(features_matrix(batch.features, collection, paths))
        features = [schema.encoded(next(sent) if len(each) else None) for each in batch.features]
        positions = self._positions.take(count)
        return schema.rows(collection, batch.items, vectors, features, positions)

    async def delete_items(
        self, name: str, item_ids: Sequence[str], product_ids: Sequence[str], request_id: str = ""
    ) -> Deleted:
        """See `Backend`."""
        _refuse_request_id(request_id)
        stored, done = await self._writes.run(self._delete_items, name, item_ids, product_ids)
        await self._acknowledgements.run(self._see, stored, done.seq)
        return done

    def _delete_items(
        self, name: str, item_ids: Sequence[str], product_ids: Sequence[str]
    ) -> tuple[StoredCollection, Deleted]:
        stored = self._milvus.collection(name)
        named = [(ID, item_ids), (PRODUCT_ID, product_ids)]
        condition = " or ".join(one_of(field, values) for field, values in named if values)
        unseen = self._unseen.newest(stored.name, None if product_ids else item_ids)
        # Milvus deletes by primary key: the rows that a condition matches must be found first.
        read_ts = self._milvus.read_timestamp(stored, unseen)
        rows = self._milvus.query(stored, condition, [ID], read_ts)
        if len(rows) >= MAX_ROWS:
            raise NotSupportedError(
                f"this deletes {MAX_ROWS} items or more; Milvus deletes fewer at once, all or "
                "none: name fewer products",
                field="product_ids",
            )
        if not rows:
            return stored, Deleted(self._milvus.now(), 0)
        ids = [row[ID] for row in rows]
        seq = self._milvus.delete(stored, one_of(ID, ids))
        self._unseen.add(stored.name, ids, seq)
        return stored, Deleted(seq, len(rows))

    async def item(self, name: str, item_id: str, min_seq: int = 0) -> tuple[FullItem, Collection]:
        """See `Backend`."""
        return await self._reads.run(self._item, name, item_id, min_seq)

    def _item(self, name: str, item_id: str, min_seq: int) -> tuple[FullItem, Collection]:
        stored = self._milvus.collection(name)
        fields = [*schema.FULL_FIELDS, *_vector_fields(stored.collection)]
        read_ts = self._milvus.read_timestamp(stored, min_seq)
        found = self._milvus.named(stored, [item_id], fields, read_ts)
        if item_id not in found:
            raise item_not_found(stored.collection, item_id, "item_id")
        return schema.full_item_of(found[item_id]), stored.collection

    async def list_items(
        self,
        name: str,
        where: Filter,
        *,
        size: int,
        after: int,
        view: View,
        min_seq: int = 0,
    ) -> Page:
        """See `Backend`."""
        return await self._reads.run(
            lambda: self._listing(name, where, min_seq).page(size, after, view)
        )

    async def count_items(
        self,
        name: str,
        where: Filter,
        min_seq: int = 0,
    ) -> Count:
        """See `Backend`."""
        return await self._reads.run(lambda: self._listing(name, where, min_seq).count())

    def _listing(self, name: str, where: Filter, min_seq: int) -> MilvusListing:
        return MilvusListing(self._selection(self._milvus.collection(name), where, min_seq))

    def _selection(self, stored: StoredCollection, where: Filter, min_seq: int) -> Selection:
        read_ts = self._milvus.read_timestamp(stored, min_seq)
        return Selection(self._milvus, stored, read_ts, matching(where, stored.collection))

    async def find_neighbors(
        self, name: str, queries: Queries, search: Search, min_seq: int = 0
    ) -> Answer:
        """See `Backend`."""
        return await self._reads.run(self._find_neighbors, name, queries, search, min_seq)

    def _find_neighbors(self, name: str, queries: Queries, search: Search, min_seq: int) -> Answer:
        _refuse_words(queries)
        stored = self._milvus.collection(name)
        if search.exact and not stored.exact:
            raise NotSupportedError(
                f"collection '{stored.collection.name}' has the index {stored.index} in Milvus, by "
                "which no search is exact; create one with LOOKALIKE_INDEX_MILVUS_INDEX=FLAT",
                field="exact",
            )
        selection = self._selection(stored, search.filter, min_seq)
        resolved = _resolve(selection, queries, search)
        found = MilvusSearch(selection, search).neighbors(list(resolved))
        return Answer(found, selection.read_ts, stored.collection)

    async def search_range(
        self, name: str, query: Query, search: Search, min_seq: int = 0
    ) -> RangeAnswer:
        """See `Backend`."""
        return await self._reads.run(self._search_range, name, query, search, min_seq)

    def _search_range(self, name: str, query: Query, search: Search, min_seq: int) -> RangeAnswer:
        stored = self._milvus.collection(name)
        selection = self._selection(stored, search.filter, min_seq)
        (resolved,) = _resolve(selection, [query], search)
        found, total = MilvusSearch(selection, search).within(resolved)
        return RangeAnswer(found, total, selection.read_ts, stored.collection)

    async def create_snapshot(self) -> Snapshot:
        """Raises NotSupportedError."""
        raise NotSupportedError(
            "Milvus makes no snapshots by itself; back the cluster up with milvus-backup"
        )

    async def state(self) -> IndexState:
        """See `Backend`."""
        return await self._states.run(self._names.state)


def _resolve(selection: Selection, queries: Queries, search: Search) -> ResolvedQueries[str]:
    def read(ids: Sequence[str], with_features: bool) -> dict[str, NamedItem[str]]:
        fields = [ID, PRODUCT_ID, schema.VECTOR, *([schema.FEATURES] if with_features else [])]
        rows = selection.named(ids, fields)
        return {
            item_id: NamedItem(
                item_id, row[PRODUCT_ID], schema.vector_of(row), schema.features_of(row)
            )
            for item_id, row in rows.items()
        }

    return resolve(queries, selection.collection, search, read)


def _vector_fields(collection: Collection) -> list[str]:
    return [schema.VECTOR, *([schema.FEATURES] if collection.features_dimension else [])]


def _refuse_request_id(request_id: str) -> None:
    if request_id:
        raise NotSupportedError(
            "Milvus cannot remember request ids; leave request_id empty: to send the same batch "
            "again leaves the same items",
            field="request_id",
        )


def _refuse_words(queries: Queries) -> None:
    if isinstance(queries, PackedVectors):
        return
    for number, query in enumerate(queries):
        if query.words:
            field = f"queries[{number}].words"
            raise WordsUnavailableError(
                f"{field} are set, and the milvus backend finds no words; the native one does "
                "(LOOKALIKE_INDEX_BACKEND=native): leave words out, or search there",
                field=field,
            )
