"""JSON of answers, and their conversion from the gateway's values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from gateway import listings as domain
from gateway.classify import ClassifiedListing, ClassifiedPhoto
from gateway.deadline import Deadline
from gateway.ingest import IngestedListing
from gateway.photos import PhotoFailure as FailedPhoto
from gateway.reading import ReadWords as WordsThatWereRead
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
    """What the model makes of photos, of words, or of both."""

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


class ReadWords(Classification):
    """What the model makes of words alone."""

    tokens: int = Field(description="How many tokens were read.")
    truncated: bool = Field(description="Whether there were more, which were left out.")

    @classmethod
    def read(cls, words: WordsThatWereRead) -> ReadWords:
        """Converts what was read."""
        return cls(
            **Classification.of(words.classification).model_dump(),
            tokens=words.tokens,
            truncated=words.truncated,
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


class PhotoFacts(BaseModel):
    """One photo of a listing, with what is said of it in short."""

    item_id: str = Field(description="Id of the photo.")
    product_id: str = Field(description="Id of the listing.")
    category: str
    title: str
    price: float | None
    currency: str = Field(description="Of the price, three letters; may be empty.")
    location: str
    thumbnail: str | None = Field(description="Path of its thumbnail on this server, if any.")
    near_duplicate: NearDuplicate | None


class CataloguePhoto(PhotoFacts):
    """One photo of a listing."""

    description: str

    @classmethod
    def of(cls, photo: catalogue.CataloguePhoto) -> CataloguePhoto:
        """Converts a photo."""
        return cls(**photo_fields(photo))


class ClassifyReply(Classification):
    """Answer of `/v1/classify`."""

    vector: list[float] | None = Field(
        description="The 13 logits, of several photos their mean; only with `include_vector`, and "
        "null without photos."
    )
    cached: bool = Field(description="Whether the same bytes were known.")
    photos: list[Classification | None] | None = Field(
        None,
        description="What each of several photos says by itself, or one beside words, in the order "
        "of the request; null for one that could not be used, and where nothing but one was sent.",
    )
    words: ReadWords | None = Field(
        None, description="What title and description say by themselves; null without them."
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
        """Converts the answer for several photos, or for words."""
        return cls(
            **Classification.of(listing.classification).model_dump(),
            vector=list(listing.vector.values) if vector and listing.vector else None,
            cached=listing.cached,
            photos=[Classification.of(photo) if photo else None for photo in listing.photos]
            or None,
            words=ReadWords.read(listing.words) if listing.words else None,
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
        "description": photo.description,
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
