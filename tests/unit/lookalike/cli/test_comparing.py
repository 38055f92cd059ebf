"""The comparison of two collections: what its figures are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

import pytest

from lookalike.cli.reindexing.comparing import Found, compare
from lookalike.client import IndexClient
from lookalike.client.index import Item, Neighbor, NeighborsFound, QueryResult, Rerank

# Photos by id: their listing and its category.
PHOTOS = {
    "a1": ("a", "lamps"),
    "a2": ("a", "lamps"),
    "b1": ("b", "lamps"),
    "c1": ("c", "sofas"),
    "d1": ("d", ""),
}


class Ranked:
    """An index whose collections rank photos as they are told.

    Args:
        rankings: By collection and photo, all photos, nearest first.

    Attributes:
        reranks: Of each question, its collection and how candidates are ranked again.
    """

    def __init__(self, rankings: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        self._rankings = rankings
        self.reranks: list[tuple[str, Rerank | None]] = []

    def items(self, collection: str) -> Iterator[Item]:
        for key in self._rankings[collection]:
            yield self._item(key)

    def neighbors(
        self,
        collection: str,
        item_ids: Sequence[str],
        *,
        k: int,
        distinct_products: bool = False,
        exclude_same_product: bool = False,
        rerank: Rerank | None = None,
    ) -> NeighborsFound:
        assert distinct_products == exclude_same_product
        self.reranks.append((collection, rerank))
        results = []
        for item_id in item_ids:
            ranked = [self._item(key) for key in self._rankings[collection][item_id]]
            if distinct_products:
                own = PHOTOS[item_id][0]
                firsts = {each.product_id: each for each in reversed(ranked)}
                ranked = [each for each in firsts.values() if each.product_id != own]
            near = tuple(Neighbor(each, 0.0, 0.0) for each in ranked[:k])
            results.append(QueryResult(near, exact=True, complete=True))
        return NeighborsFound(tuple(results), 0, collection, "space")

    def _item(self, key: str) -> Item:
        product, category = PHOTOS[key]
        return Item(key, product, category=category)


def ranked(**rankings: Mapping[str, Sequence[str]]) -> IndexClient:
    return cast("IndexClient", Ranked(rankings))


def test_figures_are_of_listings_categories_and_other_photos() -> None:
    index = ranked(
        old={"a1": ["a2", "b1"], "a2": ["b1", "a1"], "c1": ["b1", "a1"]},
        new={"a1": ["b1", "a2"], "a2": ["b1", "c1"], "c1": ["a1", "d1"], "b1": []},
    )
    found = compare(index, "old", "new", sample=10)
    assert found is not None
    assert (found.queries, found.several) == (3, 2)
    # a1: b of b; a2: b of b and c; c1: a of a and b, against a and d.
    assert found.agreement == pytest.approx((1 + 1 / 2 + 1 / 2) / 3)
    assert found.old == Found(own_category=pytest.approx(2 / 3), other_photo_first=1 / 2)
    assert found.new == Found(own_category=pytest.approx((1 + 1 / 2 + 0) / 3), other_photo_first=0)


def test_photos_without_a_category_or_a_second_photo_say_nothing() -> None:
    index = ranked(old={"d1": ["b1"]}, new={"d1": ["b1"]})
    found = compare(index, "old", "new", sample=10)
    assert found is not None
    assert found.old == found.new == Found(None, None)
    assert found.agreement == 1


def test_nothing_in_common_is_no_comparison() -> None:
    assert compare(ranked(old={"a1": []}, new={"b1": []}), "old", "new", sample=10) is None


def test_the_sample_is_the_same_each_time() -> None:
    everything = {key: [other for other in PHOTOS if other != key] for key in PHOTOS}
    index = ranked(old=everything, new=everything)
    first, second = (compare(index, "old", "new", sample=2) for _ in range(2))
    assert first == second
    assert first is not None
    assert first.queries == 2


def test_the_new_collection_alone_is_asked_to_rank_again() -> None:
    index = Ranked({"old": {"a1": ["a2"]}, "new": {"a1": ["a2"]}})
    rerank = Rerank(candidates=50, vector_weight=0.25)
    assert compare(cast("IndexClient", index), "old", "new", 10, rerank) is not None
    assert index.reranks == [("old", None)] * 2 + [("new", rerank)] * 2
