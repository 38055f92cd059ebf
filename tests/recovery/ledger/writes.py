"""The writes that a client makes: how each is sent, and what it does to what the client holds.

Knows neither threads nor processes, and nothing of writes that fail.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from lookalike.index.v1 import index_pb2 as pb
from lookalike.index.v1.index_pb2_grpc import IndexServiceStub

TIMEOUT_S = 60.0

Key = tuple[str, str]
"""A collection's name, and the id of an item in it."""


class Answer(NamedTuple):
    """What the service says of a write; `seq` is 0 where it says none."""

    result: tuple[int | str, ...]
    seq: int = 0


@dataclass
class Held:
    """What the writes of one client have led to. Each client has items and names of its own."""

    items: dict[Key, pb.Item] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    collections: set[str] = field(default_factory=set)

    def copy(self) -> Held:
        """Returns a copy; items are shared, as nobody changes one."""
        return Held(dict(self.items), dict(self.aliases), set(self.collections))

    def in_collection(self, name: str) -> dict[str, pb.Item]:
        """Returns the items of a collection by id."""
        return {id_: item for (collection, id_), item in self.items.items() if collection == name}


class Write(Protocol):
    """One write."""

    def send(self, stub: IndexServiceStub) -> Answer:
        """Returns the service's answer."""
        ...

    def apply(self, held: Held) -> tuple[int | str, ...]:
        """Does to `held` what the write does to the index; returns what the answer must say."""
        ...


@dataclass(frozen=True)
class Upsert:
    """Writes items, all of them or none."""

    request: pb.BatchUpsertItemsRequest

    def send(self, stub: IndexServiceStub) -> Answer:
        return self.answer(stub.BatchUpsertItems(self.request, timeout=TIMEOUT_S))

    def answer(self, response: pb.BatchUpsertItemsResponse) -> Answer:
        return Answer((response.inserted, response.replaced), response.seq)

    def apply(self, held: Held) -> tuple[int | str, ...]:
        keys = [(self.request.collection, item.id) for item in self.request.items]
        replaced = sum(key in held.items for key in keys)
        held.items.update(zip(keys, self.request.items, strict=True))
        return len(keys) - replaced, replaced

    def altered(self) -> Upsert:
        """Returns another write of the same request id."""
        request = deepcopy(self.request)
        request.items[0].attributes["altered"] = "yes"
        return Upsert(request)


@dataclass(frozen=True)
class Delete:
    """Deletes items by id and by product."""

    request: pb.BatchDeleteItemsRequest

    def send(self, stub: IndexServiceStub) -> Answer:
        response = stub.BatchDeleteItems(self.request, timeout=TIMEOUT_S)
        return Answer((response.deleted,), response.seq)

    def apply(self, held: Held) -> tuple[int | str, ...]:
        ids, products = set(self.request.item_ids), set(self.request.product_ids)
        gone = [
            key
            for key, item in held.items.items()
            if key[0] == self.request.collection and (item.id in ids or item.product_id in products)
        ]
        for key in gone:
            del held.items[key]
        return (len(gone),)


@dataclass(frozen=True)
class Create:
    """Creates a collection."""

    collection: pb.Collection

    def send(self, stub: IndexServiceStub) -> Answer:
        request = pb.CreateCollectionRequest(collection=self.collection)
        created = stub.CreateCollection(request, timeout=TIMEOUT_S).collection
        return Answer((created.name,))

    def apply(self, held: Held) -> tuple[int | str, ...]:
        held.collections.add(self.collection.name)
        return (self.collection.name,)


@dataclass(frozen=True)
class Drop:
    """Deletes a collection."""

    name: str

    def send(self, stub: IndexServiceStub) -> Answer:
        request = pb.DeleteCollectionRequest(name=self.name)
        return Answer((stub.DeleteCollection(request, timeout=TIMEOUT_S).deleted_items,))

    def apply(self, held: Held) -> tuple[int | str, ...]:
        gone = held.in_collection(self.name)
        for item_id in gone:
            del held.items[self.name, item_id]
        held.collections.remove(self.name)
        return (len(gone),)


@dataclass(frozen=True)
class Switch:
    """Lets an alias lead to a collection."""

    alias: str
    collection: str

    def send(self, stub: IndexServiceStub) -> Answer:
        request = pb.SetAliasRequest(name=self.alias, collection=self.collection)
        response = stub.SetAlias(request, timeout=TIMEOUT_S)
        return Answer((response.previous_collection,), response.seq)

    def apply(self, held: Held) -> tuple[int | str, ...]:
        previous = held.aliases.get(self.alias, "")
        held.aliases[self.alias] = self.collection
        return (previous,)


@dataclass(frozen=True)
class Unalias:
    """Deletes an alias."""

    alias: str

    def send(self, stub: IndexServiceStub) -> Answer:
        request = pb.DeleteAliasRequest(name=self.alias)
        return Answer((), stub.DeleteAlias(request, timeout=TIMEOUT_S).seq)

    def apply(self, held: Held) -> tuple[int | str, ...]:
        del held.aliases[self.alias]
        return ()


def upsert(collection: str, items: Sequence[pb.Item], request_id: str) -> Upsert:
    """Returns an upsert."""
    return Upsert(
        pb.BatchUpsertItemsRequest(collection=collection, items=items, request_id=request_id)
    )
