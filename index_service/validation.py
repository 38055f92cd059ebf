"""Converts requests to the service's values, and refuses those that exceed a limit of the proto.

Whether a vector fits its collection is checked later, in `vectors.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from index_service import checks
from index_service.checks import MAX_ID
from index_service.records import (
    DEFAULT_FULL_SCAN_THRESHOLD,
    DEFAULT_TARGET_RECALL,
    Batch,
    Collection,
    Examples,
    Filter,
    Item,
    Metric,
    PackedVectors,
    Queries,
    Query,
    Rerank,
    Search,
    Vector,
    View,
)
from lookalike.errors import InvalidArgumentError
from lookalike.index.v1 import index_pb2 as pb
from lookalike.limits import (
    DEFAULT_PAGE_SIZE,
    MAX_CANDIDATES,
    MAX_CATEGORY_LENGTH,
    MAX_DIMENSION,
    MAX_FILTER_PRODUCTS,
    MAX_FILTER_VALUES,
    MAX_ID_LENGTH,
    MAX_K,
    MAX_PAGE_SIZE,
    MAX_TEXT_LENGTH,
    MAX_WORDS_LENGTH,
)

_MAX_BATCH = 10_000
_MAX_CONDITIONS = 16
_MAX_EXAMPLES = 100
_DEFAULT_MAX_CANDIDATES = 1_000
_MAX_ATTRIBUTES = 64
_MAX_INDEXED = 16
_MAX_TEXTS = 4
_MAX_KEY = 128
_MAX_RANGE = 10_000
_DEFAULT_RANGE = 1_000
_CANDIDATES_PER_NEIGHBOR = 10
_FLOAT = np.dtype("<f4")

METRICS = {
    pb.METRIC_SQUARED_L2: Metric.SQUARED_L2,
    pb.METRIC_COSINE: Metric.COSINE,
    pb.METRIC_INNER_PRODUCT: Metric.INNER_PRODUCT,
}
_VIEWS: dict[int, View] = {
    pb.ITEM_VIEW_UNSPECIFIED: View.FULL,
    pb.ITEM_VIEW_IDS: View.IDS,
    pb.ITEM_VIEW_FULL: View.FULL,
    pb.ITEM_VIEW_VECTORS: View.VECTORS,
}


def collection(request: pb.CreateCollectionRequest) -> Collection:
    """Returns the collection to create."""
    sent = request.collection
    checks.name(sent.name, "collection.name")
    checks.length(sent.embedding_space, MAX_ID_LENGTH, "collection.embedding_space")
    checks.in_range(sent.dimension, 1, MAX_DIMENSION, "collection.dimension")
    metric = METRICS.get(sent.metric or pb.METRIC_SQUARED_L2)
    if metric is None:
        raise InvalidArgumentError(
            f"collection.metric is {sent.metric}, which is no known metric",
            field="collection.metric",
        )
    indexed = _keys(sent.indexed_attributes, _MAX_INDEXED, "collection.indexed_attributes")
    texts = _keys(sent.text_attributes, _MAX_TEXTS, "collection.text_attributes")
    checks.in_range(sent.features_dimension, 0, MAX_DIMENSION, "collection.features_dimension")
    checks.in_range(sent.exact_up_to, 0, 1 << 62, "collection.exact_up_to")
    recall = sent.target_recall or DEFAULT_TARGET_RECALL
    checks.in_range(recall, 0.5, 1, "collection.target_recall")
    return Collection(
        sent.name,
        sent.embedding_space,
        sent.dimension,
        metric,
        indexed,
        sent.features_dimension,
        sent.exact_up_to or DEFAULT_FULL_SCAN_THRESHOLD,
        recall,
        texts,
    )


def _keys(keys: Sequence[str], most: int, path: str) -> tuple[str, ...]:
    checks.count(keys, 0, most, path)
    for i, key in enumerate(keys):
        checks.length(key, _MAX_KEY, path, f"[{i}]")
    checks.unique(keys, path)
    return tuple(keys)


def alias(request: pb.SetAliasRequest) -> tuple[str, str]:
    """Returns an alias and the collection to point it at."""
    return checks.name(request.name, "name"), request.collection


def items(request: pb.BatchUpsertItemsRequest) -> Batch:
    """Returns the items of an upsert, with their vectors."""
    entries = request.items
    checks.count(entries, 1, _MAX_BATCH, "items")
    checks.length(request.request_id, MAX_ID_LENGTH, "request_id", minimum=0)
    converted = [_item(item, i) for i, item in enumerate(entries)]
    checks.unique([item.id for item in converted], "items", ".id")
    vectors = [Vector(item.vector.values, item.vector.embedding_space) for item in entries]
    return Batch(converted, vectors, [item.features for item in entries])


def deletion(request: pb.BatchDeleteItemsRequest) -> tuple[list[str], list[str]]:
    """Returns the ids of the items, and of the products, to delete."""
    number = len(request.item_ids) + len(request.product_ids)
    if not 1 <= number <= _MAX_BATCH:
        raise InvalidArgumentError(
            f"item_ids and product_ids have {number} entries together; the limits are 1 and "
            f"{_MAX_BATCH}",
            field="item_ids",
        )
    checks.ids(request.item_ids, "item_ids")
    checks.ids(request.product_ids, "product_ids")
    checks.length(request.request_id, MAX_ID_LENGTH, "request_id", minimum=0)
    return list(request.item_ids), list(request.product_ids)


def item_id(request: pb.GetItemRequest) -> str:
    """Returns the id of the item to get."""
    checks.length(request.item_id, MAX_ID, "item_id")
    return request.item_id


def page(request: pb.ListItemsRequest) -> tuple[Filter, int, View]:
    """Returns the filter of a listing, the size of the page, and the view."""
    checks.in_range(request.page_size, 0, MAX_PAGE_SIZE, "page_size")
    return (
        item_filter(request.filter),
        request.page_size or DEFAULT_PAGE_SIZE,
        _view(request.view),
    )


def item_filter(sent: pb.Filter, more_excluded: Sequence[str] = ()) -> Filter:
    """Returns a filter that also excludes the products `more_excluded`."""
    if not sent.ByteSize() and not more_excluded:
        return Filter()
    checks.count(sent.categories, 0, MAX_FILTER_VALUES, "filter.categories")
    checks.count(sent.product_ids, 0, MAX_FILTER_PRODUCTS, "filter.product_ids")
    checks.count(sent.exclude_product_ids, 0, MAX_FILTER_PRODUCTS, "filter.exclude_product_ids")
    checks.count(sent.attributes, 0, _MAX_CONDITIONS, "filter.attributes")
    for i, condition in enumerate(sent.attributes):
        path = f"filter.attributes[{i}]"
        checks.length(condition.key, _MAX_KEY, path, ".key")
        checks.count(condition.values, 1, MAX_FILTER_VALUES, path, ".values")
    low = checks.finite(sent.min_price, "filter.min_price") if sent.HasField("min_price") else None
    high = checks.finite(sent.max_price, "filter.max_price") if sent.HasField("max_price") else None
    if low is not None and high is not None and low > high:
        raise InvalidArgumentError(
            f"filter.min_price is {low}, above filter.max_price, which is {high}",
            field="filter.min_price",
        )
    return Filter(
        tuple(sent.categories),
        tuple(sent.product_ids),
        low,
        high,
        tuple((condition.key, tuple(condition.values)) for condition in sent.attributes),
        (*sent.exclude_product_ids, *more_excluded),
    )


def search(request: pb.FindNeighborsRequest) -> tuple[Queries, Search]:
    """Returns the queries and the options of a search."""
    checks.in_range(request.k, 1, MAX_K, "k")
    queries = _queries(request)
    checks.count(request.exclude_product_ids, 0, MAX_FILTER_PRODUCTS, "exclude_product_ids")
    checks.ids(request.exclude_product_ids, "exclude_product_ids")
    farthest = request.max_distance if request.HasField("max_distance") else None
    return queries, Search(
        k=request.k,
        distinct_products=request.distinct_products,
        exclude_same_product=request.exclude_same_product,
        filter=item_filter(request.filter, request.exclude_product_ids),
        max_distance=None if farthest is None else checks.finite(farthest, "max_distance"),
        rerank=_rerank(request) if request.HasField("rerank") else None,
        exact=request.exact,
        view=neighbor_view(request.view),
    )


def search_range(request: pb.SearchRangeRequest) -> tuple[Query, Search]:
    """Returns the query and the options of a range search."""
    checks.in_range(request.limit, 0, _MAX_RANGE, "limit")
    if request.query.features:
        raise InvalidArgumentError(
            "query.features are set; a range is one of distances by vector", field="query.features"
        )
    if request.query.words:
        raise InvalidArgumentError(
            "query.words are set; a range is one of distances by vector", field="query.words"
        )
    return _query(request.query, "query"), Search(
        k=request.limit or _DEFAULT_RANGE,
        distinct_products=request.distinct_products,
        filter=item_filter(request.filter),
        max_distance=checks.finite(request.max_distance, "max_distance"),
        view=neighbor_view(request.view),
    )


def neighbor_view(sent: int) -> View:
    """Returns the view of a neighbour's item."""
    view = _view(sent)
    if view is View.VECTORS:
        raise InvalidArgumentError(
            "view is ITEM_VIEW_VECTORS; neighbours come without vectors, GetItem has them",
            field="view",
        )
    return view


def _view(sent: int) -> View:
    if (view := _VIEWS.get(sent)) is None:
        raise InvalidArgumentError(f"view is {sent}, which is no known view", field="view")
    return view


def _queries(request: pb.FindNeighborsRequest) -> Queries:
    packed = request.packed_vectors
    if not packed:
        checks.queries(len(request.queries), request.k, "queries")
        if any(query.features for query in request.queries) and not request.HasField("rerank"):
            raise InvalidArgumentError(
                "queries have features, but rerank is not set", field="rerank"
            )
        return [_query(q, f"queries[{i}]") for i, q in enumerate(request.queries)]
    if request.queries:
        raise InvalidArgumentError(
            "queries and packed_vectors are both set; send one of them", field="packed_vectors"
        )
    if len(packed) % _FLOAT.itemsize:
        raise InvalidArgumentError(
            f"packed_vectors has {len(packed)} bytes, which is no multiple of {_FLOAT.itemsize}",
            field="packed_vectors",
        )
    # The number of vectors depends on the dimension of the collection.
    values = np.frombuffer(packed, _FLOAT).astype(np.float32, copy=False)
    return PackedVectors(values, request.packed_embedding_space)


def _query(query: pb.Query, path: str) -> Query:
    words = query.words
    if len(words) > MAX_WORDS_LENGTH:
        checks.length(words, MAX_WORDS_LENGTH, path, ".words", minimum=0)
    target = query.WhichOneof("target")
    if target == "vector":
        return Query(_vector(query.vector), query.features, words)
    if target == "item_id":
        checks.length(query.item_id, MAX_ID, path, ".item_id")
        return Query(query.item_id, query.features, words)
    if target is None and words:
        return Query(None, query.features, words)
    if target is None:
        raise InvalidArgumentError(
            f"{path} has neither a vector nor an item_id nor examples nor words", field=path
        )
    positives, negatives = query.examples.positives, query.examples.negatives
    checks.count(positives, 1, _MAX_EXAMPLES, path, ".examples.positives")
    checks.count(negatives, 0, _MAX_EXAMPLES, path, ".examples.negatives")
    examples = Examples(
        tuple(_example(e, f"{path}.examples.positives[{i}]") for i, e in enumerate(positives)),
        tuple(_example(e, f"{path}.examples.negatives[{i}]") for i, e in enumerate(negatives)),
    )
    return Query(examples, query.features, words)


def _example(example: pb.Example, path: str) -> Vector | str:
    target = example.WhichOneof("target")
    if target is None:
        raise InvalidArgumentError(f"{path} has neither a vector nor an item_id", field=path)
    if target == "vector":
        return _vector(example.vector)
    checks.length(example.item_id, MAX_ID, path, ".item_id")
    return example.item_id


def _rerank(request: pb.FindNeighborsRequest) -> Rerank:
    sent = request.rerank
    checks.in_range(sent.candidates, 0, MAX_CANDIDATES, "rerank.candidates")
    weight = checks.finite(sent.vector_weight, "rerank.vector_weight")
    checks.in_range(weight, 0, math.inf, "rerank.vector_weight")
    farthest = sent.max_distance if sent.HasField("max_distance") else None
    usual = min(_DEFAULT_MAX_CANDIDATES, _CANDIDATES_PER_NEIGHBOR * request.k)
    candidates = max(sent.candidates or usual, request.k)
    checks.ranked(len(request.queries), candidates, "rerank.candidates")
    return Rerank(
        candidates,
        weight,
        None if farthest is None else checks.finite(farthest, "rerank.max_distance"),
    )


def _item(item: pb.Item, number: int) -> Item:
    id_, product_id, category = item.id, item.product_id, item.category
    price = item.price if item.HasField("price") else None
    attributes = dict(item.attributes)
    if not 1 <= len(id_) <= MAX_ID:
        checks.length(id_, MAX_ID, f"items[{number}].id")
    if not 1 <= len(product_id) <= MAX_ID:
        checks.length(product_id, MAX_ID, f"items[{number}].product_id")
    if len(category) > MAX_CATEGORY_LENGTH:
        checks.length(category, MAX_CATEGORY_LENGTH, f"items[{number}].category", minimum=0)
    # This refuses NaN as well.
    if price is not None and not 0 <= price < math.inf:
        path = f"items[{number}].price"
        raise InvalidArgumentError(
            f"{path} is {price}; it must be finite and at least 0", field=path
        )
    if not item.HasField("vector"):
        path = f"items[{number}].vector"
        raise InvalidArgumentError(f"{path} is missing", field=path)
    if attributes:
        _check_attributes(attributes, f"items[{number}].attributes")
    return Item(id_, product_id, category, price, attributes)


def _check_attributes(attributes: dict[str, str], path: str) -> None:
    checks.count(attributes, 0, _MAX_ATTRIBUTES, path)
    for key, value in attributes.items():
        if len(key) > _MAX_KEY or len(value) > MAX_TEXT_LENGTH:
            raise InvalidArgumentError(
                f"{path} has a key of {len(key)} and a value of {len(value)} characters; the "
                f"limits are {_MAX_KEY} and {MAX_TEXT_LENGTH}",
                field=path,
            )


def _vector(vector: pb.Vector) -> Vector:
    return Vector(vector.values, vector.embedding_space)
