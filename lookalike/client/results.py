"""Results of the client: frozen dataclasses, independent of protos and gRPC.

Vectors are read-only NumPy arrays of float32.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lookalike.catalogue.listings import CataloguePhoto, NearDuplicate
from lookalike.errors import LookalikeError
from lookalike.likeness import likeness_words

FloatVector: TypeAlias = NDArray[np.float32]


class Ranking(StrEnum):
    """What similar listings are ranked by."""

    BLEND = "blend"
    """By both outputs of the model: what tells two items apart, and what tells categories apart."""
    FEATURES = "features"
    """By what tells two items apart alone."""
    CATEGORY = "category"
    """By the distance of the default output alone, as earlier systems did."""
    HYBRID = "hybrid"
    """By what tells two items apart and by the words of titles and descriptions, fused."""
    WORDS = "words"
    """By the words of titles and descriptions alone."""


@dataclass(frozen=True)
class Timings:
    """Where the time of a request went, in nanoseconds; 0 for a step that was not needed.

    Attributes:
        total_ns: Everything, inside the gateway.
        embed_ns: Waiting for the embedder; includes decoding, queue and inference.
        search_ns: Waiting for the index.
        decode_ns: Decoding and resizing the photo.
        queue_ns: Waiting for a decoder and a place in a batch.
        inference_ns: The forward pass of the batch that the photo was in.
    """

    total_ns: int = 0
    embed_ns: int = 0
    search_ns: int = 0
    decode_ns: int = 0
    queue_ns: int = 0
    inference_ns: int = 0


NO_TIMINGS = Timings()


@dataclass(frozen=True, eq=False)
class Embedding:
    """A photo's vector; `numpy.asarray` and `numpy.stack` take it as it is.

    Attributes:
        vector: Values of the first requested output, shape (dimension,), float32.
        embedding_space: The model's fingerprint. Vectors of two spaces must not be compared.
        output: Name of the output, for example `category`; empty in answers of the gateway.
        outputs: Every requested output by name, in the order of the request.
        timings: Where the embedder's time went.
    """

    vector: FloatVector
    embedding_space: str
    output: str = ""
    outputs: Mapping[str, FloatVector] = field(default_factory=dict)
    timings: Timings = NO_TIMINGS

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Returns the vector; NumPy calls this."""
        return np.array(self.vector, dtype=dtype, copy=copy)

    def __len__(self) -> int:
        """Returns the number of floats."""
        return len(self.vector)


@dataclass(frozen=True, eq=False)
class TextEmbedding(Embedding):
    """The vector of words; `similar(vector=…)` and `IndexClient` take it like a photo's.

    Attributes:
        tokens: Number of tokens read.
        truncated: Whether there were more, which the model left out.
    """

    tokens: int = 0
    truncated: bool = False


@dataclass(frozen=True)
class CategoryScore:
    """A label, its index among the model's labels, and its probability."""

    category: str
    index: int
    probability: float


@dataclass(frozen=True)
class Classification:
    """What the model makes of a photo, or of words.

    Attributes:
        scores: All categories, most likely first.
        embedding_space: The model's embedding space.
    """

    scores: tuple[CategoryScore, ...]
    embedding_space: str

    @property
    def category(self) -> str:
        """The most likely category."""
        return self.scores[0].category

    @property
    def probability(self) -> float:
        """The probability of the most likely category, 0 to 1."""
        return self.scores[0].probability


@dataclass(frozen=True)
class ReadWords(Classification):
    """What the model makes of a title and description without the photos.

    Attributes:
        tokens: Number of tokens read.
        truncated: Whether there were more, which the model left out.
    """

    tokens: int = 0
    truncated: bool = False


@dataclass(frozen=True, eq=False)
class PhotoFailure:
    """One of several photos that could not be used.

    Attributes:
        photo: Its index in the request, from 0.
        error: What is wrong with it.
    """

    photo: int
    error: LookalikeError


@dataclass(frozen=True)
class Classified(Classification):
    """The answer of `classify`.

    Attributes:
        embedding: The photo's vector, if requested.
        cached: Whether the gateway's cache had the vectors of all photos.
        degraded: What is less than it should be, in words; empty if nothing is.
        timings: Where the time went.
        photos: The categories by each of several photos alone, in the order sent; None for one that
            failed. None instead of the tuple if a single photo was sent, neither a sequence nor
            with words.
        failures: Photos that could not be used; only with `allow_partial`.
        words: The categories by title and description alone; None if there were none.
    """

    embedding: Embedding | None = None
    cached: bool = False
    degraded: str = ""
    timings: Timings = NO_TIMINGS
    photos: tuple[Classification | None, ...] | None = None
    failures: tuple[PhotoFailure, ...] = ()
    words: ReadWords | None = None


@dataclass(frozen=True)
class SimilarListing:
    """A listing near the query.

    Attributes:
        photo: Its photo that is nearest.
        distance: Distance by the default output and the collection's metric; smaller is nearer. It
            says nothing where words alone ranked.
        likeness: Probability that both photos show the same item; None if the model was exported
            without this calibration, and for words, which show no item.
        ranked_by: What ranked it, see `SearchResult.ranking`; smaller is nearer. A distance; with
            words of titles and descriptions (`hybrid`, `words`) 0 for what is first in every
            order, towards 1 for what is far down.
    """

    photo: CataloguePhoto
    distance: float
    likeness: float | None = None
    ranked_by: float = 0.0

    @property
    def likeness_words(self) -> str:
        """The likeness in words, such as `probably the same item`; empty for None."""
        return likeness_words(self.likeness)


@dataclass(frozen=True)
class PriceOutlier:
    """A listing whose price is far from those of similar listings: its photo, its id, its price."""

    item_id: str
    product_id: str
    price: float


@dataclass(frozen=True)
class PriceEstimate:
    """What similar listings cost.

    Attributes:
        median: Median of their prices, each weighted by its likeness.
        low: Lower end of the range.
        high: Upper end of the range.
        coverage: Share of prices within such ranges when they were fitted; 0 if not fitted.
        listings: Number of listings whose prices count.
        currency: Their currency, three letters; empty if the catalogue names none.
        outliers: Listings left out because their prices are far from the others'.
    """

    median: float
    low: float
    high: float
    coverage: float = 0.0
    listings: int = 0
    currency: str = ""
    outliers: tuple[PriceOutlier, ...] = ()


@dataclass(frozen=True)
class SearchResult:
    """The answer of `similar`; iterating and `len` are those of `hits`.

    Attributes:
        hits: Nearest first.
        classification: Categories of the queried photos or words; None if none were sent, and for
            a mix.
        shortfall: Why there are fewer than `k` hits; empty if there are `k`.
        exact: Whether nothing nearer can be missing: every candidate was compared by the ranking
            distance.
        cached: Whether the gateway's cache had the vectors of all photos.
        degraded: What is less than it should be, in words; empty if nothing is.
        applied_seq: The newest write that the answer takes into account.
        candidates_scanned: Rows compared by the default output.
        timings: Where the time went.
        ranking: How the hits are ranked; None if the gateway is too old to report it, and ranks by
            category.
        candidates_ranked: Rows ranked by features too.
        price: A fair price, if requested and a similar listing has a price.
        failures: Photos that could not be used; only with `allow_partial`.
    """

    hits: tuple[SimilarListing, ...]
    classification: Classification | None = None
    shortfall: str = ""
    exact: bool = False
    cached: bool = False
    degraded: str = ""
    applied_seq: int = 0
    candidates_scanned: int = 0
    timings: Timings = NO_TIMINGS
    ranking: Ranking | None = None
    candidates_ranked: int = 0
    price: PriceEstimate | None = None
    failures: tuple[PhotoFailure, ...] = ()

    def __iter__(self) -> Iterator[SimilarListing]:
        """Yields the hits, nearest first."""
        return iter(self.hits)

    def __len__(self) -> int:
        """Returns the number of hits."""
        return len(self.hits)


@dataclass(frozen=True)
class Ingested:
    """The answer of `ingest`: the photo is on disk, and visible to the next search.

    Attributes:
        classification: The photo's categories.
        seq: The index's number of the write; pass it to `similar(min_seq=…)`.
        replaced: Whether a photo with this `item_id` was there before.
        near_duplicates: Photos of other listings that look the same, nearest first.
        cached: Whether the gateway's cache had the vector.
        degraded: What is less than it should be, in words; empty if nothing is.
        timings: Where the time went.
    """

    classification: Classification
    seq: int
    replaced: bool = False
    near_duplicates: tuple[NearDuplicate, ...] = ()
    cached: bool = False
    degraded: str = ""
    timings: Timings = NO_TIMINGS


@dataclass(frozen=True)
class Deleted:
    """The answer of `delete`.

    Attributes:
        deleted: Number of photos deleted.
        seq: The index's number of the write.
        degraded: What is less than it should be, in words; empty if nothing is.
        timings: Where the time went.
    """

    deleted: int
    seq: int
    degraded: str = ""
    timings: Timings = NO_TIMINGS


@dataclass(frozen=True)
class Page:
    """One page of the catalogue.

    Attributes:
        photos: In the order in which they were written.
        next_page_token: Where the next page begins; empty if this one is the last.
        timings: Where the time went.
    """

    photos: tuple[CataloguePhoto, ...]
    next_page_token: str = ""
    timings: Timings = NO_TIMINGS
