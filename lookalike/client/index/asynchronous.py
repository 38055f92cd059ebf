"""The index's asyncio client: the same calls as `IndexClient`, awaited."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Sequence

from lookalike.channel import MAX_MESSAGE_BYTES, TLS
from lookalike.client.asynchronous import as_async
from lookalike.client.calling import Caller
from lookalike.client.index import calls
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
from lookalike.client.options import DEFAULT_INDEX, ClientOptions, Token
from lookalike.errors import CollectionExistsError


class AsyncIndexClient(Caller):
    """A client of the index service for asyncio; may be shared by tasks of one loop.

    `IndexClient` documents the arguments. It connects at the first call, in that call's loop. Use
    it as an async context manager, or `aclose` it.
    """

    def __init__(
        self,
        index: str = DEFAULT_INDEX,
        *,
        timeout: float = 10.0,
        retries: int = 3,
        tls: bool | str | os.PathLike[str] | TLS = False,
        token: Token | None = None,
        insecure_token: bool = False,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
    ) -> None:
        options = ClientOptions(
            index=index,
            timeout=timeout,
            retries=retries,
            tls=TLS.of(tls),
            token=token,
            insecure_token=insecure_token,
            max_message_bytes=max_message_bytes,
        )
        super().__init__(options)

    async def create_collection(
        self, collection: Collection, *, timeout: float | None = None
    ) -> Collection:
        """See `IndexClient.create_collection`."""
        return await self._call(calls.create_collection(collection), timeout)

    async def ensure_collection(
        self, collection: Collection, *, timeout: float | None = None
    ) -> Collection:
        """See `IndexClient.ensure_collection`."""
        try:
            return await self.create_collection(collection, timeout=timeout)
        except CollectionExistsError:
            return await self.collection(collection.name, timeout=timeout)

    async def collection(self, name: str, *, timeout: float | None = None) -> Collection:
        """See `IndexClient.collection`."""
        return await self._call(calls.get_collection(name), timeout)

    async def collections(self, *, timeout: float | None = None) -> tuple[Collection, ...]:
        """See `IndexClient.collections`."""
        return await self._call(calls.list_collections(), timeout)

    async def delete_collection(self, name: str, *, timeout: float | None = None) -> int:
        """See `IndexClient.delete_collection`."""
        return await self._call(calls.delete_collection(name), timeout)

    async def set_alias(
        self, name: str, collection: str, *, timeout: float | None = None
    ) -> AliasSet:
        """See `IndexClient.set_alias`."""
        return await self._call(calls.set_alias(name, collection), timeout)

    async def aliases(self, *, timeout: float | None = None) -> dict[str, str]:
        """See `IndexClient.aliases`."""
        return await self._call(calls.list_aliases(), timeout)

    async def delete_alias(self, name: str, *, timeout: float | None = None) -> int:
        """See `IndexClient.delete_alias`."""
        return await self._call(calls.delete_alias(name), timeout)

    async def upsert(
        self,
        collection: str,
        items: Sequence[Item],
        *,
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> Upserted:
        """See `IndexClient.upsert`."""
        return await self._call(calls.upsert(collection, items, request_id), timeout)

    def upsert_many(
        self,
        collection: str,
        items: AsyncIterable[Item] | Iterable[Item],
        *,
        batch_size: int = calls.BATCH_SIZE,
        timeout: float | None = None,
    ) -> AsyncGenerator[Upserted, None]:
        """See `IndexClient.upsert_many`; the iterable may be asynchronous."""
        batches = calls.Batches(collection, batch_size, self._options.max_message_bytes)
        return self._upsert_many(batches, items, timeout)

    async def delete(
        self,
        collection: str,
        *,
        item_ids: Sequence[str] = (),
        product_ids: Sequence[str] = (),
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> ItemsDeleted:
        """See `IndexClient.delete`."""
        return await self._call(
            calls.delete(collection, item_ids, product_ids, request_id), timeout
        )

    async def get(
        self, collection: str, item_id: str, *, min_seq: int = 0, timeout: float | None = None
    ) -> Item:
        """See `IndexClient.get`."""
        return await self._call(calls.get(collection, item_id, min_seq), timeout)

    async def items(
        self,
        collection: str,
        where: ItemFilter | None = None,
        *,
        view: ItemView = ItemView.FULL,
        page_size: int | None = None,
    ) -> AsyncIterator[Item]:
        """See `IndexClient.items`."""
        token = ""
        while True:
            page = await self.page(
                collection, where, view=view, page_size=page_size, page_token=token
            )
            for item in page.items:
                yield item
            if not (token := page.next_page_token):
                return

    async def page(
        self,
        collection: str,
        where: ItemFilter | None = None,
        *,
        view: ItemView = ItemView.FULL,
        page_size: int | None = None,
        page_token: str = "",
        min_seq: int = 0,
        timeout: float | None = None,
    ) -> ItemPage:
        """See `IndexClient.page`."""
        call = calls.page(
            collection,
            where,
            view=view,
            page_size=page_size,
            page_token=page_token,
            min_seq=min_seq,
        )
        return await self._call(call, timeout)

    async def count(
        self,
        collection: str,
        where: ItemFilter | None = None,
        *,
        min_seq: int = 0,
        timeout: float | None = None,
    ) -> ItemCount:
        """See `IndexClient.count`."""
        return await self._call(calls.count(collection, where, min_seq), timeout)

    async def neighbors(
        self,
        collection: str,
        queries: Example | Query | Sequence[Example | Query],
        *,
        k: int = 10,
        where: ItemFilter | None = None,
        distinct_products: bool = False,
        exclude_same_product: bool = False,
        max_distance: float | None = None,
        rerank: Rerank | None = None,
        exact: bool = False,
        min_seq: int = 0,
        view: ItemView = ItemView.FULL,
        timeout: float | None = None,
    ) -> NeighborsFound:
        """See `IndexClient.neighbors`."""
        call = calls.neighbors(
            collection,
            queries,
            k=k,
            where=where,
            distinct_products=distinct_products,
            exclude_same_product=exclude_same_product,
            max_distance=max_distance,
            rerank=rerank,
            exact=exact,
            min_seq=min_seq,
            view=view,
        )
        return await self._call(call, timeout)

    async def search_range(
        self,
        collection: str,
        query: Example | Query,
        max_distance: float,
        *,
        limit: int = 1000,
        where: ItemFilter | None = None,
        distinct_products: bool = False,
        min_seq: int = 0,
        view: ItemView = ItemView.FULL,
        timeout: float | None = None,
    ) -> RangeFound:
        """See `IndexClient.search_range`."""
        call = calls.search_range(
            collection,
            query,
            max_distance,
            limit=limit,
            where=where,
            distinct_products=distinct_products,
            min_seq=min_seq,
            view=view,
        )
        return await self._call(call, timeout)

    async def create_snapshot(self, *, timeout: float | None = None) -> Snapshot:
        """See `IndexClient.create_snapshot`."""
        return await self._call(calls.create_snapshot(), timeout)

    async def state(self, *, timeout: float | None = None) -> IndexState:
        """See `IndexClient.state`."""
        return await self._call(calls.state(), timeout)

    async def _upsert_many(
        self,
        batches: calls.Batches,
        items: AsyncIterable[Item] | Iterable[Item],
        timeout: float | None,
    ) -> AsyncGenerator[Upserted, None]:
        async for item in as_async(items):
            if call := batches.add(item):
                yield await self._call(call, timeout)
        if call := batches.rest():
            yield await self._call(call, timeout)
