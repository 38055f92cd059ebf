"""Descriptions that services give of themselves: the gateway's status, an embedder's model."""

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
        engine: `openvino` or `torch`.
        precision: `fp32`, `bf16`, `fp16` or `int8`.
        labels: Category labels, in the model's order.
        dimension: Number of floats of the default output.
        features_dimension: Number of floats of the output to rank by; 0 if there is none.
        text_encoder: The language model that reads words; empty if the model reads none.
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
    text_encoder: str = ""


@dataclass(frozen=True)
class IndexStatus:
    """The index as the gateway sees it.

    Attributes:
        target: Where the gateway calls it.
        ready: Whether it can be reached and is serving.
        backend: `native` or `milvus`.
        read_only: Whether it takes no writes.
        applied_seq: The newest write that is visible.
        collection: The collection or alias that the gateway is configured with.
        serving_collection: The collection behind it; empty if there is none yet.
        embedding_space: Embedding space of that collection.
        photos: Number of its photos.
        listings: Number of its listings.
        photos_with_features: Number of its photos with features to rank by.
        finds_words: Whether words of titles and descriptions can be looked for.
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
    finds_words: bool = False


@dataclass(frozen=True)
class CacheStatus:
    """The gateway's cache of vectors: its size, and how often photos were found in it."""

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
        version: Version of the gateway.
        embedder: The embedders.
        index: The index.
        cache: The gateway's cache of vectors.
        mismatch: Why the model cannot be used with the catalogue; empty if it can, or if that is
            unknown.
        timings: Where the time went.
        ranking: The ranking where a caller does not name one; None if the gateway is too old to
            report it.
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
        """Whether both upstreams serve, and model and catalogue match."""
        return self.embedder.ready and self.index.ready and not self.mismatch


@dataclass(frozen=True)
class ModelOutput:
    """An output of a model; `kind` is `logits` or `embedding`."""

    name: str
    dimension: int
    kind: str


@dataclass(frozen=True)
class Limits:
    """Limits of an embedder; 0 where it reports none.

    Attributes:
        max_image_bytes: Largest encoded photo.
        max_image_pixels: Largest decoded photo, width x height.
        max_message_bytes: Largest request.
        max_stream_in_flight: Most unanswered photos of one stream.
        max_batch_items: Most photos of one batch request.
        max_outputs: Most outputs of one photo.
        max_text_length: Longest title or description, in characters; 0 if the model reads no words.
    """

    max_image_bytes: int = 0
    max_image_pixels: int = 0
    max_message_bytes: int = 0
    max_stream_in_flight: int = 0
    max_batch_items: int = 0
    max_outputs: int = 0
    max_text_length: int = 0


@dataclass(frozen=True)
class TextTower:
    """The part of a model that reads words, into the outputs that photos have.

    The category of photos and words together is that of `photos_weight` x logits of photos +
    `words_weight` x logits of words.

    Attributes:
        encoder: The language model that it was made from.
        max_tokens: Tokens of a text that are read; what is beyond them is left out.
        precision: `fp32`, `bf16` or `int8`.
        temperature: Divides the logits of words before the softmax.
        photos_weight: Weight of the photos' logits.
        words_weight: Weight of the words' logits.
        photos_alone_weight: Weight of the mean logits of several photos without words.
    """

    encoder: str
    max_tokens: int
    precision: str = ""
    temperature: float = 0.0
    photos_weight: float = 0.0
    words_weight: float = 0.0
    photos_alone_weight: float = 0.0


@dataclass(frozen=True)
class FittedRanking:
    """How to rank listings by two outputs of a model, fitted on validation photos.

    Attributes:
        output: The output whose cosine distance ranks candidates, for example `features`.
        vector_weight: Weight of the distance by the default output beside it.
        candidates: How many of the nearest by the default output are ranked.
        blend: Likeness of listings ranked by the weighted sum; None if it was not fitted.
        features: Likeness of listings ranked by the cosine distance of `output` alone.
        category: Likeness of listings ranked by the distance of the default output alone.
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
        name: Name of the model bundle.
        version: Version of the model bundle.
        embedding_space: The model's fingerprint.
        labels: Category labels, in the order of the `category` output's values.
        outputs: Its outputs; the first is the default.
        limits: The embedder's limits.
        engine: `openvino` or `torch`.
        precision: `fp32`, `bf16`, `fp16` or `int8`.
        temperature: Divides the logits before the softmax; 0 if it was not fitted.
        ranking: How to rank listings by its outputs; None if that was not fitted.
        price_range: How to make a range of prices; None if that was not fitted.
        text: How words are read; None if the model reads none.
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
    text: TextTower | None = None
