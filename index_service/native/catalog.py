"""Reads single items, pages of items, and their number."""

from __future__ import annotations

import numpy as np

from index_service.native.memory.state import CollectionSnapshot, State
from index_service.native.reads import Reads, StaleStateError
from index_service.native.search.filters import Condition
from index_service.records import Collection, Count, Filter, FullItem, Page, View
from index_service.refusals import item_not_found

_NO_VECTOR = np.empty(0, np.float32)


class Catalog:
    """Answers every read but searches; blocking."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    def item(self, name: str, item_id: str, min_seq: int) -> tuple[FullItem, Collection]:
        """Returns one item; raises ItemNotFoundError."""

        def read(state: State) -> tuple[FullItem, Collection]:
            snapshot = state.find(name)
            if (row := self._reads.row_of(snapshot, item_id)) is None:
                raise item_not_found(snapshot.collection, item_id, "item_id")
            key = int(snapshot.segments.take("keys", np.array([row]))[0])
            found = self._reads.store.full_items([key])
            if key not in found:
                raise StaleStateError
            return found[key], snapshot.collection

        return self._reads.read(read, min_seq)

    def list_items(
        self, name: str, where: Filter, *, size: int, after: int, view: View, min_seq: int
    ) -> Page:
        """Returns the first items with keys above `after`."""

        def read(state: State) -> Page:
            snapshot = state.find(name)
            keys = _keys_after(snapshot, self._reads.condition(snapshot, where), after, size + 1)
            following = keys[size - 1] if len(keys) > size else 0
            keys = keys[:size]
            if view is View.VECTORS:
                full = self._reads.store.full_items(keys)
            else:
                items = self._reads.items(keys)
                full = {key: FullItem(item, _NO_VECTOR) for key, item in items.items()}
            if len(full) < len(keys):
                raise StaleStateError
            return Page([full[key] for key in keys], following, snapshot.collection)

        return self._reads.read(read, min_seq)

    def count(self, name: str, where: Filter, min_seq: int) -> Count:
        """Counts the items that the filter lets through."""
        state = self._reads.state(min_seq)
        snapshot = state.find(name)
        condition = self._reads.condition(snapshot, where)
        items = 0
        products = [np.empty(0, np.int32)]
        for part in snapshot.segments.parts:
            allowed = condition.of_segment(part)
            items += int(np.count_nonzero(allowed))
            products.append(np.unique(part.rows.products[: part.size][allowed]))
        return Count(items, len(np.unique(np.concatenate(products))), state.seq)


def _keys_after(
    snapshot: CollectionSnapshot, condition: Condition, after: int, count: int
) -> list[int]:
    keys: list[int] = []
    for part in snapshot.segments.parts:
        own = part.rows.keys[: part.size]
        if len(keys) < count and part.size and own[-1] > after:
            allowed = own[condition.of_segment(part)]
            start = int(np.searchsorted(allowed, after, side="right"))
            keys += allowed[start : start + count - len(keys)].tolist()
    return keys
