"""Compares what two collections of the same items find."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from lookalike.client import IndexClient
from lookalike.client.index import Rerank
from lookalike.errors import ItemNotFoundError

K = 10
_BATCH = 100
_MOST_DRAWS = 4
_SEED = 0  # the same photos each time


@dataclass(frozen=True)
class Found:
    """What one collection finds for the sampled photos.

    Attributes:
        own_category: Share of the nearest 10 listings that are of the photo's own category; None
            where no sampled photo has one.
        other_photo_first: How often the nearest photo of all is of the same listing, among photos
            of listings that have several; None where there is no such photo.
    """

    own_category: float | None
    other_photo_first: float | None


@dataclass(frozen=True)
class Comparison:
    """Two collections, asked the same.

    Attributes:
        queries: Photos that were looked for.
        several: Of those, how many are of listings with several photos.
        agreement: Share of the nearest 10 listings that both find.
        old: What the old collection finds.
        new: What the new one finds.
    """

    queries: int
    several: int
    agreement: float
    old: Found
    new: Found


@dataclass(frozen=True)
class _Answers:
    listings: Sequence[set[str]]
    categories: Sequence[Sequence[str]]
    nearest: Sequence[str]


def compare(
    index: IndexClient,
    old: str,
    new: str,
    sample: int,
    rerank: Rerank | None = None,
) -> Comparison | None:
    """Asks both collections about the same photos; None if they have none in common.

    Args:
        index: Where both are.
        old: Name of the old collection.
        new: Name of the new one.
        sample: How many photos, drawn at random, but the same ones each time.
        rerank: How the new one ranks candidates again, if it does.
    """
    for draw in range(1, _MOST_DRAWS + 1):
        try:
            return _compare(index, old, new, sample, rerank)
        except ItemNotFoundError:
            # One that was drawn has been deleted since; what is there now is drawn from again.
            if draw == _MOST_DRAWS:
                raise
    return None


def _compare(
    index: IndexClient, old: str, new: str, sample: int, rerank: Rerank | None
) -> Comparison | None:
    owners = _owners(index, new)
    common = {i: o for i, o in _owners(index, old).items() if i in owners}
    if not common:
        return None
    ids = random.Random(_SEED).sample(sorted(common), min(sample, len(common)))
    photos: dict[str, int] = {}
    for product, _ in common.values():
        photos[product] = photos.get(product, 0) + 1
    products = [common[item_id][0] for item_id in ids]
    categories = [common[item_id][1] for item_id in ids]
    several = [photos[product] > 1 for product in products]
    before, after = _ask(index, old, ids, None), _ask(index, new, ids, rerank)
    overlaps = [
        len(a & b) / max(len(a), len(b), 1) if a or b else 1.0
        for a, b in zip(before.listings, after.listings, strict=True)
    ]

    def found(answers: _Answers) -> Found:
        shares = [
            sum(each == category for each in near) / len(near)
            for near, category in zip(answers.categories, categories, strict=True)
            if near and category
        ]
        firsts = [
            nearest == product
            for nearest, product, many in zip(answers.nearest, products, several, strict=True)
            if many
        ]
        return Found(_mean(shares), _mean(firsts))

    return Comparison(
        queries=len(ids),
        several=sum(several),
        agreement=_mean(overlaps) or 0.0,
        old=found(before),
        new=found(after),
    )


def _owners(index: IndexClient, collection: str) -> dict[str, tuple[str, str]]:
    return {item.id: (item.product_id, item.category) for item in index.items(collection)}


def _ask(
    index: IndexClient, collection: str, ids: Sequence[str], rerank: Rerank | None
) -> _Answers:
    listings: list[set[str]] = []
    categories: list[Sequence[str]] = []
    nearest: list[str] = []
    for start in range(0, len(ids), _BATCH):
        some = ids[start : start + _BATCH]
        others = index.neighbors(
            collection,
            some,
            k=K,
            distinct_products=True,
            exclude_same_product=True,
            rerank=rerank,
        )
        for result in others.results:
            listings.append({near.item.product_id for near in result})
            categories.append([near.item.category for near in result])
        firsts = index.neighbors(collection, some, k=1, rerank=rerank).results
        nearest += [r.neighbors[0].item.product_id if r.neighbors else "" for r in firsts]
    return _Answers(listings, categories, nearest)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
