"""Makes up writes at random, such that each shows in the index afterwards.

Every client has ids, products and aliases that begin with its name; the collections with items are
shared. Knows neither threads nor processes.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Protocol

from lookalike.index.v1 import index_pb2 as pb
from tests.recovery.ledger.writes import (
    Create,
    Delete,
    Drop,
    Held,
    Switch,
    Unalias,
    Upsert,
    Write,
    upsert,
)

SPACE = "space-1"
DIMENSION = 3
COLLECTIONS = {
    "squared": pb.METRIC_SQUARED_L2,
    "cosine": pb.METRIC_COSINE,
    "inner": pb.METRIC_INNER_PRODUCT,
}
CATEGORIES = ("chairs", "lamps", "sofas")
COLOURS = ("blue", "red")
WORDS = ("lamp", "oak", "vintage", "wool")
_IDS = 240
_PRODUCTS = 60


def collection(name: str, metric: pb.Metric.ValueType) -> pb.Collection:
    """Returns a collection as these tests create them; `squared` has room for a graph."""
    return pb.Collection(
        name=name,
        embedding_space=SPACE,
        dimension=DIMENSION,
        metric=metric,
        indexed_attributes=["colour"],
        text_attributes=["title", "colour"],
        exact_up_to=100 if name == "squared" else 0,
    )


def values(dice: random.Random) -> list[float]:
    """Returns a vector that float32 holds exactly, and that has a direction."""
    return [dice.randint(1, 20) / 2, *(dice.randint(-20, 20) / 2 for _ in range(DIMENSION - 1))]


class Plan(Protocol):
    """Makes up one client's writes."""

    def resume(self, held: Held) -> None:
        """Goes on from what the client holds."""
        ...

    def next(self) -> Write:
        """Returns the next write, taking it that all before succeed."""
        ...


class ItemPlan:
    """Upserts, replacements and deletions of items.

    Args:
        name: The client's name.
        dice: Where chance comes from.
        deletions: How many of the writes delete, 0 to 1.
    """

    def __init__(self, name: str, dice: random.Random, *, deletions: float) -> None:
        self._name = name
        self._dice = dice
        self._deletions = deletions
        self._ahead = Held()
        self._numbers = itertools.count(1)

    def resume(self, held: Held) -> None:
        self._ahead = held.copy()

    def next(self) -> Write:
        number = next(self._numbers)
        name = self._dice.choice(list(COLLECTIONS))
        there = self._ahead.in_collection(name)
        if there and self._dice.random() < self._deletions:
            write: Write = self._deletion(name, there, number)
        else:
            write = self._upsert(name, number)
        write.apply(self._ahead)
        return write

    def _upsert(self, name: str, number: int) -> Upsert:
        # Now and then a batch that takes a while, for a kill to fall into.
        size = self._dice.choice([1, 2, 5, 10, 20, _IDS])
        chosen = self._dice.sample(range(_IDS), size)
        items = [self._item(i, number) for i in chosen]
        return upsert(name, items, f"{self._name}-{number}")

    def _item(self, number: int, version: int) -> pb.Item:
        dice = self._dice
        item = pb.Item(
            id=f"{self._name}-{number}",
            product_id=f"{self._name}-product-{dice.randrange(_PRODUCTS)}",
            category=dice.choice(CATEGORIES),
            attributes={
                "version": str(version),
                "title": " ".join(["☂" * dice.randrange(20), *dice.choices(WORDS, k=2)]),
            },
            vector=pb.Vector(values=values(dice), embedding_space=SPACE),
        )
        if dice.random() < 0.8:
            item.price = dice.randint(0, 400) / 4
        if dice.random() < 0.8:
            item.attributes["colour"] = dice.choice(COLOURS)
        return item

    def _deletion(self, name: str, there: dict[str, pb.Item], number: int) -> Delete:
        ids = self._dice.sample(sorted(there), min(len(there), self._dice.randint(1, 10)))
        request = pb.BatchDeleteItemsRequest(
            collection=name, item_ids=[*ids, "unknown"], request_id=f"{self._name}-{number}"
        )
        if self._dice.random() < 0.5:
            request.product_ids.append(there[ids[0]].product_id)
        return Delete(request)


class NamePlan:
    """Collections that come and go, and aliases that lead to one and another.

    Args:
        name: The client's name; what it names begins with it.
        dice: Where chance comes from.
    """

    def __init__(self, name: str, dice: random.Random) -> None:
        self._name = name
        self._dice = dice
        self._ahead = Held()
        self._numbers = itertools.count(1)
        self._plan: Iterator[Write] = self._cycles()

    def resume(self, held: Held) -> None:
        self._ahead = held.copy()
        self._plan = self._cycles()

    def next(self) -> Write:
        write = next(self._plan)
        write.apply(self._ahead)
        return write

    def _cycles(self) -> Iterator[Write]:
        """Yields what is to be done, also from a state that a crash left in the middle."""
        while True:
            alias = f"{self._name}-alias"
            current = self._ahead.aliases.get(alias)
            new = f"{self._name}-{next(self._numbers)}"
            # A new version of a collection is filled beside the old one, then takes its place.
            yield Create(collection(new, pb.METRIC_SQUARED_L2))
            yield self._fill(new)
            yield Switch(alias, new)
            for _ in range(self._dice.randrange(6)):
                target = self._dice.choice(sorted(self._ahead.collections | set(COLLECTIONS)))
                if target != self._ahead.aliases[alias]:
                    yield Switch(alias, target)
            if current and self._dice.random() < 0.3:
                yield Unalias(alias)
            leads_to = self._ahead.aliases.get(alias)
            yield from [Drop(old) for old in sorted(self._ahead.collections) if old != leads_to]

    def _fill(self, name: str) -> Upsert:
        items = [
            pb.Item(
                id=f"{self._name}-{i}",
                product_id=f"{self._name}-product",
                vector=pb.Vector(values=values(self._dice), embedding_space=SPACE),
            )
            for i in range(self._dice.randint(1, 10))
        ]
        return upsert(name, items, f"{name}-filled")
