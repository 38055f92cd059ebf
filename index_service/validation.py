"""Turns requests into the service's own values, and refuses what breaks the limits of the proto.

Whether a vector fits its collection is not for here to know: see `vectors.py`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sized

from index_service.records import Collection, Item, Metric, Search, Vector
from lookalike.errors import InvalidArgumentError
from lookalike.index.v1 import index_pb2 as pb

_MAX_DIMENSION = 4096
_MAX_BATCH = 10_000
_MAX_QUERIES = 1_000
_MAX_K = 1_000
_MAX_NEIGHBORS = 100_000
_MAX_EXCLUDED = 1_000
_MAX_ID = 128
_MAX_SPACE = 128
_MAX_CATEGORY = 256
_MAX_ATTRIBUTES = 64
_MAX_KEY = 128
_MAX_VALUE = 8192

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
METRICS = {
    pb.METRIC_SQUARED_L2: Metric.SQUARED_L2,
    pb.METRIC_COSINE: Metric.COSINE,
    pb.METRIC_INNER_PRODUCT: Metric.INNER_PRODUCT,
}


def collection(request: pb.CreateCollectionRequest) -> Collection:
    """Returns the collection to create."""
    wanted = request.collection
    if not _NAME.fullmatch(wanted.name):
        raise InvalidArgumentError(
            f"collection.name is '{wanted.name}'; it must be 1 to 64 of a-z, 0-9, _ and -, "
            "starting with a letter",
            field="collection.name",
        )
    _length(wanted.embedding_space, _MAX_SPACE, "collection.embedding_space")
    _in_range(wanted.dimension, _MAX_DIMENSION, "collection.dimension")
    metric = METRICS.get(wanted.metric or pb.METRIC_SQUARED_L2)
    if metric is None:
        raise InvalidArgumentError(
            f"collection.metric is {wanted.metric}, which is no known metric",
            field="collection.metric",
        )
    return Collection(wanted.name, wanted.embedding_space, wanted.dimension, metric)


def items(request: pb.BatchUpsertItemsRequest) -> tuple[list[Item], list[Vector]]:
    """Returns the items of an upsert and their vectors."""
    _count(request.items, 1, _MAX_BATCH, "items")
    first: dict[str, int] = {}
    for i, item in enumerate(request.items):
        _check_item(item, f"items[{i}]")
        if (earlier := first.setdefault(item.id, i)) != i:
            raise InvalidArgumentError(
                f"items[{i}].id '{item.id}' is that of items[{earlier}] too; send each id once",
                field=f"items[{i}].id",
            )
    return [_item(item) for item in request.items], [_vector(i.vector) for i in request.items]


def deletion(request: pb.BatchDeleteItemsRequest) -> tuple[list[str], list[str]]:
    """Returns the ids of the items, and of the products, to delete."""
    number = len(request.item_ids) + len(request.product_ids)
    if not 1 <= number <= _MAX_BATCH:
        raise InvalidArgumentError(
            f"item_ids and product_ids have {number} entries together; the limits are 1 and "
            f"{_MAX_BATCH}",
            field="item_ids",
        )
    _ids(request.item_ids, "item_ids")
    _ids(request.product_ids, "product_ids")
    return list(request.item_ids), list(request.product_ids)


def item_id(request: pb.GetItemRequest) -> str:
    """Returns the id of the item to get."""
    _length(request.item_id, _MAX_ID, "item_id")
    return request.item_id


def search(request: pb.FindNeighborsRequest) -> tuple[list[Vector | str], Search]:
    """Returns the queries, and what they have in common."""
    _in_range(request.k, _MAX_K, "k")
    _count(request.queries, 1, _MAX_QUERIES, "queries")
    if len(request.queries) * request.k > _MAX_NEIGHBORS:
        raise InvalidArgumentError(
            f"{len(request.queries)} queries of k = {request.k} ask for "
            f"{len(request.queries) * request.k} neighbours; the limit is {_MAX_NEIGHBORS}",
            field="k",
        )
    _count(request.exclude_product_ids, 0, _MAX_EXCLUDED, "exclude_product_ids")
    _ids(request.exclude_product_ids, "exclude_product_ids")
    return [_query(query, f"queries[{i}]") for i, query in enumerate(request.queries)], Search(
        k=request.k,
        distinct_products=request.distinct_products,
        exclude_product_ids=frozenset(request.exclude_product_ids),
        exclude_same_product=request.exclude_same_product,
    )


def _query(query: pb.Query, path: str) -> Vector | str:
    target = query.WhichOneof("target")
    if target is None:
        raise InvalidArgumentError(f"{path} has neither a vector nor an item_id", field=path)
    if target == "vector":
        return _vector(query.vector)
    _length(query.item_id, _MAX_ID, path, ".item_id")
    return query.item_id


def _check_item(item: pb.Item, path: str) -> None:
    _length(item.id, _MAX_ID, path, ".id")
    _length(item.product_id, _MAX_ID, path, ".product_id")
    _length(item.category, _MAX_CATEGORY, path, ".category", minimum=0)
    # NaN is not at least 0 either.
    if item.HasField("price") and not 0 <= item.price < math.inf:
        raise InvalidArgumentError(
            f"{path}.price is {item.price}; it must be finite and at least 0", field=f"{path}.price"
        )
    if not item.HasField("vector"):
        raise InvalidArgumentError(f"{path}.vector is missing", field=f"{path}.vector")
    _count(item.attributes, 0, _MAX_ATTRIBUTES, path, ".attributes")
    for key, value in item.attributes.items():
        if len(key) > _MAX_KEY or len(value) > _MAX_VALUE:
            raise InvalidArgumentError(
                f"{path}.attributes has a key of {len(key)} and a value of {len(value)} "
                f"characters; the limits are {_MAX_KEY} and {_MAX_VALUE}",
                field=f"{path}.attributes",
            )


def _item(item: pb.Item) -> Item:
    price = item.price if item.HasField("price") else None
    return Item(item.id, item.product_id, item.category, price, dict(item.attributes))


def _vector(vector: pb.Vector) -> Vector:
    return Vector(vector.values, vector.embedding_space)


def _ids(ids: Iterable[str], path: str) -> None:
    for i, value in enumerate(ids):
        _length(value, _MAX_ID, path, f"[{i}]")


# A path and its end come apart below: to join them costs more than the check, in a large batch.


def _length(text: str, maximum: int, path: str, end: str = "", *, minimum: int = 1) -> None:
    if not minimum <= len(text) <= maximum:
        raise InvalidArgumentError(
            f"{path}{end} has {len(text)} characters; the limits are {minimum} and {maximum}",
            field=path + end,
        )


def _count(entries: Sized, low: int, high: int, path: str, end: str = "") -> None:
    if not low <= len(entries) <= high:
        raise InvalidArgumentError(
            f"{path}{end} has {len(entries)} entries; the limits are {low} and {high}",
            field=path + end,
        )


def _in_range(value: int, maximum: int, path: str) -> None:
    if not 1 <= value <= maximum:
        raise InvalidArgumentError(f"{path} is {value}; the limits are 1 and {maximum}", field=path)
