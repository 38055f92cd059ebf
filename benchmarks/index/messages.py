"""What is sent to the index: collections, items, queries. Sends nothing itself."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import numpy as np

from benchmarks.index.photos import BLOCK, Matrix, Photos
from lookalike.index.v1 import index_pb2 as pb

K = 10
FEATURES = 128
RARE = "rare"
ALWAYS_EXACT = 1 << 40  # `exact_up_to` of more items than there are
# `exact_up_to` of fewer items than there are.
NEVER_EXACT = 1
_SPACE = "benchmark"
_CATEGORIES = 13


def collection(name: str, dimension: int, exact_up_to: int = 0) -> pb.CreateCollectionRequest:
    """Returns the request for a new collection."""
    return pb.CreateCollectionRequest(
        collection=pb.Collection(
            name=name,
            embedding_space=_SPACE,
            dimension=dimension,
            metric=pb.METRIC_SQUARED_L2,
            exact_up_to=exact_up_to,
        )
    )


def query_features(number: int) -> list[float]:
    """Returns what stands for a photo's features: no real ones, as they take time and not sense."""
    drawn = np.random.default_rng(number).standard_normal(FEATURES, np.float32)
    unit: list[float] = (drawn / np.linalg.norm(drawn)).tolist()
    return unit


def items(
    photos: Photos, block: int, *, rich: bool = False, features: bool = False
) -> list[pb.Item]:
    """Returns a block's photos as items, two of each product, one in a hundred of `RARE`.

    Args:
        photos: Whose vectors.
        block: Its number.
        rich: With long ids and a title, as in a catalogue; otherwise ids are a few letters, which
            leaves memory and time to what is measured.
        features: Whether they have features.
    """
    made = [
        _item(number, values, rich=rich)
        for number, values in enumerate(photos.block(block).tolist(), start=block * BLOCK)
    ]
    if features:
        drawn = np.random.default_rng([7, block]).standard_normal((BLOCK, FEATURES), np.float32)
        for item, values in zip(made, drawn.tolist(), strict=True):
            item.features.extend(values)
    return made


def batches(
    photos: Photos, name: str, count: int, *, first: int = 0, rich: bool = False
) -> Iterator[pb.BatchUpsertItemsRequest]:
    """Yields so many photos as upserts of 1,000, from a block on."""
    for block in range(first, first + count // BLOCK):
        yield pb.BatchUpsertItemsRequest(collection=name, items=items(photos, block, rich=rich))


def query(
    name: str,
    vector: Matrix,
    *,
    view: pb.ItemView.ValueType = pb.ITEM_VIEW_FULL,
    exact: bool = False,
    category: str = "",
) -> pb.FindNeighborsRequest:
    """Returns one query for ten neighbours."""
    target = pb.Vector(values=vector.tolist(), embedding_space=_SPACE)
    return pb.FindNeighborsRequest(
        collection=name,
        queries=[pb.Query(vector=target)],
        k=K,
        view=view,
        exact=exact,
        filter=pb.Filter(categories=[category] if category else []),
    )


def packed(name: str, vectors: Matrix, *, exact: bool = False) -> pb.FindNeighborsRequest:
    """Returns many queries in the form that is quickest: packed vectors, ids as columns."""
    return pb.FindNeighborsRequest(
        collection=name,
        packed_vectors=vectors.astype("<f4").tobytes(),
        packed_embedding_space=_SPACE,
        k=K,
        view=pb.ITEM_VIEW_IDS,
        columns=True,
        exact=exact,
    )


def _item(number: int, values: list[float], *, rich: bool) -> pb.Item:
    name, product = f"{number:x}", f"{number // 2:x}"
    if rich:
        name, product = str(uuid.UUID(int=number)), str(uuid.UUID(int=number // 2))
    return pb.Item(
        id=name,
        product_id=product,
        category=RARE if number % 100 == 0 else f"category {number % _CATEGORIES}",
        price=number % 1000,
        attributes={"title": f"A thing for sale, number {number // 2}"} if rich else {},
        vector=pb.Vector(values=values, embedding_space=_SPACE),
    )
