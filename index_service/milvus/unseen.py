"""Remembers which items were written that reads may not see yet. Knows nothing of Milvus.

A write asks first which of its items are there. Reads see a write only after some time; so this
question has to wait, but only where it is about items that were written just before.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence


class UnseenWrites:
    """The newest writes of each collection, by the items that they touched; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._unseen: dict[str, dict[str, int]] = {}

    def add(self, collection: str, item_ids: Sequence[str], seq: int) -> None:
        """Notes a write."""
        with self._lock:
            self._unseen.setdefault(collection, {}).update(dict.fromkeys(item_ids, seq))

    def newest(self, collection: str, item_ids: Sequence[str] | None = None) -> int:
        """Returns the number of the newest unseen write to one of the items, or to any; else 0."""
        with self._lock:
            unseen = self._unseen.get(collection, {})
            if item_ids is None:
                return max(unseen.values(), default=0)
            return max((unseen[key] for key in item_ids if key in unseen), default=0)

    def forget(self, collection: str, seq: int) -> None:
        """Notes that reads see this write, and all before it."""
        with self._lock:
            unseen = self._unseen.get(collection, {})
            self._unseen[collection] = {key: at for key, at in unseen.items() if at > seq}
            if not self._unseen[collection]:
                del self._unseen[collection]
