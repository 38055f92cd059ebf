"""Converts the service's values to replies."""

from __future__ import annotations

from collections.abc import Sequence

from index_service.records import (
    Answer,
    Collection,
    CollectionState,
    FullItem,
    Item,
    Method,
    Neighbors,
    QueryAnswer,
    RangeAnswer,
    View,
)
from index_service.validation import METRICS
from lookalike.index.v1 import index_pb2 as pb

_METRICS = {metric: number for number, metric in METRICS.items()}
_METHODS = {
    Method.EXACT: pb.SEARCH_METHOD_EXACT,
    Method.APPROXIMATE: pb.SEARCH_METHOD_APPROXIMATE,
}
# Some 5 MB; if all of them were replaced meanwhile, 12 to 20 MB more.
_MOST_ENCODED = 20_000


def collection(described: Collection, item_count: int) -> pb.Collection:
    """Converts a collection."""
    return pb.Collection(
        name=described.name,
        embedding_space=described.embedding_space,
        dimension=described.dimension,
        metric=_METRICS[described.metric],
        item_count=item_count,
        indexed_attributes=described.indexed_attributes,
        features_dimension=described.features_dimension,
        exact_up_to=described.full_scan_threshold,
        target_recall=described.target_recall,
        text_attributes=described.text_attributes,
    )


def item(found: Item, view: View = View.FULL) -> pb.Item:
    """Converts an item without its vectors."""
    if view is View.IDS:
        return pb.Item(id=found.id, product_id=found.product_id)
    return pb.Item(
        id=found.id,
        product_id=found.product_id,
        category=found.category,
        price=found.price,
        attributes=found.attributes,
    )


def full_item(found: FullItem, described: Collection, view: View = View.VECTORS) -> pb.Item:
    """Converts an item, with its vectors if the view includes them."""
    message = item(found.item, view)
    if view is View.VECTORS:
        message.vector.values.extend(found.vector.tolist())
        message.vector.embedding_space = described.embedding_space
        if found.features is not None:
            message.features.extend(found.features.tolist())
    return message


class EncodedItems:
    """Caches items as encoded messages, by the identity of the item.

    The index caches items, so an item that is found again is the same object. Building its message
    again would cost more than the search. Encoded, it takes a sixth of a message's memory, and is
    copied into a reply as quickly.

    Args:
        most: At how many items, or 20,000, all are dropped. Items that were replaced stay until
            then, so it should be no more than the index itself caches.
    """

    def __init__(self, most: int) -> None:
        self._most = min(most, _MOST_ENCODED)
        self._kept: dict[int, tuple[Item, bytes]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, wanted: Item) -> bytes:
        """Returns an item's message without its vectors, encoded."""
        kept = self._kept.get(id(wanted))
        if kept is not None and kept[0] is wanted:
            return kept[1]
        if len(self._kept) >= self._most:
            self._kept.clear()
        encoded: bytes = item(wanted).SerializeToString()
        self._kept[id(wanted)] = wanted, encoded
        return encoded


def neighbors(
    near: Neighbors,
    view: View,
    encoded: EncodedItems,
    fused_scores: Sequence[float] | None = None,
) -> list[pb.Neighbor]:
    """Converts neighbours, with their items."""
    nothing: Sequence[float | None] = [None] * len(near.items)
    columns = zip(
        near.distances, near.first_distances or nothing, fused_scores or nothing, strict=True
    )
    found = [
        pb.Neighbor(distance=distance, first_distance=first, fused_score=fused)
        for distance, first, fused in columns
    ]
    for neighbor, each in zip(found, near.items, strict=True):
        if view is View.IDS:
            neighbor.item.id, neighbor.item.product_id = each.id, each.product_id
        else:
            neighbor.item.MergeFromString(encoded.of(each))
    return found


def found(
    answer: Answer, view: View, encoded: EncodedItems, columns: bool
) -> pb.FindNeighborsResponse:
    """Converts the answers to a call's queries, to messages or to columns."""
    return pb.FindNeighborsResponse(
        results=() if columns else [_result(result, view, encoded) for result in answer.results],
        columns=_columns(answer) if columns else None,
        applied_seq=answer.applied_seq,
        embedding_space=answer.collection.embedding_space,
        collection=answer.collection.name,
        features_dimension=answer.collection.features_dimension,
    )


def in_range(answer: RangeAnswer, view: View, encoded: EncodedItems) -> pb.SearchRangeResponse:
    """Converts the answer to a range search."""
    return pb.SearchRangeResponse(
        neighbors=neighbors(answer.neighbors, view, encoded),
        total=answer.total,
        applied_seq=answer.applied_seq,
        embedding_space=answer.collection.embedding_space,
    )


def state(described: CollectionState) -> pb.CollectionState:
    """Converts the state of a collection."""
    return pb.CollectionState(
        name=described.name,
        items=described.items,
        items_in_graph=described.items_in_graph,
        deleted_rows=described.deleted_rows,
        memory_bytes=described.memory_bytes,
        recall=described.recall,
        recall_samples=described.recall_samples,
        search_effort=described.ef_search,
        items_with_features=described.items_with_features,
        feature_rows_in_memory=described.feature_rows_in_memory,
        most_candidates=described.most_candidates,
    )


def _result(answer: QueryAnswer, view: View, encoded: EncodedItems) -> pb.QueryResult:
    return pb.QueryResult(
        neighbors=neighbors(answer.neighbors, view, encoded, answer.fused_scores),
        method=_METHODS[answer.method],
        candidates_scanned=answer.candidates_scanned,
        shortfall=answer.shortfall,
        candidates_ranked=answer.ranked,
        complete=answer.complete,
        words_matched=answer.words_matched,
    )


def _columns(answer: Answer) -> pb.NeighborColumns:
    results = answer.results
    every = [item for result in results for item in result.neighbors.items]
    return pb.NeighborColumns(
        counts=[len(result.neighbors.items) for result in results],
        item_ids=[item.id for item in every],
        product_ids=[item.product_id for item in every],
        distances=[d for result in results for d in result.neighbors.distances],
        methods=[_METHODS[result.method] for result in results],
        candidates_scanned=[result.candidates_scanned for result in results],
    )
