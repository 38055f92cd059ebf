"""Remembers the writes that reads may not see yet.

Before a write, the rows that it replaces are counted. Reads see a write only after some time, so
that count has to wait, but only if it is about items that were written just before.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence


class UnseenWrites:
    """The newest writes of each collection, by the items that they changed; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._unseen: dict[str, dict[str, int]] = {}

    def add(self, collection: str, item_ids: Sequence[str], seq: int) -> None:
        """Adds a write."""
        with self._lock:
            self._unseen.setdefault(collection, {}).update(dict.fromkeys(item_ids, seq))

    def newest(self, collection: str, item_ids: Sequence[str] | None = None) -> int:
        """Returns the newest unseen write to one of the items, or to any item if None; else 0."""
        with self._lock:
            unseen = self._unseen.get(collection, {})
            if item_ids is None:
                return max(unseen.values(), default=0)
            return max((unseen[key] for key in item_ids if key in unseen), default=0)

    def forget(self, collection: str, seq: int) -> None:
        """Forgets this write, and all before it, as reads see them now."""
        with self._lock:
            unseen = self._unseen.get(collection, {})
            self._unseen[collection] = {key: at for key, at in unseen.items() if at > seq}
            if not self._unseen[collection]:
                del self._unseen[collection]
