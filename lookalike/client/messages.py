"""Converts between messages and the values that users see, for photos and listings.

Only this module and `description_messages.py` read fields of messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from lookalike.catalogue.listings import (
    CataloguePhoto,
    ListingFilter,
    NearDuplicate,
    NearDuplicateKind,
)
from lookalike.client.results import (
    CategoryScore,
    Classification,
    Classified,
    Deleted,
    Embedding,
    FloatVector,
    Ingested,
    Page,
    PhotoFailure,
    PriceEstimate,
    PriceOutlier,
    Ranking,
    ReadWords,
    SearchResult,
    SimilarListing,
    TextEmbedding,
    Timings,
)
from lookalike.client.text import message as message_of
from lookalike.embedder.v1 import embedder_pb2
from lookalike.errors import InternalError, InvalidArgumentError
from lookalike.gateway.v1 import gateway_pb2 as pb
from lookalike.status import from_status

_KINDS = {
    pb.NEAR_DUPLICATE_KIND_IDENTICAL: NearDuplicateKind.IDENTICAL,
    pb.NEAR_DUPLICATE_KIND_SIMILAR: NearDuplicateKind.SIMILAR,
}
_METHODS = {
    Ranking.BLEND: pb.RANKING_METHOD_BLEND,
    Ranking.FEATURES: pb.RANKING_METHOD_FEATURES,
    Ranking.CATEGORY: pb.RANKING_METHOD_CATEGORY,
    Ranking.HYBRID: pb.RANKING_METHOD_HYBRID,
    Ranking.WORDS: pb.RANKING_METHOD_WORDS,
}
_RANKINGS = {method: ranking for ranking, method in _METHODS.items()}


def photo_message(photo: CataloguePhoto) -> pb.CataloguePhoto:
    """Returns the message of a photo, without the fields that only answers have."""
    return message_of(pb.CataloguePhoto, "photo")(
        item_id=photo.item_id,
        product_id=photo.product_id,
        category=photo.category,
        title=photo.title,
        price=photo.price,
        location=photo.location,
        currency=photo.currency,
        description=photo.description,
    )


def ranking_method(wanted: Ranking | str | None) -> pb.RankingMethod.ValueType:
    """Returns the value of the enum; None leaves it to the gateway.

    Raises:
        InvalidArgumentError: It is none of the words of `Ranking`.
    """
    if wanted is None:
        return pb.RANKING_METHOD_UNSPECIFIED
    try:
        return _METHODS[Ranking(wanted)]
    except ValueError:
        known = ", ".join(Ranking)
        raise InvalidArgumentError(
            f"ranking is {wanted!r}; it must be one of {known}, or None for the best that there is",
            field="ranking",
        ) from None


def ranking(method: pb.RankingMethod.ValueType) -> Ranking | None:
    """Reads the enum; None for a value that an older gateway leaves unset or a newer one added."""
    return _RANKINGS.get(method)


def filter_message(where: ListingFilter) -> pb.ListingFilter:
    """Returns the message of a filter."""
    return message_of(pb.ListingFilter, "filter")(
        categories=strings(where.categories),
        min_price=where.min_price,
        max_price=where.max_price,
        locations=strings(where.locations),
        product_ids=strings(where.product_ids),
        exclude_product_ids=strings(where.exclude_product_ids),
        near_duplicates=where.near_duplicates,
    )


def classified(message: pb.ClassifyImageResponse) -> Classified:
    """Reads the answer of ClassifyImage."""
    found = _classification(message.classification)
    return Classified(
        scores=found.scores,
        embedding_space=found.embedding_space,
        embedding=Embedding(read_only_vector(message.vector), found.embedding_space)
        if message.vector
        else None,
        cached=message.cached,
        degraded=message.degraded,
        timings=timings(message.timings),
    )


def listing_classified(message: pb.ClassifyListingResponse) -> Classified:
    """Reads the answer of ClassifyListing."""
    found = _classification(message.classification)
    return Classified(
        scores=found.scores,
        embedding_space=found.embedding_space,
        cached=message.cached,
        degraded=message.degraded,
        timings=timings(message.timings),
        photos=tuple(_classification(one) if one.scores else None for one in message.photos),
        failures=_failures(message.failures),
        words=_read_words(message.words) if message.HasField("words") else None,
    )


def search_result(message: pb.FindSimilarListingsResponse) -> SearchResult:
    """Reads the answer of FindSimilarListings."""
    # An older gateway leaves it unset, and ranks by distance.
    by_distance = message.ranking == pb.RANKING_METHOD_UNSPECIFIED
    return SearchResult(
        hits=tuple(_similar(hit, by_distance=by_distance) for hit in message.listings),
        classification=_classification(message.classification)
        if message.HasField("classification")
        else None,
        shortfall=message.shortfall,
        exact=message.exact,
        cached=message.cached,
        degraded=message.degraded,
        applied_seq=message.applied_seq,
        candidates_scanned=message.candidates_scanned,
        timings=timings(message.timings),
        ranking=ranking(message.ranking),
        candidates_ranked=message.candidates_ranked,
        price=_price(message.price) if message.HasField("price") else None,
        failures=_failures(message.failures),
    )


def ingested(message: pb.IngestListingResponse) -> Ingested:
    """Reads the answer of IngestListing."""
    return Ingested(
        classification=_classification(message.classification),
        seq=message.seq,
        replaced=message.replaced,
        near_duplicates=tuple(map(_near_duplicate, message.near_duplicates)),
        cached=message.cached,
        degraded=message.degraded,
        timings=timings(message.timings),
    )


def deleted(message: pb.DeleteListingResponse) -> Deleted:
    """Reads the answer of DeleteListing."""
    return Deleted(message.deleted, message.seq, message.degraded, timings(message.timings))


def photos(message: pb.GetListingResponse) -> tuple[CataloguePhoto, ...]:
    """Reads the answer of GetListing."""
    return tuple(map(_photo, message.photos))


def page(message: pb.ListListingsResponse) -> Page:
    """Reads the answer of ListListings."""
    return Page(
        tuple(map(_photo, message.photos)), message.next_page_token, timings(message.timings)
    )


def embedding(message: embedder_pb2.EmbedImageResponse) -> Embedding:
    """Reads the answer of EmbedImage."""
    return Embedding(**_embedded(message))


def text_embedding(message: embedder_pb2.EmbedTextResponse) -> TextEmbedding:
    """Reads the answer of EmbedText."""
    return TextEmbedding(**_embedded(message), tokens=message.tokens, truncated=message.truncated)


def _embedded(
    message: embedder_pb2.EmbedImageResponse | embedder_pb2.EmbedTextResponse,
) -> dict[str, Any]:
    if not message.embeddings:
        raise InternalError("the embedder's answer has no vector")
    outputs = {e.output: read_only_vector(e.values) for e in message.embeddings}
    first, timings = message.embeddings[0], message.timings
    return {
        "vector": outputs[first.output],
        "embedding_space": first.embedding_space,
        "output": first.output,
        "outputs": outputs,
        "timings": Timings(
            decode_ns=timings.decode_ns,
            queue_ns=timings.queue_ns,
            inference_ns=timings.inference_ns,
        ),
    }


def _photo(message: pb.CataloguePhoto) -> CataloguePhoto:
    return CataloguePhoto(
        item_id=message.item_id,
        product_id=message.product_id,
        category=message.category,
        title=message.title,
        price=message.price if message.HasField("price") else None,
        location=message.location,
        near_duplicate=_near_duplicate(message.near_duplicate)
        if message.HasField("near_duplicate")
        else None,
        has_thumbnail=message.has_thumbnail,
        currency=message.currency,
        description=message.description,
    )


def _similar(message: pb.SimilarListing, *, by_distance: bool) -> SimilarListing:
    return SimilarListing(
        photo=_photo(message.photo),
        distance=message.distance,
        likeness=message.likeness if message.HasField("likeness") else None,
        ranked_by=message.distance if by_distance else message.ranked_by,
    )


def _price(message: pb.PriceEstimate) -> PriceEstimate:
    return PriceEstimate(
        median=message.median,
        low=message.low,
        high=message.high,
        coverage=message.coverage,
        listings=message.listings,
        currency=message.currency,
        outliers=tuple(PriceOutlier(o.item_id, o.product_id, o.price) for o in message.outliers),
    )


def _failures(messages: Iterable[pb.PhotoFailure]) -> tuple[PhotoFailure, ...]:
    return tuple(PhotoFailure(failed.photo, from_status(failed.error)) for failed in messages)


def _near_duplicate(message: pb.NearDuplicate) -> NearDuplicate:
    return NearDuplicate(
        item_id=message.item_id,
        product_id=message.product_id,
        # A kind that a newer gateway added is at least similar.
        kind=_KINDS.get(message.kind, NearDuplicateKind.SIMILAR),
        distance=message.distance,
        linked=message.linked,
    )


def _classification(message: pb.Classification) -> Classification:
    scores = tuple(CategoryScore(s.category, s.index, s.probability) for s in message.scores)
    return Classification(scores, message.embedding_space)


def _read_words(message: pb.ReadWords) -> ReadWords:
    found = _classification(message.classification)
    return ReadWords(found.scores, found.embedding_space, message.tokens, message.truncated)


def read_only_vector(values: Sequence[float]) -> FloatVector:
    """Returns values as an array that cannot be written to."""
    vector = np.array(values, dtype=np.float32)
    vector.flags.writeable = False
    return vector


def timings(message: pb.HopTimings) -> Timings:
    return Timings(
        total_ns=message.total_ns,
        embed_ns=message.embed_ns,
        search_ns=message.search_ns,
        decode_ns=message.decode_ns,
        queue_ns=message.queue_ns,
        inference_ns=message.inference_ns,
    )


def strings(values: Sequence[str]) -> Sequence[str]:
    """Returns texts as a sequence; a single one becomes a sequence of one."""
    # A str would be taken as a sequence of letters.
    return (values,) if isinstance(values, str) else values
