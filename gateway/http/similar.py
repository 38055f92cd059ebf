"""JSON of the answer to a search: similar listings and a fair price."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from gateway import listings as domain
from gateway.deadline import Deadline
from gateway.http.models import CataloguePhoto, Classification, PhotoFailure, Timings, photo_fields
from gateway.search import SimilarListings
from lookalike.likeness import likeness_words


class SimilarListing(CataloguePhoto):
    """A listing near the query, with the photo that is nearest."""

    likeness: float | None = Field(
        description="How likely both photos show the same item, 0 to 1; null if that was not "
        "calibrated."
    )
    likeness_words: str = Field(description="The same in words; empty if it is null.")
    distance: float = Field(description="Of the vectors, squared L2 by default; smaller is nearer.")
    ranked_by: float = Field(
        description="What it was ranked by: `distance`, or by features a cosine distance, or by "
        "both their weighted sum; where words were looked for, 1 - the share that its reciprocal "
        "ranks have of the most that they can be."
    )

    @classmethod
    def hit(cls, hit: domain.Hit) -> SimilarListing:
        """Converts a hit."""
        return cls(
            **photo_fields(hit.photo),
            likeness=hit.likeness,
            likeness_words=likeness_words(hit.likeness),
            distance=hit.distance,
            ranked_by=hit.ranked_by,
        )


class PriceOutlier(BaseModel):
    """A listing whose price is far from those of listings like it."""

    model_config = ConfigDict(from_attributes=True)

    item_id: str
    product_id: str
    price: float


class PriceEstimate(BaseModel):
    """What similar listings cost: a fair price."""

    model_config = ConfigDict(from_attributes=True)

    median: float = Field(description="Of their prices, each weighted by its likeness.")
    low: float = Field(description="Lower end of the range.")
    high: float = Field(description="Upper end of the range.")
    coverage: float = Field(
        description="The share of prices that such ranges held when they were fitted; 0 if "
        "nothing was fitted."
    )
    listings: int = Field(description="How many listings' prices count.")
    currency: str = Field(description="Of all of these, three letters; may be empty.")
    outliers: list[PriceOutlier] = Field(
        description="Listings whose prices are so far from the others' that they were left out."
    )


class SimilarReply(BaseModel):
    """Answer of `/v1/similar`."""

    listings: list[SimilarListing] = Field(description="Nearest first, by `ranked_by`.")
    ranking: domain.RankingMethod = Field(description="By what they are ranked.")
    classification: Classification | None = Field(
        description="By all photos together, or by the words; only if some were sent, and not of "
        "a mix."
    )
    price: PriceEstimate | None = Field(
        description="Only with `include_price`; null if no similar listing has a price."
    )
    failures: list[PhotoFailure] = Field(
        description="Photos that could not be used; only with `allow_partial`."
    )
    shortfall: str = Field(description="Why there are fewer than `k`; empty if there are not.")
    exact: bool = Field(description="Whether nothing nearer can be missing.")
    cached: bool = Field(description="Whether the vectors of all photos were known.")
    degraded: str = Field(description="What else is less than it should be; empty if nothing is.")
    applied_seq: int = Field(description="The newest write that is taken into account.")
    candidates_scanned: int = Field(description="How many rows were compared by vector.")
    candidates_ranked: int = Field(
        description="How many of them were ranked by features too; 0 for the ranking `category`."
    )
    timings_ms: Timings

    @classmethod
    def reply(cls, found: SimilarListings, deadline: Deadline) -> SimilarReply:
        """Converts the answer."""
        near, classification = found.neighbors, found.classification
        return cls(
            listings=[SimilarListing.hit(hit) for hit in near.hits],
            ranking=found.ranking,
            classification=Classification.of(classification) if classification else None,
            price=PriceEstimate.model_validate(found.price) if found.price else None,
            failures=PhotoFailure.all_of(found.failures),
            shortfall=near.shortfall,
            exact=near.exact,
            cached=found.cached,
            degraded=found.degraded,
            applied_seq=near.applied_seq,
            candidates_scanned=near.candidates_scanned,
            candidates_ranked=near.candidates_ranked,
            timings_ms=Timings.of(deadline),
        )
