"""The state that readers see: an immutable snapshot of everything after some write.

A write builds the next state from the last one and replaces one reference, so readers need no lock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from index_service.native.memory.columns import Codes
from index_service.native.memory.graph import MIN_EF_SEARCH
from index_service.native.memory.segments import Segments
from index_service.records import Collection
from index_service.refusals import collection_not_found


@dataclass(frozen=True, slots=True)
class CollectionSnapshot:
    """A collection as it was after some write.

    Attributes:
        key: Its key in the store.
        segments: Its items.
        codes: Codes of its categories, and of the values of each indexed attribute; append-only.
        ef_search: Size of the candidate list with which its graphs are searched.
    """

    key: int
    segments: Segments
    codes: tuple[Codes, ...]
    ef_search: int = MIN_EF_SEARCH

    @property
    def collection(self) -> Collection:
        """Its definition."""
        return self.segments.collection


def empty(key: int, collection: Collection, feature_bytes: int) -> CollectionSnapshot:
    """Returns a new collection; `feature_bytes` is how much memory its features may take."""
    codes = tuple(Codes() for _ in range(1 + len(collection.indexed_attributes)))
    return CollectionSnapshot(key, Segments(collection, feature_bytes=feature_bytes), codes)


@dataclass(frozen=True)
class State:
    """All collections and aliases after write `seq`.

    Attributes:
        seq: Number of the write; 0 if there was none.
        collections: The collections by name.
        aliases: The name of the collection that each alias points at.
        feature_bytes: How much memory the features of a new collection may take.
    """

    seq: int = 0
    collections: Mapping[str, CollectionSnapshot] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    feature_bytes: int = 0

    def find(self, name: str) -> CollectionSnapshot:
        """Returns the collection of a name or an alias; raises CollectionNotFoundError."""
        if snapshot := self.collections.get(self.aliases.get(name, name)):
            return snapshot
        raise collection_not_found(name)

    def with_collection(self, snapshot: CollectionSnapshot) -> State:
        """Returns a state with this collection added or replaced."""
        return replace(self, collections={**self.collections, snapshot.collection.name: snapshot})
