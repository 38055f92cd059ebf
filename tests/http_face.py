"""The HTTP face on use cases that answer from memory, and remember what they were asked."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from gateway import validation
from gateway.catalogue import Catalogue, Deleted
from gateway.classify import ClassifiedListing, ClassifiedPhoto, Classifier
from gateway.config import GatewaySettings
from gateway.deadline import Deadline
from gateway.http.app import create_app
from gateway.ingest import IngestedListing, Ingester
from gateway.listings import (
    CategoryScore,
    Classification,
    Hit,
    ItemId,
    Neighbors,
    Page,
    Photos,
    PhotoVector,
    ProductId,
    Query,
    RankingMethod,
    SearchOptions,
    Target,
    Words,
    Written,
)
from gateway.photos import EmbeddedPhoto, PhotoFailure
from gateway.price import PriceEstimate
from gateway.reading import ReadWords
from gateway.search import SimilarListingFinder, SimilarListings
from gateway.status import CacheStatus, EmbedderStatus, IndexStatus, Status, StatusReporter
from gateway.thumbnails import ThumbnailStore
from gateway.use_cases import UseCases
from lookalike.catalogue.listings import CataloguePhoto, ListingFilter
from lookalike.errors import ItemNotFoundError
from lookalike.serving.access import Guard

VECTOR = PhotoVector((1.0, 3.0, 2.0), "space", array("f", [0.5, 0.25]))
CLASSIFICATION = Classification(
    [
        CategoryScore("clothes", 1, 0.7),
        CategoryScore("tools", 2, 0.2),
        CategoryScore("books", 0, 0.1),
    ],
    "space",
)
LAMP = CataloguePhoto("lamp-1", "lamp", "tools", "Brass lamp", 12.5, "Leeds", has_thumbnail=True)
STATUS = Status(
    "0.1.0",
    EmbedderStatus(
        "embedder:1",
        True,
        "model",
        "7",
        "space",
        "openvino",
        "fp32",
        ("books",),
        13,
        text_encoder="a language model",
    ),
    IndexStatus("index:1", "listings", True, "native", photos=3, listings=2, finds_words=True),
    CacheStatus(1, 52, 1000, 2, 3, 4),
)


@dataclass
class Asked:
    """What the use cases were asked, and what they do; `error` is raised instead."""

    photos: list[bytes] = field(default_factory=list)
    queries: list[tuple[Query, SearchOptions]] = field(default_factory=list)
    listings: list[tuple[CataloguePhoto, str]] = field(default_factory=list)
    pages: list[tuple[ListingFilter, int, str]] = field(default_factory=list)
    deleted: list[tuple[Target, str]] = field(default_factory=list)
    deadlines: list[Deadline] = field(default_factory=list)
    sampled: int = 0
    catalogue: Sequence[tuple[CataloguePhoto, PhotoVector]] = ()
    found: Neighbors = field(
        default_factory=lambda: Neighbors([Hit(LAMP, 0.5, 0.5)], "", exact=True)
    )
    ranking: RankingMethod = RankingMethod.CATEGORY
    price: PriceEstimate | None = None
    failures: Sequence[PhotoFailure] = ()
    partial: list[bool] = field(default_factory=list)
    words: list[Words | None] = field(default_factory=list)
    error: Exception | None = None
    started: asyncio.Event = field(default_factory=asyncio.Event)
    wait_for: asyncio.Event | None = None
    cancelled: bool = False

    async def take(self, deadline: Deadline) -> None:
        """What every use case does first."""
        self.deadlines.append(deadline)
        self.started.set()
        if self.error:
            raise self.error
        if self.wait_for:
            try:
                await self.wait_for.wait()
            except asyncio.CancelledError:
                self.cancelled = True
                raise


class _Classifier(Classifier):
    def __init__(self, asked: Asked) -> None:
        self._asked = asked

    async def embed(self, image: bytes, deadline: Deadline) -> EmbeddedPhoto:
        self._asked.photos.append(image)
        await self._asked.take(deadline)
        return EmbeddedPhoto(VECTOR, cached=True)

    async def classify(self, image: bytes, deadline: Deadline, **_: Any) -> ClassifiedPhoto:
        self._asked.photos.append(image)
        await self._asked.take(deadline)
        return ClassifiedPhoto(VECTOR, CLASSIFICATION, cached=True)

    async def classify_listing(
        self,
        images: Sequence[bytes],
        deadline: Deadline,
        *,
        words: Words | None = None,
        partial: bool = False,
    ) -> ClassifiedListing:
        validation.listing(images, words)
        self._asked.photos += images
        self._asked.partial.append(partial)
        await self._asked.take(deadline)
        failed = {failure.photo for failure in self._asked.failures}
        photos = [None if i in failed else CLASSIFICATION for i in range(len(images))]
        read = ReadWords(VECTOR, CLASSIFICATION, 5, truncated=False) if words else None
        self._asked.words.append(words)
        return ClassifiedListing(
            CLASSIFICATION, VECTOR if images else None, photos, self._asked.failures, words=read
        )


class _Finder(SimilarListingFinder):
    def __init__(self, asked: Asked) -> None:
        self._asked = asked

    async def find(
        self, query: Query, options: SearchOptions, deadline: Deadline
    ) -> SimilarListings:
        self._asked.queries.append((query, options))
        await self._asked.take(deadline)
        sent = isinstance(query, Photos | Words)
        return SimilarListings(
            self._asked.found,
            CLASSIFICATION if sent else None,
            ranking=self._asked.ranking,
            price=self._asked.price,
            failures=self._asked.failures,
        )


class _Ingester(Ingester):
    def __init__(self, asked: Asked) -> None:
        self._asked = asked

    async def ingest(
        self,
        photo: CataloguePhoto,
        image: bytes,
        deadline: Deadline,
        request_id: str = "",
        **_: Any,
    ) -> IngestedListing:
        self._asked.photos.append(image)
        self._asked.listings.append((photo, request_id))
        await self._asked.take(deadline)
        return IngestedListing(Written(7, replaced=False), CLASSIFICATION)


class _Catalogue(Catalogue):
    def __init__(self, asked: Asked) -> None:
        self._asked = asked

    async def get(self, target: Target, deadline: Deadline) -> Any:
        await self._asked.take(deadline)
        if target not in {ProductId("lamp"), ProductId("a/b"), ItemId("lamp-1")}:
            raise ItemNotFoundError("there is no such listing", resource=("listing", "x"))
        return [LAMP, replace(LAMP, item_id="lamp-2", has_thumbnail=False, price=None)]

    async def list(
        self, listing_filter: ListingFilter, page_size: int, page_token: str, deadline: Deadline
    ) -> Page:
        self._asked.pages.append((listing_filter, page_size, page_token))
        await self._asked.take(deadline)
        return Page([LAMP], "next")

    async def delete(self, target: Target, deadline: Deadline, request_id: str = "") -> Deleted:
        self._asked.deleted.append((target, request_id))
        await self._asked.take(deadline)
        return Deleted(2, 9)

    async def vectors(self, count: int, deadline: Deadline) -> Any:
        self._asked.sampled += 1
        await self._asked.take(deadline)
        return list(self._asked.catalogue[:count])


class _StatusReporter(StatusReporter):
    def __init__(self, asked: Asked) -> None:
        self._asked = asked

    async def status(self, deadline: Deadline) -> Status:
        await self._asked.take(deadline)
        return STATUS


def use_cases(asked: Asked) -> UseCases:
    """Use cases that answer from memory."""
    return UseCases(
        classifier=_Classifier(asked),
        finder=_Finder(asked),
        ingester=_Ingester(asked),
        catalogue=_Catalogue(asked),
        status=_StatusReporter(asked),
    )


def open_face(
    asked: Asked,
    thumbnails: ThumbnailStore | None = None,
    guard: Guard | None = None,
    **settings: Any,
) -> httpx.AsyncClient:
    """A client of the face, with no network between."""
    app = create_app(use_cases(asked), thumbnails, GatewaySettings(**settings), guard)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://gateway")


def problem(response: httpx.Response, status: int, reason: str, field: str = "") -> str:
    """The detail of a problem that has all that it must have."""
    body = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert (response.status_code, body["status"], body["reason"]) == (status, status, reason), body
    assert (body["type"], body.get("field", "")) == ("about:blank", field), body
    assert body["title"]
    return str(body["detail"])
