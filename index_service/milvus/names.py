"""Collections and aliases in Milvus. Knows nothing of items.

Two services may act at the same time, and Milvus has no transactions: what one of them has checked
may have changed when it acts. Milvus itself then refuses, except that a collection may be deleted
while an alias is being set to it.
"""

from __future__ import annotations

from collections.abc import Sequence

from index_service.milvus import schema
from index_service.milvus.connection import Kept, MilvusConnection
from index_service.records import Collection, CollectionState, IndexState
from lookalike.errors import (
    AliasNotFoundError,
    CollectionExistsError,
    CollectionInUseError,
    CollectionNotFoundError,
)


class MilvusNames:
    """What there is, by name; its methods block.

    Args:
        milvus: The connection.
    """

    def __init__(self, milvus: MilvusConnection) -> None:
        self._milvus = milvus

    def create(self, collection: Collection) -> None:
        """Creates it; raises CollectionExistsError."""
        if (taken := self._milvus.find(collection.name)) is not None:
            kind = "collection" if taken.collection.name == collection.name else "alias"
            raise CollectionExistsError(
                f"there is already a {kind} '{collection.name}'",
                resource=("collection", collection.name),
            )
        self._milvus.create(collection)

    def collection(self, name: str) -> tuple[Collection, int]:
        """Returns a collection and its number of items."""
        kept = self._milvus.kept(name)
        return kept.collection, self._count(kept)

    def collections(self) -> Sequence[tuple[Collection, int]]:
        """Returns all of them, by name."""
        return [(kept.collection, self._count(kept)) for kept in self._all()]

    def delete(self, name: str) -> int:
        """Returns how many items went with it; raises CollectionInUseError."""
        kept = self._milvus.kept(name)
        if kept.collection.name != name:
            raise CollectionNotFoundError(
                f"'{name}' is an alias; name the collection itself", resource=("collection", name)
            )
        if kept.aliases:
            raise CollectionInUseError(
                f"alias '{kept.aliases[0]}' leads to collection '{name}'; set or delete it first",
                metadata={"alias": kept.aliases[0]},
            )
        number = self._count(kept)
        self._milvus.drop(kept)
        return number

    def set_alias(self, name: str, collection: str) -> tuple[str, int]:
        """Returns where the alias led before, and the write's number."""
        before = self._milvus.find(name)
        if before is not None and before.collection.name == name:
            raise CollectionExistsError(
                f"'{name}' is a collection; an alias needs a name of its own",
                resource=("collection", name),
            )
        kept = self._milvus.kept(collection)
        self._milvus.set_alias(name, kept, exists=before is not None)
        previous = before.collection.name if before is not None else ""
        return previous, self._milvus.now()

    def delete_alias(self, name: str) -> int:
        """Returns the write's number; raises AliasNotFoundError."""
        before = self._milvus.find(name)
        if before is None or before.collection.name == name:
            raise AliasNotFoundError(f"there is no alias '{name}'", resource=("alias", name))
        self._milvus.drop_alias(name)
        return self._milvus.now()

    def aliases(self) -> dict[str, str]:
        """Returns the collection that each alias leads to."""
        return {alias: kept.collection.name for kept in self._all() for alias in kept.aliases}

    def state(self) -> IndexState:
        """Describes all."""
        now = self._milvus.now()
        states = [
            CollectionState(
                kept.collection.name,
                items=self._milvus.count(kept, "", now),
                items_in_graph=self._milvus.rows_in_graph(kept),
                search_effort=0 if kept.exact else self._milvus.settings.search_effort,
                items_with_features=self._with_features(kept, now),
            )
            for kept in self._all()
        ]
        return IndexState("milvus", read_only=False, applied_seq=now, collections=states)

    def _with_features(self, kept: Kept, point: int) -> int:
        if not kept.collection.features_dimension:
            return 0
        return self._milvus.count(kept, schema.HAS_FEATURES, point)

    def _count(self, kept: Kept) -> int:
        return self._milvus.count(kept, "", self._milvus.read_point(kept))

    def _all(self) -> list[Kept]:
        found = [self._milvus.find(name) for name in self._milvus.names()]
        return sorted((k for k in found if k is not None), key=lambda kept: kept.collection.name)
