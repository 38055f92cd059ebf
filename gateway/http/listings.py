"""Routes of the catalogue: /v1/listings, /v1/thumbnails, /v1/map, /v1/status."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from gateway.http.bodies import RequestReader
from gateway.http.description import ERRORS, takes_fields, takes_photo
from gateway.http.fields import PageFields, PhotoFields
from gateway.http.models import (
    DeleteReply,
    IngestReply,
    ListingReply,
    PageReply,
    Timings,
    photos_of,
)
from gateway.http.overviews import Limits, MapReply, StatusReply
from gateway.http.problems import HttpProblemError
from gateway.listings import ProductId
from gateway.map import MapBuilder
from gateway.thumbnails import MEDIA_TYPE, ThumbnailStore
from gateway.use_cases import UseCases
from lookalike.errors import DeadlineExceededError

# A thumbnail changes only when its photo is ingested again.
_KEEP_THUMBNAIL = "public, max-age=300, stale-while-revalidate=86400"

ListingId = Annotated[str, Path(description="Id of the listing.")]
PhotoId = Annotated[str, Path(description="Id of the photo.")]
RequestId = Annotated[str, Query(description="Key for retries, at most 128 characters.")]


def listing_routes(use_cases: UseCases, reader: RequestReader) -> APIRouter:
    """Returns the routes of listings."""
    router = APIRouter(prefix="/v1/listings", tags=["Catalogue"], responses=ERRORS)

    @router.post("", summary="Ingest a photo", openapi_extra=takes_photo(PhotoFields))
    async def ingest(request: Request) -> IngestReply:
        """Adds a listing's photo to the catalogue, or replaces the one of the same `item_id`.

        OK means: on disk, and visible to the next search.
        """
        deadline = reader.deadline(request)
        parsed = await reader.read(request)
        fields = parsed.parse(PhotoFields)
        ingested = await use_cases.ingester.ingest(
            fields.photo(), parsed.photo, deadline, fields.request_id
        )
        return IngestReply.reply(fields.item_id, ingested, deadline)

    @router.get("", summary="List photos", openapi_extra=takes_fields(PageFields))
    async def list_photos(request: Request) -> PageReply:
        """Lists the catalogue's photos in the order of writing, page by page."""
        deadline = reader.deadline(request)
        fields = (await reader.read(request)).parse(PageFields)
        page = await use_cases.catalogue.list(
            fields.filter(), fields.page_size, fields.page_token, deadline
        )
        return PageReply(
            photos=photos_of(page.photos),
            next_page_token=page.next_page_token,
            timings_ms=Timings.of(deadline),
        )

    @router.get("/{product_id:id}", summary="Get a listing")
    async def get(request: Request, product_id: ListingId) -> ListingReply:
        """Returns a listing with all its photos."""
        deadline = reader.deadline(request)
        photos = await use_cases.catalogue.get(ProductId(product_id), deadline)
        return ListingReply(photos=photos_of(photos), timings_ms=Timings.of(deadline))

    @router.delete("/{product_id:id}", summary="Delete a listing")
    async def delete(
        request: Request, product_id: ListingId, request_id: RequestId = ""
    ) -> DeleteReply:
        """Deletes a listing with all its photos. One that does not exist is no error."""
        deadline = reader.deadline(request)
        gone = await use_cases.catalogue.delete(ProductId(product_id), deadline, request_id)
        return DeleteReply(
            deleted=gone.deleted,
            seq=gone.seq,
            degraded=gone.degraded,
            timings_ms=Timings.of(deadline),
        )

    return router


def overview_routes(
    use_cases: UseCases,
    thumbnails: ThumbnailStore | None,
    reader: RequestReader,
    max_request_bytes: int,
) -> APIRouter:
    """Returns the routes of thumbnails, map and status."""
    router = APIRouter(prefix="/v1", tags=["Overview"], responses=ERRORS)
    maps = MapBuilder(use_cases.catalogue)

    @router.get(
        "/thumbnails/{item_id:id}",
        summary="A photo's thumbnail",
        response_class=Response,
        responses={200: {"content": {MEDIA_TYPE: {}}}},
    )
    async def thumbnail(request: Request, item_id: PhotoId) -> Response:
        """Returns the thumbnail that the gateway made when the photo was ingested."""
        deadline = reader.deadline(request)
        try:
            async with asyncio.timeout(deadline.remaining_s):
                data = await thumbnails.read(item_id) if thumbnails else None
        except TimeoutError:
            raise DeadlineExceededError(
                "the thumbnail could not be read in the time of the request"
            ) from None
        if data is None:
            raise HttpProblemError(
                404,
                "THUMBNAIL_NOT_FOUND",
                f"there is no thumbnail of {item_id[:128]!r}"
                + ("" if thumbnails else "; none are kept (LOOKALIKE_GATEWAY_THUMBNAILS)"),
                field="item_id",
            )
        tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
        headers = {"Cache-Control": _KEEP_THUMBNAIL, "ETag": tag}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(data, headers=headers, media_type=MEDIA_TYPE)

    @router.get("/map", summary="A map of the catalogue")
    async def draw_map(request: Request) -> MapReply:
        """Returns a sample of at most 2,000 photos with their places on a plane."""
        return MapReply.of(await maps.draw(reader.deadline(request)))

    @router.get("/status", summary="Status")
    async def status(request: Request) -> StatusReply:
        """Reports which upstreams can be reached, and whether model and catalogue match.

        Answers even if no upstream does.
        """
        deadline = reader.deadline(request)
        known = await use_cases.status.status(deadline)
        return StatusReply(
            version=known.version,
            embedder=known.embedder,
            index=known.index,
            cache=known.cache,
            mismatch=known.mismatch,
            ranking=known.ranking,
            lacking=list(known.lacking),
            thumbnails=thumbnails is not None,
            limits=Limits(
                max_image_bytes=reader.max_image_bytes, max_request_bytes=max_request_bytes
            ),
            timings_ms=Timings.of(deadline),
        )

    return router
