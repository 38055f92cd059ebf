"""Protos ↔ what users see. The only part of the client that reads fields of messages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lookalike.client.descriptions import (
    CacheStatus,
    EmbedderStatus,
    IndexStatus,
    Limits,
    Model,
    ModelOutput,
    Status,
)
from lookalike.client.results import (
    CategoryScore,
    Classification,
    Classified,
    Deleted,
    Embedding,
    FloatVector,
    Ingested,
    Listing,
    ListingFilter,
    NearDuplicate,
    NearDuplicateKind,
    Page,
    SearchResult,
    SimilarListing,
    Timings,
)
from lookalike.embedder.v1 import embedder_pb2
from lookalike.errors import InternalError
from lookalike.gateway.v1 import gateway_pb2 as pb

_KINDS = {
    pb.NEAR_DUPLICATE_KIND_IDENTICAL: NearDuplicateKind.IDENTICAL,
    pb.NEAR_DUPLICATE_KIND_SIMILAR: NearDuplicateKind.SIMILAR,
}


def listing_message(listing: Listing) -> pb.Listing:
    """Returns the message of a listing; what only answers have is left out."""
    return pb.Listing(
        item_id=listing.item_id,
        product_id=listing.product_id,
        category=listing.category,
        title=listing.title,
        price=listing.price,
        location=listing.location,
    )


def filter_message(where: ListingFilter) -> pb.ListingFilter:
    """Returns the message of a filter."""
    return pb.ListingFilter(
        categories=_strings(where.categories),
        min_price=where.min_price,
        max_price=where.max_price,
        locations=_strings(where.locations),
        product_ids=_strings(where.product_ids),
        exclude_product_ids=_strings(where.exclude_product_ids),
        near_duplicates=where.near_duplicates,
    )


def classified(message: pb.ClassifyImageResponse) -> Classified:
    """Reads the answer of ClassifyImage."""
    found = _classification(message.classification)
    return Classified(
        scores=found.scores,
        embedding_space=found.embedding_space,
        embedding=Embedding(_vector(message.vector), found.embedding_space)
        if message.vector
        else None,
        cached=message.cached,
        degraded=message.degraded,
        timings=_timings(message.timings),
    )


def search_result(message: pb.FindSimilarListingsResponse) -> SearchResult:
    """Reads the answer of FindSimilarListings."""
    return SearchResult(
        hits=tuple(SimilarListing(_listing(hit.listing), hit.distance) for hit in message.listings),
        classification=_classification(message.classification)
        if message.HasField("classification")
        else None,
        shortfall=message.shortfall,
        exact=message.exact,
        cached=message.cached,
        degraded=message.degraded,
        applied_seq=message.applied_seq,
        candidates_scanned=message.candidates_scanned,
        timings=_timings(message.timings),
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
        timings=_timings(message.timings),
    )


def deleted(message: pb.DeleteListingResponse) -> Deleted:
    """Reads the answer of DeleteListing."""
    return Deleted(message.deleted, message.seq, message.degraded, _timings(message.timings))


def photos(message: pb.GetListingResponse) -> tuple[Listing, ...]:
    """Reads the answer of GetListing."""
    return tuple(map(_listing, message.photos))


def page(message: pb.ListListingsResponse) -> Page:
    """Reads the answer of ListListings."""
    return Page(
        tuple(map(_listing, message.photos)), message.next_page_token, _timings(message.timings)
    )


def status(message: pb.GetStatusResponse) -> Status:
    """Reads the answer of GetStatus."""
    embedder, index, cache = message.embedder, message.index, message.cache
    return Status(
        version=message.version,
        embedder=EmbedderStatus(
            target=embedder.target,
            ready=embedder.ready,
            model_name=embedder.model_name,
            model_version=embedder.model_version,
            embedding_space=embedder.embedding_space,
            engine=embedder.engine,
            precision=embedder.precision,
            labels=tuple(embedder.labels),
            dimension=embedder.dimension,
        ),
        index=IndexStatus(
            target=index.target,
            ready=index.ready,
            backend=index.backend,
            read_only=index.read_only,
            applied_seq=index.applied_seq,
            collection=index.collection,
            serving_collection=index.serving_collection,
            embedding_space=index.embedding_space,
            photos=index.photos,
            listings=index.listings,
        ),
        cache=CacheStatus(
            entries=cache.entries,
            bytes=cache.bytes,
            max_bytes=cache.max_bytes,
            hits=cache.hits,
            misses=cache.misses,
            coalesced=cache.coalesced,
        ),
        mismatch=message.mismatch,
        timings=_timings(message.timings),
    )


def model(message: embedder_pb2.GetModelResponse) -> Model:
    """Reads the answer of GetModel."""
    found = message.model
    limits = found.limits
    return Model(
        name=found.name,
        version=found.version,
        embedding_space=found.embedding_space,
        labels=tuple(found.labels),
        outputs=tuple(ModelOutput(o.name, o.dimension, o.kind) for o in found.outputs),
        limits=Limits(
            max_image_bytes=limits.max_image_bytes,
            max_image_pixels=limits.max_image_pixels,
            max_message_bytes=limits.max_message_bytes,
            max_stream_in_flight=limits.max_stream_in_flight,
            max_batch_items=limits.max_batch_items,
            max_outputs=limits.max_outputs,
        ),
        engine=found.engine,
        precision=found.precision,
        temperature=found.temperature,
    )


def embedding(message: embedder_pb2.EmbedImageResponse) -> Embedding:
    """Reads the answer of EmbedImage."""
    if not message.embeddings:
        raise InternalError("the embedder's answer has no vector")
    outputs = {e.output: _vector(e.values) for e in message.embeddings}
    first, timings = message.embeddings[0], message.timings
    return Embedding(
        vector=outputs[first.output],
        embedding_space=first.embedding_space,
        output=first.output,
        outputs=outputs,
        timings=Timings(
            decode_ns=timings.decode_ns,
            queue_ns=timings.queue_ns,
            inference_ns=timings.inference_ns,
        ),
    )


def _listing(message: pb.Listing) -> Listing:
    return Listing(
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
    )


def _near_duplicate(message: pb.NearDuplicate) -> NearDuplicate:
    return NearDuplicate(
        item_id=message.item_id,
        product_id=message.product_id,
        # A kind that this release does not know is at least similar.
        kind=_KINDS.get(message.kind, NearDuplicateKind.SIMILAR),
        distance=message.distance,
        linked=message.linked,
    )


def _classification(message: pb.Classification) -> Classification:
    scores = tuple(CategoryScore(s.category, s.index, s.probability) for s in message.scores)
    return Classification(scores, message.embedding_space)


def _vector(values: Sequence[float]) -> FloatVector:
    vector = np.array(values, dtype=np.float32)
    vector.flags.writeable = False
    return vector


def _timings(message: pb.HopTimings) -> Timings:
    return Timings(
        total_ns=message.total_ns,
        embed_ns=message.embed_ns,
        search_ns=message.search_ns,
        decode_ns=message.decode_ns,
        queue_ns=message.queue_ns,
        inference_ns=message.inference_ns,
    )


def _strings(values: Sequence[str]) -> Sequence[str]:
    # A word is a sequence of its letters, and would be filtered by them.
    return (values,) if isinstance(values, str) else values
