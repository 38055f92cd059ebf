"""Manages collections and aliases in Milvus.

Two services may act at the same time, and Milvus has no transactions: what one of them has checked
may have changed when it acts. Milvus itself then refuses, with one exception: a collection may be
deleted while an alias is being set to it.
"""

from __future__ import annotations

from collections.abc import Sequence

from index_service import refusals
from index_service.milvus import schema
from index_service.milvus.connection import MilvusConnection, StoredCollection
from index_service.records import Collection, CollectionState, IndexState


class MilvusNames:
    """Creates, finds and deletes collections and aliases; its methods block.

    Args:
        milvus: The connection.
    """

    def __init__(self, milvus: MilvusConnection) -> None:
        self._milvus = milvus

    def create(self, collection: Collection) -> None:
        """Creates a collection; raises CollectionExistsError."""
        if (taken := self._milvus.find(collection.name)) is not None:
            by_alias = taken.collection.name != collection.name
            raise refusals.name_taken(collection.name, by_alias=by_alias)
        self._milvus.create(collection)

    def collection(self, name: str) -> tuple[Collection, int]:
        """Returns a collection and its number of items."""
        stored = self._milvus.collection(name)
        return stored.collection, self._count(stored)

    def collections(self) -> Sequence[tuple[Collection, int]]:
        """Returns all collections, by name."""
        return [(stored.collection, self._count(stored)) for stored in self._all()]

    def delete(self, name: str) -> int:
        """Deletes a collection and returns how many items it had; raises CollectionInUseError."""
        stored = self._milvus.collection(name)
        if stored.collection.name != name:
            raise refusals.not_a_collection(name, is_alias=True)
        if stored.aliases:
            raise refusals.collection_in_use(name, stored.aliases[0])
        number = self._count(stored)
        self._milvus.drop(stored)
        return number

    def set_alias(self, name: str, collection: str) -> tuple[str, int]:
        """Points an alias at a collection; returns its previous target and the write's number."""
        before = self._milvus.find(name)
        if before is not None and before.collection.name == name:
            raise refusals.name_taken(name, by_alias=False)
        stored = self._milvus.collection(collection)
        self._milvus.set_alias(name, stored, exists=before is not None)
        previous = before.collection.name if before is not None else ""
        return previous, self._milvus.now()

    def delete_alias(self, name: str) -> int:
        """Deletes an alias and returns the write's number; raises AliasNotFoundError."""
        before = self._milvus.find(name)
        if before is None or before.collection.name == name:
            raise refusals.alias_not_found(name)
        self._milvus.drop_alias(name)
        return self._milvus.now()

    def aliases(self) -> dict[str, str]:
        """Returns the collection that each alias points at."""
        return {alias: stored.collection.name for stored in self._all() for alias in stored.aliases}

    def state(self) -> IndexState:
        """Returns the state of all collections."""
        now = self._milvus.now()
        states = [
            CollectionState(
                stored.collection.name,
                items=self._milvus.count(stored, "", now),
                items_in_graph=self._milvus.rows_in_graph(stored),
                ef_search=0 if stored.exact else self._milvus.settings.ef_search,
                items_with_features=self._with_features(stored, now),
                embedding_space=stored.collection.embedding_space,
            )
            for stored in self._all()
        ]
        return IndexState("milvus", read_only=False, applied_seq=now, collections=states)

    def _with_features(self, stored: StoredCollection, read_ts: int) -> int:
        if not stored.collection.features_dimension:
            return 0
        return self._milvus.count(stored, schema.HAS_FEATURES, read_ts)

    def _count(self, stored: StoredCollection) -> int:
        return self._milvus.count(stored, "", self._milvus.read_timestamp(stored))

    def _all(self) -> list[StoredCollection]:
        found = [self._milvus.find(name) for name in self._milvus.names()]
        return sorted(
            (k for k in found if k is not None), key=lambda stored: stored.collection.name
        )
