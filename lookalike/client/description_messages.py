"""What services say of themselves, from protos: the gateway's status, an embedder's model."""

from __future__ import annotations

from lookalike.client.descriptions import (
    CacheStatus,
    EmbedderStatus,
    FittedRanking,
    IndexStatus,
    Limits,
    Model,
    ModelOutput,
    Status,
)
from lookalike.client.messages import ranking, timings
from lookalike.embedder.v1 import embedder_pb2
from lookalike.gateway.v1 import gateway_pb2 as pb
from lookalike.likeness import Likeness
from lookalike.pricing import PriceRange


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
            features_dimension=embedder.features_dimension,
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
            photos_with_features=index.photos_with_features,
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
        timings=timings(message.timings),
        ranking=ranking(message.ranking),
        lacking=tuple(message.lacking),
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
        ranking=_fitted_ranking(found.ranking) if found.HasField("ranking") else None,
        price_range=_price_range(found.price_range) if found.HasField("price_range") else None,
    )


def _fitted_ranking(message: embedder_pb2.Ranking) -> FittedRanking:
    return FittedRanking(
        output=message.output,
        vector_weight=message.vector_weight,
        candidates=message.candidates,
        blend=_curve(message.blend) if message.HasField("blend") else None,
        features=_curve(message.features) if message.HasField("features") else None,
        category=_curve(message.category) if message.HasField("category") else None,
    )


def _curve(message: embedder_pb2.Likeness) -> Likeness:
    return Likeness(message.intercept, message.distance, message.margin, message.crowd)


def _price_range(message: embedder_pb2.PriceRange) -> PriceRange:
    return PriceRange(message.listings, message.coverage, message.width, message.least_spread)
