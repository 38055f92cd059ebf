"""Converts between the index's messages and the values that users see."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import TypeVar

import numpy as np

from lookalike.client.index.answers import (
    AliasSet,
    CollectionState,
    IndexState,
    ItemCount,
    ItemPage,
    ItemsDeleted,
    Neighbor,
    NeighborsFound,
    QueryResult,
    RangeFound,
    Snapshot,
    Upserted,
)
from lookalike.client.index.values import (
    Collection,
    Example,
    Item,
    ItemFilter,
    ItemView,
    Metric,
    Query,
    Rerank,
)
from lookalike.client.messages import read_only_vector, strings
from lookalike.client.results import Embedding, FloatVector
from lookalike.client.text import message as message_of
from lookalike.errors import InternalError, InvalidArgumentError
from lookalike.index.v1 import index_pb2 as pb

Word = TypeVar("Word", bound=StrEnum)

_METRICS = {
    Metric.SQUARED_L2: pb.METRIC_SQUARED_L2,
    Metric.COSINE: pb.METRIC_COSINE,
    Metric.INNER_PRODUCT: pb.METRIC_INNER_PRODUCT,
}
_METRICS_READ = {number: metric for metric, number in _METRICS.items()}
_VIEWS = {
    ItemView.IDS: pb.ITEM_VIEW_IDS,
    ItemView.FULL: pb.ITEM_VIEW_FULL,
    ItemView.VECTORS: pb.ITEM_VIEW_VECTORS,
}


def collection_message(wanted: Collection) -> pb.Collection:
    """Returns the message of a collection; what only answers have is left out."""
    return message_of(pb.Collection, "collection")(
        name=wanted.name,
        embedding_space=wanted.embedding_space,
        dimension=wanted.dimension,
        metric=_METRICS[_known(Metric, wanted.metric, "metric")],
        indexed_attributes=strings(wanted.indexed_attributes),
        features_dimension=wanted.features_dimension,
        exact_up_to=wanted.exact_up_to,
        target_recall=wanted.target_recall,
        text_attributes=strings(wanted.text_attributes),
    )


def collection(message: pb.Collection) -> Collection:
    """Reads a collection."""
    metric = _METRICS_READ.get(message.metric)
    if metric is None:
        raise InternalError(
            f"collection '{message.name}' has the metric {message.metric}, which this version of "
            "the client does not know: update it"
        )
    return Collection(
        name=message.name,
        embedding_space=message.embedding_space,
        dimension=message.dimension,
        metric=metric,
        indexed_attributes=tuple(message.indexed_attributes),
        features_dimension=message.features_dimension,
        exact_up_to=message.exact_up_to,
        target_recall=message.target_recall,
        item_count=message.item_count,
        text_attributes=tuple(message.text_attributes),
    )


def view(wanted: ItemView | str) -> pb.ItemView.ValueType:
    """Returns the value of the enum."""
    return _VIEWS[_known(ItemView, wanted, "view")]


def item_message(sent: Item, field: str = "item") -> pb.Item:
    """Returns the message of an item; errors name its field."""
    return message_of(pb.Item, field)(
        id=sent.id,
        product_id=sent.product_id,
        category=sent.category,
        price=sent.price,
        attributes=sent.attributes,
        vector=None if sent.vector is None else _vector_message(sent.vector, field),
        features=_floats(sent.features),
    )


def item(message: pb.Item) -> Item:
    """Reads an item, with the vectors that it has."""
    vector, features = message.vector, message.features
    return Item(
        id=message.id,
        product_id=message.product_id,
        vector=Embedding(read_only_vector(vector.values), vector.embedding_space)
        if message.HasField("vector")
        else None,
        features=read_only_vector(features) if features else None,
        category=message.category,
        price=message.price if message.HasField("price") else None,
        attributes=dict(message.attributes),
    )


def filter_message(where: ItemFilter | None) -> pb.Filter | None:
    """Returns the message of a filter."""
    if where is None:
        return None
    return message_of(pb.Filter, "filter")(
        categories=strings(where.categories),
        product_ids=strings(where.product_ids),
        exclude_product_ids=strings(where.exclude_product_ids),
        min_price=where.min_price,
        max_price=where.max_price,
        attributes=[
            message_of(pb.AttributeFilter, "filter.attributes")(key=key, values=strings(values))
            for key, values in where.attributes.items()
        ],
    )


def query_message(query: Example | Query, field: str) -> pb.Query:
    """Returns the message of a query; errors name its field."""
    if not isinstance(query, Query):
        query = Query(query)
    positives = _examples(query.positives, f"{field}.positives")
    negatives = _examples(query.negatives, f"{field}.negatives")
    make = message_of(pb.Query, field)
    features, words = _floats(query.features), query.words
    if words and not (positives or negatives):
        return make(features=features, words=words)
    if len(positives) != 1 or negatives:
        examples = pb.Examples(positives=positives, negatives=negatives)
        return make(examples=examples, features=features, words=words)
    (only,) = positives
    if only.HasField("vector"):
        return make(vector=only.vector, features=features, words=words)
    return make(item_id=only.item_id, features=features, words=words)


def rerank_message(wanted: Rerank | None) -> pb.Rerank | None:
    """Returns the message of a second stage."""
    if wanted is None:
        return None
    return pb.Rerank(
        candidates=wanted.candidates,
        vector_weight=wanted.vector_weight,
        max_distance=wanted.max_distance,
    )


def alias_set(message: pb.SetAliasResponse) -> AliasSet:
    """Reads the answer of SetAlias."""
    return AliasSet(message.seq, message.previous_collection)


def upserted(message: pb.BatchUpsertItemsResponse) -> Upserted:
    """Reads the answer of BatchUpsertItems."""
    return Upserted(message.seq, message.inserted, message.replaced)


def deleted(message: pb.BatchDeleteItemsResponse) -> ItemsDeleted:
    """Reads the answer of BatchDeleteItems."""
    return ItemsDeleted(message.seq, message.deleted)


def page(message: pb.ListItemsResponse) -> ItemPage:
    """Reads the answer of ListItems."""
    return ItemPage(tuple(map(item, message.items)), message.next_page_token)


def count(message: pb.CountItemsResponse) -> ItemCount:
    """Reads the answer of CountItems."""
    return ItemCount(message.items, message.products, message.applied_seq)


def neighbors_found(message: pb.FindNeighborsResponse) -> NeighborsFound:
    """Reads the answer of FindNeighbors."""
    return NeighborsFound(
        results=tuple(map(_query_result, message.results)),
        applied_seq=message.applied_seq,
        collection=message.collection,
        embedding_space=message.embedding_space,
        features_dimension=message.features_dimension,
    )


def range_found(message: pb.SearchRangeResponse) -> RangeFound:
    """Reads the answer of SearchRange."""
    return RangeFound(
        neighbors=_neighbors(message.neighbors),
        total=message.total,
        applied_seq=message.applied_seq,
        embedding_space=message.embedding_space,
    )


def snapshot(message: pb.CreateSnapshotResponse) -> Snapshot:
    """Reads the answer of CreateSnapshot."""
    written = message.snapshot
    return Snapshot(written.name, written.seq, written.size_bytes)


def index_state(message: pb.GetIndexResponse) -> IndexState:
    """Reads the answer of GetIndex."""
    return IndexState(
        backend=message.backend,
        read_only=message.read_only,
        applied_seq=message.applied_seq,
        collections=tuple(map(_collection_state, message.collections)),
    )


def _known(words: type[Word], value: str, field: str) -> Word:
    try:
        return words(value)
    except ValueError:
        known = ", ".join(words)
        raise InvalidArgumentError(
            f"{field} is {value!r}; it must be one of {known}", field=field
        ) from None


def _query_result(message: pb.QueryResult) -> QueryResult:
    return QueryResult(
        neighbors=_neighbors(message.neighbors),
        exact=message.method == pb.SEARCH_METHOD_EXACT,
        complete=message.complete,
        shortfall=message.shortfall,
        candidates_scanned=message.candidates_scanned,
        candidates_ranked=message.candidates_ranked,
        words_matched=message.words_matched,
    )


def _neighbors(messages: Iterable[pb.Neighbor]) -> tuple[Neighbor, ...]:
    return tuple(
        Neighbor(
            item(near.item),
            near.distance,
            near.first_distance if near.HasField("first_distance") else near.distance,
            near.fused_score if near.HasField("fused_score") else None,
        )
        for near in messages
    )


def _collection_state(message: pb.CollectionState) -> CollectionState:
    return CollectionState(
        name=message.name,
        items=message.items,
        items_in_graph=message.items_in_graph,
        deleted_rows=message.deleted_rows,
        memory_bytes=message.memory_bytes,
        recall=message.recall if message.HasField("recall") else None,
        recall_samples=message.recall_samples,
        search_effort=message.search_effort,
        items_with_features=message.items_with_features,
        feature_rows_in_memory=message.feature_rows_in_memory,
        most_candidates=message.most_candidates,
    )


def _vector_message(vector: Embedding, field: str) -> pb.Vector:
    make = message_of(pb.Vector, f"{field}.vector")
    return make(values=_floats(vector.vector), embedding_space=vector.embedding_space)


def _examples(several: Example | Sequence[Example], field: str) -> list[pb.Example]:
    # A str would be taken as a sequence of letters.
    examples = (several,) if isinstance(several, str | Embedding) else several
    return [
        message_of(pb.Example, f"{field}[{i}]")(item_id=each)
        if isinstance(each, str)
        else pb.Example(vector=_vector_message(each, f"{field}[{i}]"))
        for i, each in enumerate(examples)
    ]


def _floats(values: FloatVector | None) -> list[float]:
    return [] if values is None else np.asarray(values, np.float32).tolist()
