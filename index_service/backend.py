"""What the servicer asks of whoever keeps and searches the vectors. Knows none of them."""

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
    """Keeps collections and searches them.

    Wherever a collection's name is taken, an alias is too. Reads with a `min_seq` answer only with
    a state that includes that write. What a backend cannot do, it refuses with
    `NotSupportedError`; it never does something else instead.

    All raise `CollectionNotFoundError` where there is no such collection, `QueueFullError` when too
    much waits, and of what fits no collection the errors that `index_service.vectors` names.
    """

    async def create_collection(self, collection: Collection) -> None:
        """Creates it; raises CollectionExistsError if the name is taken, by an alias too."""
        ...

    async def collection(self, name: str) -> tuple[Collection, int]:
        """Returns a collection and its number of items."""
        ...

    async def collections(self) -> Sequence[tuple[Collection, int]]:
        """Returns all of them, by name."""
        ...

    async def delete_collection(self, name: str) -> int:
        """Returns how many items went with it; raises CollectionInUseError if an alias leads to it.

        Takes no alias.
        """
        ...

    async def set_alias(self, name: str, collection: str) -> tuple[str, int]:
        """Returns where the alias led before, or nothing, and the write's number.

        Raises CollectionExistsError if a collection has the name.
        """
        ...

    async def delete_alias(self, name: str) -> int:
        """Returns the write's number; raises AliasNotFoundError."""
        ...

    async def aliases(self) -> Mapping[str, str]:
        """Returns the collection that each alias leads to."""
        ...

    async def upsert_items(
        self,
        name: str,
        batch: Batch,
        request_id: str = "",
        placed: Callable[[], None] | None = None,
    ) -> Upserted:
        """Adds items or replaces those of the same id: all or none, durable and visible.

        Calls `placed` once it is certain that no later write comes before this one.
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
        self, name: str, only: Filter, *, size: int, after: int, view: View, min_seq: int = 0
    ) -> Page:
        """Returns at most `size` items that come after `after`: 0, or a `Page.following`."""
        ...

    async def count_items(self, name: str, only: Filter, min_seq: int = 0) -> Count:
        """Counts the items that the filter lets through."""
        ...

    async def find_neighbors(
        self, name: str, queries: Queries, search: Search, min_seq: int = 0
    ) -> Answer:
        """Finds the neighbours of each query; raises ItemNotFoundError for one by such an id."""
        ...

    async def search_range(
        self, name: str, query: Query, search: Search, min_seq: int = 0
    ) -> RangeAnswer:
        """Finds the nearest `search.k` of the items within `search.max_distance`; counts them."""
        ...

    async def create_snapshot(self) -> Snapshot:
        """Writes a copy of everything."""
        ...

    async def state(self) -> IndexState:
        """Describes how collections are searched."""
        ...
