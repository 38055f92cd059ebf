"""Items that were read before, by key. A key's item never changes, so nothing here gets stale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from index_service.records import Item


class ItemCache:
    """A bounded number of items; when it is full, the older half goes. Thread-safe.

    Args:
        most: How many items.
    """

    def __init__(self, most: int) -> None:
        self._half = max(1, most // 2)
        self._newer: dict[int, Item] = {}
        self._older: dict[int, Item] = {}

    def known(self, keys: Sequence[int]) -> list[Item | None]:
        """Returns each key's item, or None where it is not here."""
        newer, older = self._newer, self._older
        return [newer.get(key) or older.get(key) for key in keys]

    def keep(self, items: Mapping[int, Item]) -> None:
        """Keeps items, and lets go of those that came longest ago."""
        self._newer.update(items)
        if len(self._newer) > self._half:
            self._older, self._newer = self._newer, {}
