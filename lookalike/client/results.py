"""What the client returns and takes: frozen, typed, free of protos and of gRPC.

Vectors are NumPy arrays of float32 that cannot be written to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatVector: TypeAlias = NDArray[np.float32]


class NearDuplicateKind(StrEnum):
    """How much the photos of two listings are the same."""

    IDENTICAL = "identical"
    SIMILAR = "similar"


@dataclass(frozen=True)
class NearDuplicate:
    """A photo of another listing that looks the same.

    Attributes:
        item_id: That photo.
        product_id: Its listing.
        kind: The same bytes, or merely near.
        distance: By the collection's metric.
        linked: Whether the two listings were linked, or one flagged for review.
    """

    item_id: str
    product_id: str
    kind: NearDuplicateKind
    distance: float
    linked: bool = False


@dataclass(frozen=True)
class Listing:
    """One photo of a listing, as the catalogue knows it.

    Attributes:
        item_id: Unique id of the photo, 1 to 128 characters.
        product_id: Id of the listing that it belongs to, 1 to 128 characters.
        category: The seller's category; may be empty.
        title: The seller's title; may be empty.
        price: In the catalogue's currency, 0 or more.
        location: Where it is sold; may be empty.
        near_duplicate: Only in answers: the photo of another listing that this one looked like
            when it was ingested.
        has_thumbnail: Only in answers: whether the gateway has a thumbnail of it.
    """

    item_id: str
    product_id: str
    category: str = ""
    title: str = ""
    price: float | None = None
    location: str = ""
    near_duplicate: NearDuplicate | None = None
    has_thumbnail: bool = False


@dataclass(frozen=True)
class ListingFilter:
    """Which listings count: all that is set must hold.

    Attributes:
        categories: One of these; at most 1,000, as of every list here.
        min_price: At least this price; a listing without a price is left out.
        max_price: At most this price; a listing without a price is left out.
        locations: One of these, exactly as written.
        product_ids: Of these listings.
        exclude_product_ids: Not of these listings.
        near_duplicates: Only photos that were flagged or linked as another listing's.
    """

    categories: Sequence[str] = ()
    min_price: float | None = None
    max_price: float | None = None
    locations: Sequence[str] = ()
    product_ids: Sequence[str] = ()
    exclude_product_ids: Sequence[str] = ()
    near_duplicates: bool = False


@dataclass(frozen=True)
class Timings:
    """Where the time of a request went, in nanoseconds; 0 for what was not needed.

    Attributes:
        total_ns: Everything, inside the gateway.
        embed_ns: Waiting for the embedder: decoding, queue and inference are parts of it.
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
        vector: Values of the first output that was asked for, shape (dimension,), float32.
        embedding_space: The model's fingerprint. Vectors of two spaces must not be compared.
        output: Name of the output, for example `category`; empty where the gateway said it.
        outputs: Every output that was asked for, by name, in the order asked.
        timings: Where the embedder's time went.
    """

    vector: FloatVector
    embedding_space: str
    output: str = ""
    outputs: Mapping[str, FloatVector] = field(default_factory=dict)
    timings: Timings = NO_TIMINGS

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Returns the vector; what NumPy calls."""
        return np.array(self.vector, dtype=dtype, copy=copy)

    def __len__(self) -> int:
        """Returns the number of floats."""
        return len(self.vector)


@dataclass(frozen=True)
class CategoryScore:
    """A label, its place among the model's labels, and its probability."""

    category: str
    index: int
    probability: float


@dataclass(frozen=True)
class Classification:
    """What the model makes of a photo.

    Attributes:
        scores: All categories, most likely first.
        embedding_space: The model's.
    """

    scores: tuple[CategoryScore, ...]
    embedding_space: str

    @property
    def category(self) -> str:
        """The most likely category."""
        return self.scores[0].category

    @property
    def probability(self) -> float:
        """How likely that one is, 0 to 1."""
        return self.scores[0].probability


@dataclass(frozen=True)
class Classified(Classification):
    """The answer of `classify`.

    Attributes:
        embedding: The photo's vector, if it was asked for.
        cached: Whether the vector was known to the gateway.
        degraded: What is less than it should be, in words; empty if nothing is.
        timings: Where the time went.
    """

    embedding: Embedding | None = None
    cached: bool = False
    degraded: str = ""
    timings: Timings = NO_TIMINGS


@dataclass(frozen=True)
class SimilarListing:
    """A listing near the query, and its distance; smaller is nearer."""

    listing: Listing
    distance: float


@dataclass(frozen=True)
class SearchResult:
    """The answer of `similar`; iterating and `len` are those of `hits`.

    Attributes:
        hits: Nearest first.
        classification: Of the queried photos; None if none were sent.
        shortfall: Why there are fewer than `k` hits; empty if there are `k`.
        exact: Whether every candidate was compared.
        cached: Whether the vectors of all photos were known to the gateway.
        degraded: What is less than it should be, in words; empty if nothing is.
        applied_seq: The newest write that the answer takes into account.
        candidates_scanned: How many rows were compared.
        timings: Where the time went.
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
        classification: What the model makes of the photo.
        seq: The index's number of the write; give it to `similar(min_seq=…)`.
        replaced: Whether a photo with this `item_id` was there before.
        near_duplicates: Photos of other listings that look the same, nearest first.
        cached: Whether the vector was known to the gateway.
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
        deleted: How many photos were there and are now gone.
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

    photos: tuple[Listing, ...]
    next_page_token: str = ""
    timings: Timings = NO_TIMINGS
