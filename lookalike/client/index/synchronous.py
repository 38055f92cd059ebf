"""The blocking client of the index."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from lookalike.channel import MAX_MESSAGE_BYTES, TLS
from lookalike.client.calling import BlockingCaller
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


class IndexClient(BlockingCaller):
    """A client of the index service; may be shared by threads.

    For callers with vectors of their own; callers with photos use `Client`, whose gateway calls the
    index. It connects at the first call. Use it as a context manager, or `close` it. A pickled
    client connects anew in the process that unpickles it.

    Wherever a collection's name is asked for, an alias will do. Every error is a
    `lookalike.LookalikeError` with `code`, `reason` and `message`, never one of gRPC's.

    Args:
        index: `host:port`, or `dns:///name:port` to spread calls over its addresses.
        timeout: Default seconds for a call with all its retries.
        retries: How often a call that met UNAVAILABLE is tried again, 0 to 4, with growing pauses.
        tls: As for `Client`.
        token: Likewise.
        insecure_token: Likewise.
        max_message_bytes: Largest message either way; the service's own limit holds too.

    Raises:
        InvalidArgumentError: An argument is invalid, or the token would be sent in plaintext.
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

    def create_collection(
        self, collection: Collection, *, timeout: float | None = None
    ) -> Collection:
        """Creates a collection and returns it; CollectionExistsError if the name is taken."""
        return self._call(calls.create_collection(collection), timeout)

    def ensure_collection(
        self, collection: Collection, *, timeout: float | None = None
    ) -> Collection:
        """Creates a collection unless its name is taken; returns the one of that name.

        It may differ from what was asked for.
        """
        try:
            return self.create_collection(collection, timeout=timeout)
        except CollectionExistsError:
            return self.collection(collection.name, timeout=timeout)

    def collection(self, name: str, *, timeout: float | None = None) -> Collection:
        """Describes a collection; CollectionNotFoundError if there is none of that name."""
        return self._call(calls.get_collection(name), timeout)

    def collections(self, *, timeout: float | None = None) -> tuple[Collection, ...]:
        """Describes all collections, by name."""
        return self._call(calls.list_collections(), timeout)

    def delete_collection(self, name: str, *, timeout: float | None = None) -> int:
        """Deletes a collection, to which no alias may lead; returns how many items it had."""
        return self._call(calls.delete_collection(name), timeout)

    def set_alias(self, name: str, collection: str, *, timeout: float | None = None) -> AliasSet:
        """Points an alias at a collection; atomically, if it pointed at another one before."""
        return self._call(calls.set_alias(name, collection), timeout)

    def aliases(self, *, timeout: float | None = None) -> dict[str, str]:
        """Returns the collection that each alias leads to."""
        return self._call(calls.list_aliases(), timeout)

    def delete_alias(self, name: str, *, timeout: float | None = None) -> int:
        """Deletes an alias, not what it leads to; returns the write's number."""
        return self._call(calls.delete_alias(name), timeout)

    def upsert(
        self,
        collection: str,
        items: Sequence[Item],
        *,
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> Upserted:
        """Adds items, replacing those of the same id; all or none.

        When it returns, they are on disk and visible to the next search.

        Args:
            collection: Where to.
            items: 1 to 10,000, each id once.
            request_id: A key that marks a call as a repetition of an earlier one, even from another
                process; None makes one, which covers this call's own retries.
            timeout: Seconds for this call; None for the client's.
        """
        return self._call(calls.upsert(collection, items, request_id), timeout)

    def upsert_many(
        self,
        collection: str,
        items: Iterable[Item],
        *,
        batch_size: int = calls.BATCH_SIZE,
        timeout: float | None = None,
    ) -> Iterator[Upserted]:
        """Adds any number of items in batches; yields the answer to each, as it comes.

        The iterable is read as batches are written. An error ends it; batches that were answered
        stay written, and to send them again changes nothing.

        Args:
            collection: Where to.
            items: Any number.
            batch_size: Most items of one batch; fewer where they would not fit into a message.
            timeout: Seconds for each batch; None for the client's.
        """
        batches = calls.Batches(collection, batch_size, self._options.max_message_bytes)
        return self._upsert_many(batches, items, timeout)

    def delete(
        self,
        collection: str,
        *,
        item_ids: Sequence[str] = (),
        product_ids: Sequence[str] = (),
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> ItemsDeleted:
        """Deletes items, all or none; one that does not exist is no error.

        Args:
            collection: Where from.
            item_ids: Their ids; with `product_ids`, 1 to 10,000 together.
            product_ids: Products of which every item is deleted.
            request_id: As for `upsert`.
            timeout: Seconds for this call; None for the client's.
        """
        return self._call(calls.delete(collection, item_ids, product_ids, request_id), timeout)

    def get(
        self, collection: str, item_id: str, *, min_seq: int = 0, timeout: float | None = None
    ) -> Item:
        """Returns one item with its vectors; ItemNotFoundError if there is none.

        Args:
            collection: Where to look.
            item_id: Its id.
            min_seq: Take this write into account (`Upserted.seq`).
            timeout: Seconds for this call; None for the client's.
        """
        return self._call(calls.get(collection, item_id, min_seq), timeout)

    def items(
        self,
        collection: str,
        where: ItemFilter | None = None,
        *,
        view: ItemView = ItemView.FULL,
        page_size: int | None = None,
    ) -> Iterator[Item]:
        """Yields the items of a collection in the order of writing, fetched page by page.

        An item that is written again meanwhile comes once more.

        Args:
            collection: Which.
            where: Which items count.
            view: How much of each.
            page_size: Items a call, at most 1,000; None for as many as fit.
        """
        token = ""
        while True:
            page = self.page(collection, where, view=view, page_size=page_size, page_token=token)
            yield from page.items
            if not (token := page.next_page_token):
                return

    def page(
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
        """Returns one page of a collection.

        Args:
            collection: Which.
            where: Which items count.
            view: How much of each.
            page_size: How many, at most 1,000; None for as many as fit.
            page_token: `next_page_token` of the page before, with all else as it was then.
            min_seq: As for `get`.
            timeout: Seconds for this call; None for the client's.
        """
        call = calls.page(
            collection,
            where,
            view=view,
            page_size=page_size,
            page_token=page_token,
            min_seq=min_seq,
        )
        return self._call(call, timeout)

    def count(
        self,
        collection: str,
        where: ItemFilter | None = None,
        *,
        min_seq: int = 0,
        timeout: float | None = None,
    ) -> ItemCount:
        """Counts items and their products."""
        return self._call(calls.count(collection, where, min_seq), timeout)

    def neighbors(
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
        """Finds the items nearest to each query.

        Args:
            collection: Where to look.
            queries: One or up to 1,000: the id of an item, which itself is left out; an
                `Embedding`; or a `Query` of several.
            k: How many neighbours each query wants, 1 to 1,000.
            where: Which items may be found.
            distinct_products: At most one item of each product, the nearest.
            exclude_same_product: Also leave out the other items of a queried item's product.
            max_distance: Only items at most this far by vector.
            rerank: Rank candidates again by their features.
            exact: Compare every item that may be found, also in a large collection.
            min_seq: As for `get`.
            view: How much of each item; its vectors are only in what `get` and `items` return.
            timeout: Seconds for this call; None for the client's.
        """
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
        return self._call(call, timeout)

    def search_range(
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
        """Finds all items within a distance of a query; always exact.

        Args:
            collection: Where to look.
            query: As for `neighbors`.
            max_distance: By the collection's metric.
            limit: At most this many of them, the nearest; 1 to 10,000.
            where: Which items may be found.
            distinct_products: At most one item of each product, the nearest.
            min_seq: As for `get`.
            view: As for `neighbors`.
            timeout: Seconds for this call; None for the client's.
        """
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
        return self._call(call, timeout)

    def create_snapshot(self, *, timeout: float | None = None) -> Snapshot:
        """Writes a copy from which the index can be restored; a large one takes minutes."""
        return self._call(calls.create_snapshot(), timeout)

    def state(self, *, timeout: float | None = None) -> IndexState:
        """Describes the service: its newest write, and how each collection is searched."""
        return self._call(calls.state(), timeout)

    def _upsert_many(
        self, batches: calls.Batches, items: Iterable[Item], timeout: float | None
    ) -> Iterator[Upserted]:
        for item in items:
            if call := batches.add(item):
                yield self._call(call, timeout)
        if call := batches.rest():
            yield self._call(call, timeout)
