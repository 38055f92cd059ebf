"""The paths of earlier systems, with their JSON, so that their callers need only another address.

Photos come as the part `image` or `file`; other fields, such as `text`, are ignored, as they were.
Earlier systems answered with row numbers of their search index. Ours has none: `similar_index` is
the place in the answer, from 0, and `image_labels` has the photos' ids at these places.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from gateway.budget import Budget
from gateway.http.bodies import RequestReader
from gateway.http.description import ERRORS, takes_photo
from gateway.http.fields import NoFields
from gateway.listings import Hit, Photos, RankingMethod, Wanted
from gateway.search import SimilarListings
from gateway.use_cases import UseCases


class EarlierMessage(BaseModel):
    """Answer of `/healthcheck`."""

    message: str


class EarlierFeatures(BaseModel):
    """Answer of `/predict/feature_embedding`."""

    features: list[float] = Field(description="13 floats.")


class EarlierCategory(BaseModel):
    """Answer of `/predict/category`."""

    category_index: int
    category: str


class EarlierNeighbours(BaseModel):
    """Answer of `/predict/similar_images`."""

    similar_index: list[int] = Field(description="Places in the answer, from 0.")
    image_labels: list[str] = Field(description="Ids of the photos, nearest first.")


class EarlierImage(BaseModel):
    """Answer of `/predict/image`."""

    category_index: int
    category: str
    image_ids: list[str] = Field(description="Ids of the photos, nearest first.")
    product_ids: list[str] = Field(description="Ids of their listings.")


class EarlierIds(BaseModel):
    """Answer of `/predict/embedding`."""

    image_ids: list[str] = Field(description="Ids of the 5 nearest photos.")


class SimilarImagesFields(BaseModel):
    """What may be sent to `/predict/similar_images`."""

    k: int = Field(4, description="How many neighbours.")


class ImageFields(BaseModel):
    """What may be sent to `/predict/image`."""

    num_results: int = Field(5, description="How many neighbours.")


def earlier_routes(use_cases: UseCases, reader: RequestReader) -> APIRouter:
    """Returns the routes."""
    router = APIRouter(tags=["Earlier systems"], responses=ERRORS)

    async def find(photo: bytes, k: int, budget: Budget) -> SimilarListings:
        # They knew photos alone, two of one listing are two answers, and one order of them.
        wanted = Wanted(k, every_photo=True, ranking=RankingMethod.CATEGORY)
        return await use_cases.finder.find(Photos((photo,)), wanted, budget)

    @router.get("/healthcheck", summary="Is it up?")
    async def healthcheck() -> EarlierMessage:
        """Answers while the process does; `/v1/status` tells more."""
        return EarlierMessage(message="API is up and running!")

    @router.post(
        "/predict/feature_embedding", summary="Vector", openapi_extra=takes_photo(NoFields)
    )
    async def feature_embedding(request: Request) -> EarlierFeatures:
        """Returns a photo's 13 floats."""
        budget = reader.budget(request)
        sent = await reader.read(request)
        photo = await use_cases.classifier.embed(sent.photo, budget)
        return EarlierFeatures(features=list(photo.vector.values))

    @router.post("/predict/category", summary="Category", openapi_extra=takes_photo(NoFields))
    async def category(request: Request) -> EarlierCategory:
        """Returns the most likely category."""
        budget = reader.budget(request)
        sent = await reader.read(request)
        photo = await use_cases.classifier.classify(sent.photo, budget)
        best = photo.classification.scores[0]
        return EarlierCategory(category_index=best.index, category=best.category)

    @router.post(
        "/predict/similar_images",
        summary="Neighbours",
        openapi_extra=takes_photo(SimilarImagesFields),
    )
    async def similar_images(request: Request) -> EarlierNeighbours:
        """Returns the ids of the 4 nearest photos."""
        budget = reader.budget(request)
        sent = await reader.read(request)
        found = await find(sent.photo, sent.parse(SimilarImagesFields).k, budget)
        ids = _item_ids(found.neighbors.hits)
        return EarlierNeighbours(similar_index=list(range(len(ids))), image_labels=ids)

    @router.post(
        "/predict/image", summary="Category and neighbours", openapi_extra=takes_photo(ImageFields)
    )
    async def image(request: Request) -> EarlierImage:
        """Returns the category, and the ids of the nearest photos and of their listings."""
        budget = reader.budget(request)
        sent = await reader.read(request)
        found = await find(sent.photo, sent.parse(ImageFields).num_results, budget)
        assert found.classification is not None  # a photo was sent
        best = found.classification.scores[0]
        hits = found.neighbors.hits
        return EarlierImage(
            category_index=best.index,
            category=best.category,
            image_ids=_item_ids(hits),
            product_ids=[hit.photo.product_id for hit in hits],
        )

    @router.post("/predict/embedding", summary="5 neighbours", openapi_extra=takes_photo(NoFields))
    async def embedding(request: Request) -> EarlierIds:
        """Returns the ids of the 5 nearest photos."""
        budget = reader.budget(request)
        sent = await reader.read(request)
        found = await find(sent.photo, 5, budget)
        return EarlierIds(image_ids=_item_ids(found.neighbors.hits))

    return router


def _item_ids(hits: Sequence[Hit]) -> list[str]:
    return [hit.photo.item_id for hit in hits]
