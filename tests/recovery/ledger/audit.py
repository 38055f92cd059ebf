"""Reads everything that the service shows, each thing in more than one way, and compares.

Knows nothing of who wrote it, nor of crashes.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from index_service.records import Batch, Collection, Filter, Item, Metric, Vector
from lookalike.index.v1 import index_pb2 as pb
from lookalike.index.v1.index_pb2_grpc import IndexServiceStub
from tests.recovery.ledger.plans import CATEGORIES, COLOURS, WORDS, values
from tests.recovery.ledger.writes import TIMEOUT_S, Held, Key
from tests.recovery.model import Kept, check_neighbors

_METRICS = {
    pb.METRIC_SQUARED_L2: Metric.SQUARED_L2,
    pb.METRIC_COSINE: Metric.COSINE,
    pb.METRIC_INNER_PRODUCT: Metric.INNER_PRODUCT,
}


class Shown(NamedTuple):
    """All that the service holds."""

    items: Mapping[Key, pb.Item]
    aliases: Mapping[str, str]
    collections: Mapping[str, pb.Collection]
    seq: int

    def of(self, client: str) -> Held:
        """Returns what carries a client's name."""
        prefix = f"{client}-"
        return Held(
            {key: item for key, item in self.items.items() if item.id.startswith(prefix)},
            {name: target for name, target in self.aliases.items() if name.startswith(prefix)},
            {name for name in self.collections if name.startswith(prefix)},
        )


def observe(stub: IndexServiceStub) -> Shown:
    """Reads all collections, all aliases, and every item with its vector."""
    collections = stub.ListCollections(pb.ListCollectionsRequest(), timeout=TIMEOUT_S).collections
    aliases = stub.ListAliases(pb.ListAliasesRequest(), timeout=TIMEOUT_S).aliases
    seq = newest_write(stub)
    items: dict[Key, pb.Item] = {}
    for collection in collections:
        listed = _list(stub, collection.name)
        assert len(listed) == collection.item_count, f"{collection.name} lists {len(listed)} items"
        items |= {(collection.name, item.id): item for item in listed}
        assert len({item.id for item in listed}) == len(listed), "an item was listed twice"
    return Shown(
        items,
        {alias.name: alias.collection for alias in aliases},
        {collection.name: collection for collection in collections},
        seq,
    )


def newest_write(stub: IndexServiceStub) -> int:
    """Returns the number of the newest write."""
    return stub.GetIndex(pb.GetIndexRequest(), timeout=TIMEOUT_S).applied_seq


def cross_check(stub: IndexServiceStub, shown: Shown, dice: random.Random, *, samples: int) -> int:
    """Asks in other ways for what was listed; returns how many queries it made.

    Counts with and without a where, words, single items, and neighbours, most of them by exact
    search.
    """
    asked = 0
    for name, collection in shown.collections.items():
        kept = _kept(collection, [i for (of, _), i in shown.items.items() if of == name])
        _check_counts(stub, name, kept, dice)
        _check_words(stub, name, kept, dice)
        for item_id in dice.sample(sorted(kept.entries), min(samples, len(kept.entries))):
            request = pb.GetItemRequest(collection=name, item_id=item_id)
            got = stub.GetItem(request, timeout=TIMEOUT_S).item
            assert got == shown.items[name, item_id], f"{name} {item_id}: GetItem {got}"
        names = [name, *(alias for alias, target in shown.aliases.items() if target == name)]
        for _ in range(samples):
            _check_search(stub, dice.choice(names), kept, dice)
            asked += 1
    return asked


def _list(stub: IndexServiceStub, name: str) -> list[pb.Item]:
    request = pb.ListItemsRequest(collection=name, page_size=400, view=pb.ITEM_VIEW_VECTORS)
    items: list[pb.Item] = []
    while True:
        page = stub.ListItems(request, timeout=TIMEOUT_S)
        items += page.items
        if not page.next_page_token:
            return items
        request.page_token = page.next_page_token


def _check_counts(stub: IndexServiceStub, name: str, kept: Kept, dice: random.Random) -> None:
    for where, message in (_any_filter(dice), (Filter(), pb.Filter())):
        request = pb.CountItemsRequest(collection=name, filter=message)
        count = stub.CountItems(request, timeout=TIMEOUT_S)
        expected = len(kept.matching(where)), kept.products(where)
        assert (count.items, count.products) == expected, f"{name}: {count}, not {expected}"


def _check_words(stub: IndexServiceStub, name: str, kept: Kept, dice: random.Random) -> None:
    """Holds the index of words to the items, so that a crash may not have parted them."""
    where, message = _any_filter(dice)
    for words in (*WORDS, " ".join((dice.choice(WORDS), dice.choice(COLOURS)))):
        request = pb.FindNeighborsRequest(
            collection=name, queries=[pb.Query(words=words)], k=1000, filter=message
        )
        (result,) = stub.FindNeighbors(request, timeout=TIMEOUT_S).results
        expected = {
            id_
            for id_, entry in kept.matching(where).items()
            if {*words.split()} & {*_text(entry.item).split()}
        }
        found = [hit.item.id for hit in result.neighbors]
        assert len(found) == len(expected) == result.words_matched, f"{name} {words}: {found}"
        assert set(found) == expected, f"{name} {words}: {set(found) ^ expected}"


def _text(item: Item) -> str:
    return f"{item.attributes.get('title', '')} {item.attributes.get('colour', '')}"


def _check_search(stub: IndexServiceStub, name: str, kept: Kept, dice: random.Random) -> None:
    where, message = _any_filter(dice)
    k, distinct = dice.choice([1, 7, 50]), dice.random() < 0.5
    target = values(dice)
    request = pb.FindNeighborsRequest(
        collection=name,
        queries=[pb.Query(vector=pb.Vector(values=target, embedding_space=_space(kept)))],
        k=k,
        distinct_products=distinct,
        filter=message,
        exact=dice.random() < 0.7,
    )
    answer = stub.FindNeighbors(request, timeout=TIMEOUT_S)
    (result,) = answer.results
    assert answer.collection in {"", kept.collection.name}
    every = kept.rank(np.array(target), where)
    expected = (kept.distinct(every) if distinct else every)[:k]
    check_neighbors(
        expected,
        every,
        [(hit.item.id, hit.distance) for hit in result.neighbors],
        in_order=kept.collection.metric is not Metric.COSINE,
        exact=result.method == pb.SEARCH_METHOD_EXACT,
    )


def _any_filter(dice: random.Random) -> tuple[Filter, pb.Filter]:
    """Returns a filter as the model and as the service take it."""
    if dice.random() < 0.3:
        return Filter(), pb.Filter()
    if dice.random() < 0.3:
        low, high = sorted(dice.randint(0, 400) / 4 for _ in range(2))
        where = Filter(min_price=low, max_price=high)
        return where, pb.Filter(min_price=low, max_price=high)
    category, colour = dice.choice(CATEGORIES), dice.choice(COLOURS)
    attributes = [pb.AttributeFilter(key="colour", values=[colour])]
    return (
        Filter(categories=(category,), attributes=(("colour", (colour,)),)),
        pb.Filter(categories=[category], attributes=attributes),
    )


def _kept(collection: pb.Collection, items: Sequence[pb.Item]) -> Kept:
    kept = Kept(
        Collection(
            collection.name,
            collection.embedding_space,
            collection.dimension,
            _METRICS[collection.metric],
        )
    )
    kept.upsert(
        Batch(
            [
                Item(
                    item.id,
                    item.product_id,
                    item.category,
                    item.price if item.HasField("price") else None,
                    dict(item.attributes),
                )
                for item in items
            ],
            [Vector(item.vector.values, item.vector.embedding_space) for item in items],
            [item.features for item in items],
        )
    )
    return kept


def _space(kept: Kept) -> str:
    return kept.collection.embedding_space
