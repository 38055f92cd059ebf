"""What all reads share: the state that they see, and the item data that memory does not hold.

A read goes on with the state that was current when it began. The store may be a write ahead of it:
item data is read from there by an item's key, which always stands for the same content. If the item
is gone from the store, the state is stale, and the read is repeated with the next state.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import TypeVar

from index_service.native.item_cache import ItemCache
from index_service.native.memory.state import CollectionSnapshot, State
from index_service.native.search.filters import EVERY_ROW, Condition, condition
from index_service.native.store.database import Store
from index_service.records import NO_FILTER, Filter, Item
from lookalike.errors import IndexRecoveringError, StoreCorruptedError

R = TypeVar("R")

_RETRY_AFTER_MS = 200
ATTEMPTS = 5
_PUBLISHED_WITHIN_S = 0.1
_POLL_INTERVAL_S = 0.001


class StaleStateError(Exception):
    """The store has changed items that a read found in memory: read again."""


class Reads:
    """Reads consistently from memory and store; thread-safe, and blocking.

    Args:
        store: The store of record.
        items: A cache of items that were read before.
        current: Returns the state that readers see.
        writing: The lock held while that state is changed.
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
        """Returns what readers see; raises IndexRecoveringError if it is older than `min_seq`."""
        state = self._current()
        if state.seq < min_seq:
            raise IndexRecoveringError(
                f"the index has applied writes up to {state.seq}; min_seq is {min_seq}",
                field="min_seq",
                retry_after_ms=_RETRY_AFTER_MS,
            )
        return state

    def read(self, function: Callable[[State], R], min_seq: int = 0) -> R:
        """Returns the function's result for a state that stays current while it runs.

        Raises:
            StoreCorruptedError: The store lacks an item that memory has.
        """
        for _ in range(ATTEMPTS):
            state = self.state(min_seq)
            with suppress(StaleStateError):
                return function(state)
            self._await_other(state)
        with self._writing:  # nothing changes now
            try:
                return function(self.state(min_seq))
            except StaleStateError:
                raise self._lacking() from None

    def _lacking(self) -> StoreCorruptedError:
        return self.store.corrupted("it lacks items that were in it at start")

    def read_at_one_write(self, function: Callable[[State], R], min_seq: int = 0) -> R:
        """Returns the function's result for a state and the store as they were after one write.

        All that the function reads from the store is of that write. It takes no lock while it runs.

        Raises:
            StoreCorruptedError: The store lacks an item that memory has.
        """
        try:
            return self._read_at_one_write(function, min_seq)
        except StaleStateError:
            raise self._lacking() from None

    def _read_at_one_write(self, function: Callable[[State], R], min_seq: int) -> R:
        for _ in range(ATTEMPTS):
            state = self.state(min_seq)
            with self.store.at_one_write() as seq:
                if seq == state.seq:
                    return function(state)
            self._await_other(state)
        with ExitStack() as stack:
            with self._writing:  # nothing changes now
                state = self.state(min_seq)
                stack.enter_context(self.store.at_one_write())
            return function(state)

    def _await_other(self, state: State) -> None:
        # A committed state is published at once. Waiting for the lock instead would take seconds
        # beside a busy writer, who takes it again before other threads wake up.
        deadline = time.monotonic() + _PUBLISHED_WITHIN_S
        while self._current() is state and time.monotonic() < deadline:
            time.sleep(_POLL_INTERVAL_S)

    def items(self, keys: Sequence[int]) -> dict[int, Item]:
        """Returns items by key; raises StaleStateError if one of them is gone."""
        known = zip(keys, self.cache.known(keys), strict=True)
        found = {key: item for key, item in known if item is not None}
        if missing := [key for key in keys if key not in found]:
            read = self.store.items(missing)
            if len(read) < len(set(missing)):
                raise StaleStateError
            self.cache.keep(read)
            found |= read
        return found

    def row_of(self, snapshot: CollectionSnapshot, item_id: str) -> int | None:
        """Returns an item's row; None if there is no such item.

        Raises:
            StaleStateError: The item is newer than the state.
        """
        if (key := self.store.key(snapshot.key, item_id)) is None:
            return None
        if (row := snapshot.segments.row_of(key)) is None:
            raise StaleStateError
        return row

    def condition(self, snapshot: CollectionSnapshot, where: Filter) -> Condition:
        """Returns what a filter demands of the collection's columns."""
        if where == NO_FILTER:
            return EVERY_ROW
        return condition(
            where,
            snapshot.collection,
            snapshot.codes,
            lambda ids: self.store.product_numbers(snapshot.key, ids),
        )
