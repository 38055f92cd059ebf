"""The protocol of backends, which store and search the vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

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


class Backend(Protocol):
    """Stores collections and searches them.

    Every argument that names a collection may be an alias, unless said otherwise. Reads with a
    `min_seq` answer only from a state that includes that write. A backend refuses what it cannot do
    with `NotSupportedError`; it never does something else instead.

    All methods raise `CollectionNotFoundError` if there is no such collection, `QueueFullError` if
    too many calls wait, and the errors named in `index_service.vectors` for vectors that do not fit
    the collection.
    """

    async def create_collection(self, collection: Collection) -> Collection:
        """Creates a collection and returns it as it is kept.

        A backend that finds no words keeps no `text_attributes`, so that its collections say so.
        Raises CollectionExistsError if a collection or an alias has the name.
        """
        ...

    async def collection(self, name: str) -> tuple[Collection, int]:
        """Returns a collection and its number of items."""
        ...

    async def collections(self) -> Sequence[tuple[Collection, int]]:
        """Returns all collections, by name."""
        ...

    async def delete_collection(self, name: str) -> int:
        """Deletes a collection, named by itself, and returns how many items it had.

        Raises CollectionInUseError if an alias points at it.
        """
        ...

    async def set_alias(self, name: str, collection: str) -> tuple[str, int]:
        """Points an alias at a collection; returns its previous target, or "", and the write's seq.

        Raises CollectionExistsError if a collection has the name.
        """
        ...

    async def delete_alias(self, name: str) -> int:
        """Deletes an alias and returns the write's seq; raises AliasNotFoundError."""
        ...

    async def aliases(self) -> Mapping[str, str]:
        """Returns the collection that each alias points at."""
        ...

    async def upsert_items(
        self,
        name: str,
        batch: Batch,
        request_id: str = "",
        placed: Callable[[], None] | None = None,
    ) -> Upserted:
        """Adds items or replaces those of the same id: all or none, durable and visible.

        Calls `placed` once no later write can take effect before this one.
        """
        ...

    async def delete_items(
        self, name: str, item_ids: Sequence[str], product_ids: Sequence[str], request_id: str = ""
    ) -> Deleted:
        """Deletes items by id, and all items of the products; unknown ids are skipped."""
        ...

    async def item(self, name: str, item_id: str, min_seq: int = 0) -> tuple[FullItem, Collection]:
        """Returns one item; raises ItemNotFoundError."""
        ...

    async def list_items(
        self, name: str, where: Filter, *, size: int, after: int, view: View, min_seq: int = 0
    ) -> Page:
        """Returns at most `size` items behind `after`: 0, or the `following` of a page."""
        ...

    async def count_items(self, name: str, where: Filter, min_seq: int = 0) -> Count:
        """Counts the items that the filter lets through."""
        ...

    async def find_neighbors(
        self, name: str, queries: Queries, search: Search, min_seq: int = 0
    ) -> Answer:
        """Finds the neighbours of each query.

        Raises ItemNotFoundError for an unknown item id, and WordsUnavailableError for words that
        the collection or the backend does not find.
        """
        ...

    async def search_range(
        self, name: str, query: Query, search: Search, min_seq: int = 0
    ) -> RangeAnswer:
        """Finds the nearest `search.k` items within `search.max_distance`, and counts all."""
        ...

    async def create_snapshot(self) -> Snapshot:
        """Writes a snapshot of everything."""
        ...

    async def state(self) -> IndexState:
        """Returns the state of the collections and how they are searched."""
        ...
