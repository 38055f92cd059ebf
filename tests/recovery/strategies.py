"""What Hypothesis may draw: few names and small numbers, so that things meet.

Vectors are halves of whole numbers: float32 and float64 hold them, their products and sums without
rounding, so equal distances are equal. Knows no index.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from index_service.records import (
    NO_FILTER,
    Batch,
    Collection,
    Examples,
    Filter,
    Item,
    Metric,
    PackedVectors,
    Query,
    Rerank,
    Search,
    Vector,
    View,
)
from tests.recovery.model import Kept

SPACE = "space-1"
# Collections and aliases draw from the same ones, so that they get into each other's way.
NAMES = st.sampled_from(["a", "b", "c", "d"])
ITEM_IDS = st.sampled_from([f"item-{i}" for i in range(24)])
PRODUCTS = st.sampled_from([f"product-{i}" for i in range(6)])
CATEGORIES = st.sampled_from(["", "chairs", "lamps"])
PRICES = st.one_of(st.none(), st.sampled_from([-0.0, 0.0, 0.1, 9.99, 10.0, 1e9]))
COLOURS = st.sampled_from(["", "blue", "red"])
WORDS = st.sampled_from(["blue", "RED", "red, blue!", "green", "?"])
KEYS = ("colour", "size")
ANY_COLLECTION = Collection("any", SPACE, 2, Metric.SQUARED_L2)
HALVES = st.integers(-8, 8).map(lambda n: n / 2)


@st.composite
def collections(draw: st.DrawFn) -> Collection:
    """A collection, with a limit for exact search low enough to be passed."""
    return Collection(
        name=draw(NAMES),
        embedding_space=SPACE,
        dimension=draw(st.integers(1, 3)),
        metric=draw(st.sampled_from(Metric)),
        indexed_attributes=draw(st.sampled_from([(), KEYS[:1], KEYS])),
        features_dimension=draw(st.sampled_from([0, 2])),
        full_scan_threshold=draw(st.sampled_from([1, 8, 200_000])),
        text_attributes=draw(st.sampled_from([(), ("title",), ("title", "colour")])),
    )


@st.composite
def values(draw: st.DrawFn, dimension: int) -> list[float]:
    """A vector with a direction, as the cosine needs."""
    rest = draw(st.lists(HALVES, min_size=dimension - 1, max_size=dimension - 1))
    return [draw(st.integers(1, 8)) / 2, *rest]


def vectors(collection: Collection) -> st.SearchStrategy[Vector]:
    """A vector of the collection's."""
    return values(collection.dimension).map(lambda drawn: Vector(drawn, SPACE))


def packed(drawn: Sequence[Vector]) -> PackedVectors:
    """Puts vectors one after the other."""
    return PackedVectors(np.array([vector.values for vector in drawn], np.float32).ravel(), SPACE)


@st.composite
def batches(draw: st.DrawFn, collection: Collection) -> Batch:
    """One to eight items that fit the collection; not all have features, if it has any."""
    ids = draw(st.lists(ITEM_IDS, min_size=1, max_size=8, unique=True))
    items = [
        Item(
            id_,
            draw(PRODUCTS),
            draw(CATEGORIES),
            draw(PRICES),
            draw(st.dictionaries(st.sampled_from([*KEYS, "title"]), COLOURS)),
        )
        for id_ in ids
    ]
    wide = collection.features_dimension
    return Batch(
        items,
        [draw(vectors(collection)) for _ in ids],
        [draw(values(wide)) if wide and draw(st.booleans()) else [] for _ in ids],
    )


@st.composite
def filters(draw: st.DrawFn, collection: Collection) -> Filter:
    """A filter that the collection can apply; often none."""
    if draw(st.booleans()):
        return NO_FILTER
    keys = draw(st.lists(st.sampled_from(KEYS), max_size=2))
    return Filter(
        categories=some(draw, CATEGORIES),
        product_ids=some(draw, PRODUCTS),
        min_price=draw(PRICES),
        max_price=draw(PRICES),
        attributes=tuple(
            (key, tuple(draw(st.lists(COLOURS, min_size=1, max_size=2))))
            for key in keys
            if key in collection.indexed_attributes
        ),
        exclude_product_ids=some(draw, PRODUCTS),
    )


def some(draw: st.DrawFn, among: st.SearchStrategy[str]) -> tuple[str, ...]:
    """Draws a few, in most cases none."""
    wanted: Sequence[str] = draw(st.one_of(st.just([]), st.just([]), st.lists(among, max_size=3)))
    return tuple(wanted)


@st.composite
def queries(draw: st.DrawFn, kept: Kept) -> Query:
    """A query by a vector, an item or examples; items are such that exist."""
    one: st.SearchStrategy[Vector | str] = vectors(kept.collection)
    if kept.entries:
        one = st.one_of(one, st.sampled_from(sorted(kept.entries)))
    if draw(st.integers(0, 3)):
        return Query(draw(one))
    positives, negatives = (draw(st.lists(one, min_size=n, max_size=3)) for n in (1, 0))
    return Query(Examples(tuple(positives), tuple(negatives)))


@st.composite
def searches(
    draw: st.DrawFn, kept: Kept, *, rerank: Rerank | None = None, reach: bool = False
) -> Search:
    """What queries have in common; `reach` for a search by range."""
    far = st.integers(-40, 160).map(lambda n: n / 4)
    if kept.collection.metric is Metric.COSINE:
        far = st.integers(0, 20).map(lambda n: n / 10 + 0.05)
    return Search(
        k=draw(st.sampled_from([1, 2, 5, 30])),
        distinct_products=draw(st.booleans()),
        exclude_same_product=not reach and draw(st.booleans()),
        filter=draw(filters(kept.collection)),
        max_distance=draw(far if reach else st.one_of(st.none(), far)),
        rerank=rerank,
        exact=draw(st.booleans()),
        view=draw(st.sampled_from([View.IDS, View.FULL])),
    )
