"""Caches items by key. The item of a key never changes, so nothing here becomes stale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from index_service.records import Item


class ItemCache:
    """Holds a bounded number of items; when full, drops the older half. Thread-safe.

    Args:
        most: How many items.
    """

    def __init__(self, most: int) -> None:
        self._half = max(1, most // 2)
        self._newer: dict[int, Item] = {}
        self._older: dict[int, Item] = {}

    def known(self, keys: Sequence[int]) -> list[Item | None]:
        """Returns the item of each key; None if it is not cached."""
        newer, older = self._newer, self._older
        return [newer.get(key) or older.get(key) for key in keys]

    def keep(self, items: Mapping[int, Item]) -> None:
        """Adds items; the oldest ones are dropped."""
        self._newer.update(items)
        if len(self._newer) > self._half:
            self._older, self._newer = self._newer, {}
