"""What services say of themselves: the gateway's status, an embedder's model."""

from __future__ import annotations

from dataclasses import dataclass

from lookalike.client.results import NO_TIMINGS, Ranking, Timings
from lookalike.likeness import Likeness
from lookalike.pricing import PriceRange


@dataclass(frozen=True)
class EmbedderStatus:
    """The embedders as the gateway sees them.

    Attributes:
        target: Where the gateway calls them.
        ready: Whether one of them can be reached and is serving.
        model_name: Name of the model bundle.
        model_version: Its version.
        embedding_space: Its embedding space.
        engine: What runs it: `openvino` or `torch`.
        precision: `fp32`, `bf16`, `fp16` or `int8`.
        labels: Category labels, in the model's order.
        dimension: Floats of the default output.
        features_dimension: Floats of the output that listings are ranked by too; 0 for none.
    """

    target: str
    ready: bool
    model_name: str = ""
    model_version: str = ""
    embedding_space: str = ""
    engine: str = ""
    precision: str = ""
    labels: tuple[str, ...] = ()
    dimension: int = 0
    features_dimension: int = 0


@dataclass(frozen=True)
class IndexStatus:
    """The index as the gateway sees it.

    Attributes:
        target: Where the gateway calls it.
        ready: Whether it can be reached and is serving.
        backend: `native` or `milvus`.
        read_only: Whether it takes no writes.
        applied_seq: The newest write that is visible.
        collection: The collection or alias that the gateway is told to use.
        serving_collection: The collection that this leads to; empty if there is none yet.
        embedding_space: Of that collection.
        photos: How many it holds.
        listings: Of how many listings.
        photos_with_features: How many of the photos have features to be ranked by.
    """

    target: str
    ready: bool
    backend: str = ""
    read_only: bool = False
    applied_seq: int = 0
    collection: str = ""
    serving_collection: str = ""
    embedding_space: str = ""
    photos: int = 0
    listings: int = 0
    photos_with_features: int = 0


@dataclass(frozen=True)
class CacheStatus:
    """The gateway's cache of vectors: its size, and how photos fared with it."""

    entries: int = 0
    bytes: int = 0
    max_bytes: int = 0
    hits: int = 0
    misses: int = 0
    coalesced: int = 0


@dataclass(frozen=True)
class Status:
    """The answer of `status`.

    Attributes:
        version: Of the gateway's software.
        embedder: The embedders.
        index: The index.
        cache: What the gateway keeps of photos it has seen.
        mismatch: Why model and catalogue do not belong together; empty if they do, or if that is
            not known.
        timings: Where the time went.
        ranking: By what listings are ranked where a caller does not say; None if the gateway is too
            old to tell.
        lacking: What model or catalogue lack for the best answers, and which command adds it.
    """

    version: str
    embedder: EmbedderStatus
    index: IndexStatus
    cache: CacheStatus = CacheStatus()
    mismatch: str = ""
    timings: Timings = NO_TIMINGS
    ranking: Ranking | None = None
    lacking: tuple[str, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether both upstreams serve, and model and catalogue belong together."""
        return self.embedder.ready and self.index.ready and not self.mismatch


@dataclass(frozen=True)
class ModelOutput:
    """A vector that a model can return: its name, number of floats, and `logits` or `embedding`."""

    name: str
    dimension: int
    kind: str


@dataclass(frozen=True)
class Limits:
    """What an embedder accepts; 0 where it does not say.

    Attributes:
        max_image_bytes: Largest encoded photo.
        max_image_pixels: Largest decoded photo, width x height.
        max_message_bytes: Largest request.
        max_stream_in_flight: Most unanswered photos of one stream.
        max_batch_items: Most photos of one batch request.
        max_outputs: Most outputs of one photo.
    """

    max_image_bytes: int = 0
    max_image_pixels: int = 0
    max_message_bytes: int = 0
    max_stream_in_flight: int = 0
    max_batch_items: int = 0
    max_outputs: int = 0


@dataclass(frozen=True)
class FittedRanking:
    """How listings are best ranked by two outputs of a model, fitted on validation photos.

    Attributes:
        output: By whose cosine distance candidates are ranked, for example `features`.
        vector_weight: What a distance by the default output counts beside it.
        candidates: How many of the nearest by the default output are ranked.
        blend: How likely a photo shows the same item, of listings ranked by the sum of both; None
            if it was not fitted.
        features: The same of listings ranked by the cosine distance of `output` alone.
        category: The same of listings ranked by the distance of the default output alone.
    """

    output: str
    vector_weight: float
    candidates: int
    blend: Likeness | None = None
    features: Likeness | None = None
    category: Likeness | None = None


@dataclass(frozen=True)
class Model:
    """The answer of `model`: what an embedder serves.

    Attributes:
        name: Of the model bundle.
        version: Of the model bundle.
        embedding_space: Its fingerprint.
        labels: Category labels, in the order of the `category` output's values.
        outputs: What it can return; the first is the default.
        limits: What the embedder accepts.
        engine: `openvino` or `torch`.
        precision: `fp32`, `bf16`, `fp16` or `int8`.
        temperature: What logits are divided by before the softmax; 0 if nothing was fitted.
        ranking: How listings are best ranked by its outputs; None if nothing was fitted.
        price_range: How prices of similar listings become a range; None likewise.
    """

    name: str
    version: str
    embedding_space: str
    labels: tuple[str, ...]
    outputs: tuple[ModelOutput, ...]
    limits: Limits
    engine: str = ""
    precision: str = ""
    temperature: float = 0.0
    ranking: FittedRanking | None = None
    price_range: PriceRange | None = None
