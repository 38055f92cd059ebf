"""What all reads have in common: the state they see, and what memory does not hold of an item.

A read goes on with the state that was current when it began. The store, though, may be a write
ahead of it: what memory does not hold comes from there by an item's key, which never stands for
anything else. If the item is gone there, the state was overtaken, and the read begins anew.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from index_service.native.item_cache import ItemCache
from index_service.native.memory.state import Live, State
from index_service.native.search.filters import EVERY_ROW, Condition, condition
from index_service.native.store.database import Store
from index_service.records import EVERYTHING, Filter, Item
from lookalike.errors import IndexRecoveringError, ItemNotFoundError

R = TypeVar("R")

_RETRY_AFTER_MS = 200
ATTEMPTS = 5
_PUBLISHED_WITHIN_S = 0.1
_LOOK_AGAIN_S = 0.001


class OvertakenError(Exception):
    """The store has changed items that a read found in memory: read again."""


class Reads:
    """Thread-safe, and blocking: whoever may not wait uses it in threads.

    Args:
        store: The store of record.
        items: Items that were read before.
        current: Returns the state that readers see.
        writing: Held by whoever changes it.
    """

    def __init__(
        self,
        store: Store,
        items: ItemCache,
        current: Callable[[], State],
        writing: threading.Lock,
    ) -> None:
        self.store = store
        self.cache = items
        self._current = current
        self._writing = writing

    def state(self, min_seq: int = 0) -> State:
        """Returns what readers see; raises IndexRecoveringError if it is of before `min_seq`."""
        state = self._current()
        if state.seq < min_seq:
            raise IndexRecoveringError(
                f"the index has applied writes up to {state.seq}; min_seq is {min_seq}",
                field="min_seq",
                retry_after_ms=_RETRY_AFTER_MS,
            )
        return state

    def read(self, function: Callable[[State], R], min_seq: int = 0) -> R:
        """Returns what the function makes of a state that is not overtaken on the way."""
        for _ in range(ATTEMPTS):
            state = self.state(min_seq)
            with suppress(OvertakenError):
                return function(state)
            # What was committed is published at once. To wait for the lock instead would take
            # seconds beside a busy writer, who takes it again before others have woken up.
            deadline = time.monotonic() + _PUBLISHED_WITHIN_S
            while self._current() is state and time.monotonic() < deadline:
                time.sleep(_LOOK_AGAIN_S)
        with self._writing:  # nothing changes now
            return function(self.state(min_seq))

    def items(self, keys: Sequence[int]) -> dict[int, Item]:
        """Returns items by key; raises OvertakenError if one of them is gone."""
        known = zip(keys, self.cache.known(keys), strict=True)
        found = {key: item for key, item in known if item is not None}
        if missing := [key for key in keys if key not in found]:
            read = self.store.items(missing)
            if len(read) < len(set(missing)):
                raise OvertakenError
            self.cache.keep(read)
            found |= read
        return found

    def row_of(self, live: Live, item_id: str, field: str) -> tuple[int, int]:
        """Returns an item's key and row.

        Raises:
            ItemNotFoundError: There is no such item.
            OvertakenError: It is newer than the state.
        """
        if (key := self.store.key(live.key, item_id)) is None:
            raise ItemNotFoundError(
                f"collection '{live.collection.name}' has no item '{item_id}'",
                field=field,
                resource=("item", item_id),
            )
        if (row := live.segments.row_of(key)) is None:
            raise OvertakenError
        return key, row

    def condition(self, live: Live, only: Filter) -> Condition:
        """Returns what a filter asks of the collection's columns."""
        if only == EVERYTHING:
            return EVERY_ROW
        return condition(
            only,
            live.collection,
            live.codes,
            lambda ids: self.store.product_numbers(live.key, ids),
        )
