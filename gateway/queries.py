"""Converts searches to the index's requests, and its answers to hits."""

from __future__ import annotations

from collections.abc import Sequence

from gateway import items, vectors
from gateway.items import NearPhoto
from gateway.listings import Hit, ItemId, Neighbors, PhotoVector, Rerank, SearchOptions
from lookalike.errors import InvalidArgumentError
from lookalike.index.v1 import index_pb2 as pb

INDEX_TOO_OLD = "the index is of an earlier version, which cannot rank by two vectors: update it"


# What is first in an order has the reciprocal of this there; see `Neighbor.fused_score`.
_FIRST_PLACE = 61


def find(
    collection: str,
    query: ItemId | Sequence[PhotoVector],
    options: SearchOptions,
    rerank: Rerank | None,
    words: str = "",
) -> pb.FindNeighborsRequest:
    """Returns the request for the neighbours of an item or of the mean of vectors, and for words.

    Args:
        collection: Where to look.
        query: The item, or the vectors; no vectors look for words alone.
        options: Filters, limits and how many.
        rerank: How to rank by features; None ranks by vector.
        words: Words to look for too; empty for none.
    """
    return pb.FindNeighborsRequest(
        collection=collection,
        queries=[_query(query, words, with_features=rerank is not None)],
        k=options.k,
        distinct_products=not options.every_photo,
        exclude_same_product=True,
        filter=items.to_filter(options.filter),
        max_distance=options.max_distance,
        rerank=_rerank(rerank),
        exact=options.exact,
        min_seq=options.min_seq,
    )


def found(response: pb.FindNeighborsResponse, orders: int = 0) -> Neighbors:
    """Returns the hits of an answer.

    Args:
        response: The answer.
        orders: How many orders were fused, if words were looked for.
    """
    result = response.results[0]
    ranked, photo = result.candidates_ranked, items.photo
    hits = []
    for near in result.neighbors:
        distance = near.distance
        first = near.first_distance if ranked else distance
        if orders:
            distance = 1 - near.fused_score * _FIRST_PLACE / orders
        hits.append(Hit(photo(near.item), first, distance))
    return Neighbors(
        hits=hits,
        shortfall=result.shortfall,
        exact=result.complete if ranked else result.method == pb.SEARCH_METHOD_EXACT,
        applied_seq=response.applied_seq,
        candidates_scanned=result.candidates_scanned,
        candidates_ranked=ranked,
    )


def near(response: pb.FindNeighborsResponse) -> list[NearPhoto]:
    """Returns the photos of an answer with all that is stored of them."""
    result = response.results[0]
    if not result.candidates_ranked:
        return [NearPhoto(items.stored_photo(n.item), n.distance) for n in result.neighbors]
    return [
        NearPhoto(items.stored_photo(n.item), n.first_distance, n.distance)
        for n in result.neighbors
    ]


def why_not_ranked(error: InvalidArgumentError, request: pb.FindNeighborsRequest) -> str:
    """Returns why the collection or the item cannot be re-ranked; empty for any other error."""
    if not request.HasField("rerank"):
        return ""
    query = request.queries[0]
    if query.WhichOneof("target") == "item_id" and error.field == "vector.features":
        return without_features(query.item_id)
    return error.message if error.field.startswith("rerank") else ""


def without_features(item_id: str) -> str:
    """Returns the sentence about an item that has no features to rank by."""
    return f"photo '{item_id}' has no features to rank by: embed it anew (lookalike reindex)"


def _query(query: ItemId | Sequence[PhotoVector], words: str, *, with_features: bool) -> pb.Query:
    if isinstance(query, ItemId):
        return pb.Query(item_id=query.item_id)
    if not query:
        return pb.Query(words=words)
    features = vectors.mean_features(query) if with_features else ()
    sent = [items.vector(each) for each in query]
    if len(sent) == 1:
        return pb.Query(vector=sent[0], features=features, words=words)
    positives = pb.Examples(positives=[pb.Example(vector=each) for each in sent])
    return pb.Query(examples=positives, features=features)


def _rerank(rerank: Rerank | None) -> pb.Rerank | None:
    if rerank is None:
        return None
    return pb.Rerank(candidates=rerank.candidates, vector_weight=rerank.vector_weight)
