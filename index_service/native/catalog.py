"""Reads of single items, of pages of them, and of their number. Knows neither protos nor SQL."""

from __future__ import annotations

import numpy as np

from index_service.native.memory.state import Live, State
from index_service.native.reads import OvertakenError, Reads
from index_service.native.search.filters import Condition
from index_service.records import Collection, Count, Filter, FullItem, Page, View

_NO_VECTOR = np.empty(0, np.float32)


class Catalog:
    """Answers what can be asked of items but their neighbours; blocking."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    def item(self, name: str, item_id: str, min_seq: int) -> tuple[FullItem, Collection]:
        """Returns one item; raises ItemNotFoundError."""

        def read(state: State) -> tuple[FullItem, Collection]:
            live = state.find(name)
            key, _ = self._reads.row_of(live, item_id, "item_id")
            found = self._reads.store.full_items([key])
            if key not in found:
                raise OvertakenError
            return found[key], live.collection

        return self._reads.read(read, min_seq)

    def list_items(
        self, name: str, only: Filter, *, size: int, after: int, view: View, min_seq: int
    ) -> Page:
        """Returns the first items with keys above `after`."""

        def read(state: State) -> Page:
            live = state.find(name)
            keys = _keys_after(live, self._reads.condition(live, only), after, size + 1)
            following = keys[size - 1] if len(keys) > size else 0
            keys = keys[:size]
            if view is View.VECTORS:
                full = self._reads.store.full_items(keys)
            else:
                items = self._reads.items(keys)
                full = {key: FullItem(item, _NO_VECTOR) for key, item in items.items()}
            if len(full) < len(keys):
                raise OvertakenError
            return Page([full[key] for key in keys], following, live.collection)

        return self._reads.read(read, min_seq)

    def count(self, name: str, only: Filter, min_seq: int) -> Count:
        """Counts the items that the filter lets through."""
        state = self._reads.state(min_seq)
        live = state.find(name)
        wanted = self._reads.condition(live, only)
        items = 0
        products = [np.empty(0, np.int32)]
        for part in live.segments.parts:
            allowed = wanted.of_segment(part)
            items += int(np.count_nonzero(allowed))
            products.append(np.unique(part.rows.products[: part.size][allowed]))
        return Count(items, len(np.unique(np.concatenate(products))), state.seq)


def _keys_after(live: Live, wanted: Condition, after: int, count: int) -> list[int]:
    keys: list[int] = []
    for part in live.segments.parts:
        own = part.rows.keys[: part.size]
        if len(keys) < count and part.size and own[-1] > after:
            allowed = own[wanted.of_segment(part)]
            start = int(np.searchsorted(allowed, after, side="right"))
            keys += allowed[start : start + count - len(keys)].tolist()
    return keys
