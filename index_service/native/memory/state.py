"""What readers see: everything as it was after some write, in values that never change.

Writes build the next state from the last one and swap one reference, so readers need no lock. Knows
neither protos nor SQL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from index_service.native.memory.columns import Codes
from index_service.native.memory.graph import LEAST_EFFORT
from index_service.native.memory.segments import Segments
from index_service.records import Collection
from lookalike.errors import CollectionNotFoundError


@dataclass(frozen=True, slots=True)
class Live:
    """A collection as it was after some write.

    Attributes:
        key: Its key in the store.
        segments: Its items.
        codes: Numbers of its categories, and of each indexed attribute's values; they only grow.
        effort: How far its graphs are searched.
    """

    key: int
    segments: Segments
    codes: tuple[Codes, ...]
    effort: int = LEAST_EFFORT

    @property
    def collection(self) -> Collection:
        """Its description."""
        return self.segments.collection


def empty(key: int, collection: Collection, feature_bytes: int) -> Live:
    """Returns a new collection, whose features may take some memory."""
    codes = tuple(Codes() for _ in range(1 + len(collection.indexed_attributes)))
    return Live(key, Segments(collection, feature_bytes=feature_bytes), codes)


@dataclass(frozen=True)
class State:
    """Everything, as it was after write `seq`; `feature_bytes` is for each new collection."""

    seq: int = 0
    live: Mapping[str, Live] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    feature_bytes: int = 0

    def find(self, name: str) -> Live:
        """Returns the collection that a name or an alias leads to."""
        if live := self.live.get(self.aliases.get(name, name)):
            return live
        raise CollectionNotFoundError(
            f"there is no collection or alias '{name}'", resource=("collection", name)
        )

    def with_live(self, live: Live) -> State:
        """Returns a state in which one collection is like this."""
        return replace(self, live={**self.live, live.collection.name: live})
