"""Routes of single photos: /v1/items."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request

from gateway.http.bodies import RequestReader
from gateway.http.description import ERRORS
from gateway.http.models import ListingReply, Timings, photos_of
from gateway.listings import ItemId
from gateway.use_cases import UseCases


def item_routes(use_cases: UseCases, reader: RequestReader) -> APIRouter:
    """Returns the route that finds a photo by its id alone."""
    router = APIRouter(prefix="/v1/items", tags=["Catalogue"], responses=ERRORS)

    @router.get("/{item_id:id}", summary="Get a photo")
    async def get(
        request: Request, item_id: Annotated[str, Path(description="Id of the photo.")]
    ) -> ListingReply:
        """Returns one photo, alone in `photos`."""
        deadline = reader.deadline(request)
        photos = await use_cases.catalogue.get(ItemId(item_id), deadline)
        return ListingReply(photos=photos_of(photos), timings_ms=Timings.of(deadline))

    return router
