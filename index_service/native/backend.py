"""The backend of one machine: SQLite as store of record, all that is searched in memory."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import numpy as np

from index_service.config import IndexSettings
from index_service.native import changes
from index_service.native.batching import SearchBatcher
from index_service.native.catalog import Catalog
from index_service.native.changes import Operation
from index_service.native.disk import snapshot as snapshots
from index_service.native.finder import Finder
from index_service.native.item_cache import ItemCache
from index_service.native.maintenance import Maintenance
from index_service.native.memory import loading
from index_service.native.memory.state import CollectionSnapshot, State
from index_service.native.reads import Reads
from index_service.native.search.second_stage import most_candidates
from index_service.native.store.database import Store
from index_service.native.store.word_reader import DamagedWordsError
from index_service.native.writer import R, Writer
from index_service.records import (
    Answer,
    Batch,
    Collection,
    CollectionState,
    Count,
    Deleted,
    Filter,
    FullItem,
    IndexState,
    Method,
    PackedVectors,
    Page,
    Queries,
    Query,
    RangeAnswer,
    Search,
    Snapshot,
    Upserted,
    Vector,
    View,
)
from index_service.workers import Workers
from lookalike.cpu import available_cores
from lookalike.errors import ReadOnlyError, StorageFullError

# Items that are validated so quickly that a change of threads would cost more.
_FEW_ITEMS = 16


class _Published:
    """The state that readers see, and the lock under which it is replaced."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.writing = threading.Lock()

    def current(self) -> State:
        return self.state

    def publish(self, state: State) -> None:
        self.state = state


@contextmanager
def open_native(settings: IndexSettings) -> Iterator[NativeBackend]:
    """Opens the data directory, which no other process may use, or a snapshot to read.

    Raises:
        StoreCorruptedError, StartupError: It cannot be served.
    """
    directory, read_only = settings.data_dir, settings.read_only
    with ExitStack() as stack:
        if read_only:
            snapshots.verify(directory)
        store = stack.enter_context(Store(directory / snapshots.DATABASE, read_only=read_only))
        state = loading.load(store, directory / snapshots.CACHE, settings.max_feature_bytes)
        published = _Published(state)
        threads = settings.search_threads or available_cores()
        pool = Workers("reads", threads=threads, waiting=settings.max_waiting_reads)
        stack.enter_context(pool)
        # Separate from the reads, which would otherwise wait behind large batches.
        batches = Workers("batches", threads=1, waiting=settings.max_waiting_writes)
        stack.enter_context(batches)
        cache = ItemCache(settings.max_cached_items)
        reads = Reads(store, cache, published.current, published.writing)
        finder = Finder(reads)
        writer = maintenance = None
        if not read_only:
            maintenance = Maintenance(
                store,
                finder,
                directory / snapshots.CACHE,
                current=published.current,
                publish=published.publish,
                writing=published.writing,
                threads=max(1, threads // 2),  # the others go on serving
            )
            stack.enter_context(maintenance)
            writer = stack.enter_context(
                Writer(
                    store,
                    current=published.current,
                    publish=published.publish,
                    writing=published.writing,
                    waiting=settings.max_waiting_writes,
                )
            )
        yield NativeBackend(
            settings=settings,
            store=store,
            reads=reads,
            finder=finder,
            pool=pool,
            batches=batches,
            writer=writer,
            maintenance=maintenance,
        )


class NativeBackend:
    """Implements `Backend`."""

    def __init__(
        self,
        *,
        settings: IndexSettings,
        store: Store,
        reads: Reads,
        finder: Finder,
        pool: Workers,
        batches: Workers,
        writer: Writer | None,
        maintenance: Maintenance | None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._reads = reads
        self._catalog = Catalog(reads)
        self._finder = finder
        self._batcher = SearchBatcher(finder.find_in_memory)
        self._pool = pool
        self._batches = batches
        self._writer = writer
        self._maintenance = maintenance

    async def create_collection(self, collection: Collection) -> Collection:
        await self._write(changes.create_collection(collection))
        return collection

    async def collection(self, name: str) -> tuple[Collection, int]:
        snapshot = self._reads.state().find(name)
        return snapshot.collection, len(snapshot.segments)

    async def collections(self) -> Sequence[tuple[Collection, int]]:
        state = self._reads.state()
        return [
            (snapshot.collection, len(snapshot.segments))
            for _, snapshot in sorted(state.collections.items())
        ]

    async def delete_collection(self, name: str) -> int:
        return await self._write(changes.delete_collection(name))

    async def set_alias(self, name: str, collection: str) -> tuple[str, int]:
        return await self._write(changes.set_alias(name, collection))

    async def delete_alias(self, name: str) -> int:
        return await self._write(changes.delete_alias(name))

    async def aliases(self) -> Mapping[str, str]:
        return self._reads.state().aliases

    async def upsert_items(
        self,
        name: str,
        batch: Batch,
        request_id: str = "",
        placed: Callable[[], None] | None = None,
    ) -> Upserted:
        if len(batch.items) < _FEW_ITEMS:
            operation = self._upsert(name, batch, request_id)
        else:
            operation = await self._batches.run(self._upsert, name, batch, request_id)
        answer = self._submitted(operation)
        if placed:
            placed()
        return await answer

    async def delete_items(
        self, name: str, item_ids: Sequence[str], product_ids: Sequence[str], request_id: str = ""
    ) -> Deleted:
        operation = changes.delete_items(name, item_ids, product_ids)
        if request_id:
            digest = changes.digest("delete", name, list(item_ids), list(product_ids))
            operation = changes.once(operation, request_id, digest, Deleted)
        return await self._write(operation)

    async def item(self, name: str, item_id: str, min_seq: int = 0) -> tuple[FullItem, Collection]:
        return await self._pool.run(self._catalog.item, name, item_id, min_seq)

    async def list_items(
        self, name: str, where: Filter, *, size: int, after: int, view: View, min_seq: int = 0
    ) -> Page:
        listed = self._catalog.list_items
        return await self._pool.run(
            listed, name, where, size=size, after=after, view=view, min_seq=min_seq
        )

    async def count_items(self, name: str, where: Filter, min_seq: int = 0) -> Count:
        return await self._pool.run(self._catalog.count, name, where, min_seq)

    async def find_neighbors(
        self, name: str, queries: Queries, search: Search, min_seq: int = 0
    ) -> Answer:
        answer = None
        if not isinstance(queries, PackedVectors) and self._finder.is_quick(name, queries, search):
            answer = await self._batcher.find(name, queries, search, min_seq)
        if answer is None:
            answer = await self._find(name, queries, search, min_seq)
        if self._maintenance and answer.results[0].method is Method.APPROXIMATE:
            self._observe(self._maintenance, answer, queries, search)
        return answer

    async def _find(self, name: str, queries: Queries, search: Search, min_seq: int) -> Answer:
        try:
            return await self._pool.run(self._finder.find, name, queries, search, min_seq)
        except DamagedWordsError as error:
            if self._writer is None:
                raise self._store.corrupted(str(error)) from error
            await self._write(changes.rebuild_words(name, str(error)))
        return await self._pool.run(self._finder.find, name, queries, search, min_seq)

    async def search_range(
        self, name: str, query: Query, search: Search, min_seq: int = 0
    ) -> RangeAnswer:
        return await self._pool.run(self._finder.search_range, name, query, search, min_seq)

    async def create_snapshot(self) -> Snapshot:
        return await self._pool.run(self._snapshot)

    async def state(self) -> IndexState:
        return self.current_state()

    def current_state(self) -> IndexState:
        """Returns the state; from any thread."""
        state = self._reads.state()
        return IndexState(
            "native",
            self._settings.read_only,
            state.seq,
            [self._collection_state(snapshot) for _, snapshot in sorted(state.collections.items())],
        )

    def waiting_writes(self) -> int:
        """Returns how many writes wait for the writer; from any thread."""
        return self._writer.waiting if self._writer else 0

    def _collection_state(self, snapshot: CollectionSnapshot) -> CollectionState:
        parts, name = snapshot.segments.parts, snapshot.collection.name
        recall = self._maintenance.recall.get(name) if self._maintenance else None
        row_bytes = {part: part.rows.part(slice(part.size)).nbytes for part in parts}
        return CollectionState(
            name,
            items=len(snapshot.segments),
            items_in_graph=sum(part.in_graph for part in parts),
            deleted_rows=sum(part.dead_count for part in parts),
            memory_bytes=sum(
                row_bytes[part] + part.size + (part.graph.nbytes if part.graph else 0)
                for part in parts
            ),
            recall=recall.share if recall else None,
            recall_samples=recall.samples if recall else 0,
            ef_search=snapshot.ef_search if any(part.graph for part in parts) else 0,
            items_with_features=sum(
                int(np.count_nonzero(part.rows.scales[: part.size][~part.dead[: part.size]]))
                for part in parts
            ),
            feature_rows_in_memory=sum(part.size for part in parts if part.has_features),
            most_candidates=most_candidates(snapshot.segments) or 0,
            embedding_space=snapshot.collection.embedding_space,
            target_recall=snapshot.collection.target_recall,
        )

    async def _write(self, operation: Operation[R]) -> R:
        return await self._submitted(operation)

    def _submitted(self, operation: Operation[R]) -> asyncio.Future[R]:
        return asyncio.wrap_future(self._writable().submit(operation))

    def _writable(self) -> Writer:
        if self._writer is None:
            raise ReadOnlyError(
                "this index serves a snapshot and takes no writes; send them to the index that "
                "the snapshot is of"
            )
        return self._writer

    def _upsert(self, name: str, batch: Batch, request_id: str) -> Operation[Upserted]:
        self._writable()
        if request_id:
            # Validated when it is the batch's turn: a retry gets its first answer again, even if
            # the collection has changed since.
            operation = changes.Upsert(name, batch)
            digest = changes.digest_of_batch(name, batch)
            return changes.once(operation, request_id, digest, Upserted)
        # Here rather than in the writer's thread, which then gets good batches only.
        validated = changes.validate(self._reads.state().find(name), batch)
        return changes.Upsert(name, batch, validated)

    def _snapshot(self) -> Snapshot:
        self._writable()
        assert self._maintenance is not None
        self._maintenance.save()
        try:
            with self._maintenance.saving:
                return snapshots.create(self._settings.data_dir, self._store)
        except OSError as error:
            raise StorageFullError(
                f"the snapshot could not be written ({error.strerror}); nothing of it is left"
            ) from error

    def _observe(
        self, maintenance: Maintenance, answer: Answer, queries: Queries, search: Search
    ) -> None:
        if isinstance(queries, PackedVectors) or not isinstance(queries[0].target, Vector):
            return
        vector = np.array(queries[0].target.values, np.float32)
        maintenance.observe(answer.collection.name, vector, search)
