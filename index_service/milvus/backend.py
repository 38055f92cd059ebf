"""The index service as a front of a Milvus cluster: it keeps nothing itself.

Decides what each call means in Milvus and refuses what Milvus cannot do. The calls themselves,
which block, run in threads: reads in several, writes one after the other, in the order in which
they came. pymilvus is imported here and in the modules beside this one alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from index_service.config import IndexSettings
from index_service.milvus import schema
from index_service.milvus.connection import (
    MAX_ROWS,
    Kept,
    MilvusConnection,
    MilvusSettings,
)
from index_service.milvus.expressions import ID, PRODUCT_ID, matching, one_of
from index_service.milvus.listing import MilvusListing
from index_service.milvus.names import MilvusNames
from index_service.milvus.probes import Probe, probes
from index_service.milvus.search import MilvusSearch
from index_service.milvus.unseen import UnseenWrites
from index_service.records import (
    Answer,
    Batch,
    Collection,
    Count,
    Deleted,
    Filter,
    FullItem,
    IndexState,
    Page,
    Queries,
    Query,
    RangeAnswer,
    Search,
    Snapshot,
    Upserted,
    View,
)
from index_service.vectors import features_matrix, matrix
from index_service.workers import Workers
from lookalike.errors import (
    ItemNotFoundError,
    NotSupportedError,
)

__all__ = ["MilvusBackend", "MilvusSettings"]


def open_milvus(settings: IndexSettings) -> MilvusBackend:
    """Returns the backend for a service's settings; it connects at the first call."""
    return MilvusBackend(
        MilvusSettings(
            settings.milvus_uri,
            token=settings.milvus_token,
            database=settings.milvus_database,
            index=settings.milvus_index,
            search_effort=settings.milvus_search_effort,
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
        # What is written waits here until reads see it, and does not hold up the next write.
        self._acknowledgements = Workers(
            "acknowledgements", threads=settings.threads, waiting=2 * settings.waiting
        )
        self._unseen = UnseenWrites()

    def close(self) -> None:
        """Waits for what runs, and ends the connection."""
        self._reads.close()
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

    # -- collections ------------------------------------------------------------------------------

    async def create_collection(self, collection: Collection) -> None:
        """See `Backend`."""
        await self._writes.run(self._names.create, collection)

    async def collection(self, name: str) -> tuple[Collection, int]:
        """See `Backend`."""
        return await self._reads.run(self._names.collection, name)

    async def collections(self) -> Sequence[tuple[Collection, int]]:
        """See `Backend`."""
        return await self._reads.run(self._names.collections)

    async def delete_collection(self, name: str) -> int:
        """See `Backend`."""
        return await self._writes.run(self._names.delete, name)

    # -- aliases ----------------------------------------------------------------------------------

    async def set_alias(self, name: str, collection: str) -> tuple[str, int]:
        """See `Backend`."""
        return await self._writes.run(self._names.set_alias, name, collection)

    async def delete_alias(self, name: str) -> int:
        """See `Backend`."""
        return await self._writes.run(self._names.delete_alias, name)

    async def aliases(self) -> Mapping[str, str]:
        """See `Backend`."""
        return await self._reads.run(self._names.aliases)

    # -- writes -----------------------------------------------------------------------------------

    async def upsert_items(
        self,
        name: str,
        batch: Batch,
        request_id: str = "",
        placed: Callable[[], None] | None = None,
    ) -> Upserted:
        """See `Backend`."""
        _refuse_request_id(request_id)
        # Tasks begin in the order in which they are made, and the one thread keeps it.
        writing = asyncio.ensure_future(self._writes.run(self._upsert_items, name, batch))
        if placed:
            placed()
        kept, done = await writing
        await self._acknowledgements.run(self._see, kept, done.seq)
        return done

    def _upsert_items(self, name: str, batch: Batch) -> tuple[Kept, Upserted]:
        kept = self._milvus.kept(name)
        rows = self._rows(kept.collection, batch)
        if (size := sum(map(schema.size_of, rows))) > self._settings.max_batch_bytes:
            raise NotSupportedError(
                f"the batch has {size} bytes; Milvus writes at most "
                f"{self._settings.max_batch_bytes} all or none "
                "(LOOKALIKE_INDEX_MILVUS_MAX_BATCH_BYTES): send it in parts",
                field="items",
            )
        ids = [item.id for item in batch.items]
        point = self._milvus.read_point(kept, self._unseen.newest(kept.name, ids))
        before = self._milvus.query(kept, one_of(ID, ids), [ID], point)
        seq = self._milvus.upsert(kept, rows)
        self._unseen.add(kept.name, ids, seq)
        return kept, Upserted(seq, inserted=len(rows) - len(before), replaced=len(before))

    def _see(self, kept: Kept, seq: int) -> None:
        self._milvus.wait_until_seen(kept, seq)
        self._unseen.forget(kept.name, seq)

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
        kept, done = await self._writes.run(self._delete_items, name, item_ids, product_ids)
        await self._acknowledgements.run(self._see, kept, done.seq)
        return done

    def _delete_items(
        self, name: str, item_ids: Sequence[str], product_ids: Sequence[str]
    ) -> tuple[Kept, Deleted]:
        kept = self._milvus.kept(name)
        named = [(ID, item_ids), (PRODUCT_ID, product_ids)]
        condition = " or ".join(one_of(field, values) for field, values in named if values)
        unseen = self._unseen.newest(kept.name, None if product_ids else item_ids)
        # Milvus deletes by primary key: what a condition matches must be found first.
        rows = self._milvus.query(kept, condition, [ID], self._milvus.read_point(kept, unseen))
        if len(rows) >= MAX_ROWS:
            raise NotSupportedError(
                f"this deletes {MAX_ROWS} items or more; Milvus deletes fewer at once, all or "
                "none: name fewer products",
                field="product_ids",
            )
        if not rows:
            return kept, Deleted(self._milvus.now(), 0)
        ids = [row[ID] for row in rows]
        seq = self._milvus.delete(kept, one_of(ID, ids))
        self._unseen.add(kept.name, ids, seq)
        return kept, Deleted(seq, len(rows))

    # -- reads ------------------------------------------------------------------------------------

    async def item(self, name: str, item_id: str, min_seq: int = 0) -> tuple[FullItem, Collection]:
        """See `Backend`."""
        return await self._reads.run(self._item, name, item_id, min_seq)

    def _item(self, name: str, item_id: str, min_seq: int) -> tuple[FullItem, Collection]:
        kept = self._milvus.kept(name)
        fields = [*schema.FULL_FIELDS, *_vector_fields(kept.collection)]
        point = self._milvus.read_point(kept, min_seq)
        found = self._milvus.named(kept, [item_id], fields, point)
        if item_id not in found:
            raise ItemNotFoundError(
                f"collection '{kept.collection.name}' has no item '{item_id}'",
                field="item_id",
                resource=("item", item_id),
            )
        return schema.full_item_of(found[item_id]), kept.collection

    async def list_items(
        self,
        name: str,
        only: Filter,
        *,
        size: int,
        after: int,
        view: View,
        min_seq: int = 0,
    ) -> Page:
        """See `Backend`."""
        return await self._reads.run(
            lambda: self._listing(name, only, min_seq).page(size, after, view)
        )

    async def count_items(
        self,
        name: str,
        only: Filter,
        min_seq: int = 0,
    ) -> Count:
        """See `Backend`."""
        return await self._reads.run(lambda: self._listing(name, only, min_seq).count())

    def _listing(self, name: str, wanted: Filter, min_seq: int) -> MilvusListing:
        kept = self._milvus.kept(name)
        point = self._milvus.read_point(kept, min_seq)
        return MilvusListing(self._milvus, kept, point, matching(wanted, kept.collection))

    async def find_neighbors(
        self, name: str, queries: Queries, search: Search, min_seq: int = 0
    ) -> Answer:
        """See `Backend`."""
        return await self._reads.run(self._find_neighbors, name, queries, search, min_seq)

    def _find_neighbors(self, name: str, queries: Queries, search: Search, min_seq: int) -> Answer:
        kept = self._milvus.kept(name)
        if search.exact and not kept.exact:
            raise NotSupportedError(
                f"collection '{kept.collection.name}' has the index {kept.index} in Milvus, by "
                "which no search is exact; create one with LOOKALIKE_INDEX_MILVUS_INDEX=FLAT",
                field="exact",
            )
        point = self._milvus.read_point(kept, min_seq)
        sought = self._probes(kept, queries, search, point)
        condition = matching(search.filter, kept.collection)
        finder = MilvusSearch(self._milvus, kept, point, condition, search)
        return Answer(finder.neighbors(sought), point, kept.collection)

    async def search_range(
        self, name: str, query: Query, search: Search, min_seq: int = 0
    ) -> RangeAnswer:
        """See `Backend`."""
        return await self._reads.run(self._search_range, name, query, search, min_seq)

    def _search_range(self, name: str, query: Query, search: Search, min_seq: int) -> RangeAnswer:
        kept = self._milvus.kept(name)
        point = self._milvus.read_point(kept, min_seq)
        (probe,) = self._probes(kept, [query], search, point)
        condition = matching(search.filter, kept.collection)
        finder = MilvusSearch(self._milvus, kept, point, condition, search)
        found, total = finder.within(probe)
        return RangeAnswer(found, total, point, kept.collection)

    def _probes(self, kept: Kept, queries: Queries, search: Search, point: int) -> list[Probe]:
        fields = [ID, PRODUCT_ID, *_vector_fields(kept.collection)]
        return probes(
            queries,
            kept.collection,
            search,
            lambda ids: self._milvus.named(kept, ids, fields, point),
        )

    # -- the service ------------------------------------------------------------------------------

    async def create_snapshot(self) -> Snapshot:
        """Refused."""
        raise NotSupportedError(
            "Milvus makes no snapshots by itself; back the cluster up with milvus-backup"
        )

    async def state(self) -> IndexState:
        """See `Backend`."""
        return await self._reads.run(self._names.state)


def _vector_fields(collection: Collection) -> list[str]:
    return [schema.VECTOR, *([schema.FEATURES] if collection.features_dimension else [])]


def _refuse_request_id(request_id: str) -> None:
    if request_id:
        raise NotSupportedError(
            "Milvus cannot remember request ids; leave request_id empty: to send the same batch "
            "again leaves the same items",
            field="request_id",
        )
