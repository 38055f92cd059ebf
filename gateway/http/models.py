"""JSON of answers, and their conversion from the gateway's values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from gateway import listings as domain
from gateway.cache import CacheStatus
from gateway.classify import ClassifiedListing, ClassifiedPhoto
from gateway.deadline import Deadline
from gateway.ingest import IngestedListing
from gateway.map import CatalogueMap
from gateway.photos import PhotoFailure as FailedPhoto
from gateway.status import EmbedderStatus, IndexStatus
from lookalike.catalogue import listings as catalogue


class Problem(BaseModel):
    """Problem details (RFC 9457)."""

    type: str = Field(description="Always `about:blank`: the reason says more than a page would.")
    title: str = Field(description="The status in words.")
    status: int = Field(description="The HTTP status again.")
    detail: str = Field(description="What is wrong, the limit and the value, and what to do.")
    reason: str = Field(description="Machine-readable reason, as over gRPC; `INVALID_IMAGE`.")
    field: str | None = Field(None, description="The part, field or header at fault.")
    metadata: dict[str, str] | None = Field(None, description="Machine-readable facts.")


class Timings(BaseModel):
    """Where the time went, in milliseconds."""

    embed: float = Field(description="Waiting for the embedder.")
    search: float = Field(description="Waiting for the index.")
    total: float = Field(description="Everything, inside the gateway.")

    @classmethod
    def of(cls, deadline: Deadline) -> Timings:
        """Returns the timings of a request."""
        return cls(
            embed=_ms(deadline.spent_ns("embed")),
            search=_ms(deadline.spent_ns("search", "write")),
            total=_ms(deadline.total_ns),
        )


class CategoryScore(BaseModel):
    """A category and how likely it is."""

    category: str
    index: int = Field(description="Its place among the model's labels.")
    probability: float = Field(description="0 to 1; they add up to 1.")


class Classification(BaseModel):
    """What the model makes of a photo."""

    category: str = Field(description="The most likely category.")
    probability: float = Field(description="How likely it is, 0 to 1.")
    scores: list[CategoryScore] = Field(description="All categories, most likely first.")
    embedding_space: str = Field(description="The embedding space of the model.")

    @classmethod
    def of(cls, classification: domain.Classification) -> Classification:
        """Converts a classification."""
        scores = [
            CategoryScore(category=s.category, index=s.index, probability=s.probability)
            for s in classification.scores
        ]
        return cls(
            category=scores[0].category,
            probability=scores[0].probability,
            scores=scores,
            embedding_space=classification.embedding_space,
        )


class PhotoFailure(BaseModel):
    """A photo that could not be used, of a request that had several."""

    photo: int = Field(description="Which photo, from 0, in the order of the request.")
    reason: str = Field(description="As of a problem; `INVALID_IMAGE`.")
    detail: str = Field(description="What is wrong with it.")

    @classmethod
    def all_of(cls, failed: Sequence[FailedPhoto]) -> list[PhotoFailure]:
        """Converts failures."""
        return [cls(photo=f.photo, reason=f.error.reason, detail=f.error.message) for f in failed]


class NearDuplicate(BaseModel):
    """A photo of another listing that looks the same."""

    model_config = ConfigDict(from_attributes=True)

    item_id: str
    product_id: str
    kind: catalogue.NearDuplicateKind
    distance: float
    linked: bool


class CataloguePhoto(BaseModel):
    """One photo of a listing."""

    item_id: str = Field(description="Id of the photo.")
    product_id: str = Field(description="Id of the listing.")
    category: str
    title: str
    price: float | None
    currency: str = Field(description="Of the price, three letters; may be empty.")
    location: str
    thumbnail: str | None = Field(description="Path of its thumbnail on this server, if any.")
    near_duplicate: NearDuplicate | None

    @classmethod
    def of(cls, photo: catalogue.CataloguePhoto) -> CataloguePhoto:
        """Converts a photo."""
        return cls(**photo_fields(photo))


class ClassifyReply(Classification):
    """Answer of `/v1/classify`."""

    vector: list[float] | None = Field(
        description="The 13 logits, of several photos their mean; only with `include_vector`."
    )
    cached: bool = Field(description="Whether the same bytes were known.")
    photos: list[Classification | None] | None = Field(
        None,
        description="What each of several photos says by itself, in the order of the request; "
        "null for one that could not be used, and where one was sent.",
    )
    failures: list[PhotoFailure] = Field(
        [], description="Photos that could not be used; only with `allow_partial`."
    )
    degraded: str = Field("", description="What is less than it should be; empty if nothing is.")
    timings_ms: Timings

    @classmethod
    def reply(cls, photo: ClassifiedPhoto, *, vector: bool, deadline: Deadline) -> ClassifyReply:
        """Converts the answer for one photo."""
        return cls(
            **Classification.of(photo.classification).model_dump(),
            vector=list(photo.vector.values) if vector else None,
            cached=photo.cached,
            timings_ms=Timings.of(deadline),
        )

    @classmethod
    def of_listing(
        cls, listing: ClassifiedListing, *, vector: bool, deadline: Deadline
    ) -> ClassifyReply:
        """Converts the answer for several."""
        return cls(
            **Classification.of(listing.classification).model_dump(),
            vector=list(listing.vector.values) if vector and listing.vector else None,
            cached=listing.cached,
            photos=[Classification.of(photo) if photo else None for photo in listing.photos],
            failures=PhotoFailure.all_of(listing.failures),
            timings_ms=Timings.of(deadline),
        )


class EmbedReply(BaseModel):
    """Answer of `/v1/embed`."""

    vector: list[float] = Field(description="The photo's vector: the model's 13 logits.")
    features: list[float] | None = Field(
        description="What tells it from other items of its category; null if the model has none."
    )
    embedding_space: str = Field(description="Which vectors they may be compared with.")
    cached: bool = Field(description="Whether the same bytes were known.")
    timings_ms: Timings


class IngestReply(BaseModel):
    """Answer to an ingest."""

    item_id: str
    replaced: bool = Field(description="Whether a photo of this id was there before.")
    seq: int = Field(description="The index's sequence number of the write.")
    classification: Classification
    near_duplicates: list[NearDuplicate] = Field(description="Photos of others that look the same.")
    cached: bool
    degraded: str
    timings_ms: Timings

    @classmethod
    def reply(cls, item_id: str, ingested: IngestedListing, deadline: Deadline) -> IngestReply:
        """Converts the answer."""
        return cls(
            item_id=item_id,
            replaced=ingested.written.replaced,
            seq=ingested.written.seq,
            classification=Classification.of(ingested.classification),
            near_duplicates=[NearDuplicate.model_validate(n) for n in ingested.near_duplicates],
            cached=ingested.cached,
            degraded=ingested.degraded,
            timings_ms=Timings.of(deadline),
        )


class ListingReply(BaseModel):
    """A listing with all its photos."""

    photos: list[CataloguePhoto] = Field(description="In the order of writing.")
    timings_ms: Timings


class PageReply(ListingReply):
    """A page of the catalogue's photos."""

    next_page_token: str = Field(description="Where the next page begins; empty after the last.")


class DeleteReply(BaseModel):
    """Answer to a deletion."""

    deleted: int = Field(description="How many photos were there and are gone.")
    seq: int
    degraded: str
    timings_ms: Timings


class Limits(BaseModel):
    """Limits that a page should know before it sends anything."""

    max_image_bytes: int
    max_request_bytes: int


class StatusReply(BaseModel):
    """The gateway, its upstreams, and whether model and catalogue match."""

    version: str
    embedder: EmbedderStatus
    index: IndexStatus
    cache: CacheStatus
    mismatch: str = Field(description="Why model and catalogue do not belong together, if so.")
    ranking: domain.RankingMethod = Field(
        description="By what listings are ranked where a search does not say."
    )
    lacking: list[str] = Field(
        description="What model or catalogue lack for the best answers, and what adds it."
    )
    thumbnails: bool = Field(description="Whether thumbnails are kept.")
    limits: Limits
    timings_ms: Timings


class MapPoint(CataloguePhoto):
    """A photo and its place on the map."""

    x: Annotated[float, Field(description="0 to 1.")]
    y: Annotated[float, Field(description="0 to 1.")]


class MapReply(BaseModel):
    """A sample of the catalogue on a plane, photos that look alike beside each other."""

    points: list[MapPoint]
    explained: float | None = Field(
        description="Share of the vectors' variance that the plane shows, if it is laid out by "
        "their principal components: the catalogue has no features."
    )
    neighbors_kept: float | None = Field(
        description="Of each photo's 10 nearest, the share that is among its 10 nearest on the "
        "plane, if it is laid out by features."
    )
    left_out: int = Field(description="Photos of the sample that have no features.")

    @classmethod
    def of(cls, drawn: CatalogueMap) -> MapReply:
        """Converts a map; coordinates have four digits, a tenth of a pixel in a thousand."""
        return cls(
            points=[
                MapPoint(**photo_fields(p.photo), x=round(p.x, 4), y=round(p.y, 4))
                for p in drawn.points
            ],
            explained=drawn.explained,
            neighbors_kept=drawn.neighbors_kept,
            left_out=drawn.left_out,
        )


def photos_of(photos: Sequence[catalogue.CataloguePhoto]) -> list[CataloguePhoto]:
    """Converts photos."""
    return [CataloguePhoto.of(photo) for photo in photos]


def photo_fields(photo: catalogue.CataloguePhoto) -> dict[str, Any]:
    """Returns the fields of a photo, for models that add others."""
    duplicate = photo.near_duplicate
    return {
        "item_id": photo.item_id,
        "product_id": photo.product_id,
        "category": photo.category,
        "title": photo.title,
        "price": photo.price,
        "currency": photo.currency,
        "location": photo.location,
        "thumbnail": (
            f"/v1/thumbnails/{quote(photo.item_id, safe='')}" if photo.has_thumbnail else None
        ),
        "near_duplicate": NearDuplicate.model_validate(duplicate) if duplicate else None,
    }


def _ms(nanoseconds: int) -> float:
    return round(nanoseconds / 1e6, 3)
