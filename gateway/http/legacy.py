"""Routes of earlier systems, with their JSON, so that their callers only change the address.

Photos come as the part `image` or `file`; fields that a route does not know are ignored, as before.
Earlier systems answered with row numbers of their search index. Ours has none: `similar_index`
counts the answers from 0, and `image_labels` holds the photos' ids in that order.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from gateway.deadline import Deadline
from gateway.http.bodies import RequestReader
from gateway.http.description import ERRORS, takes_photo, takes_words
from gateway.http.fields import NoFields
from gateway.http.problems import naming_words
from gateway.listings import Classification, Hit, Photos, RankingMethod, SearchOptions, Words
from gateway.search import SimilarListings
from gateway.use_cases import UseCases
from lookalike.errors import InvalidArgumentError
from lookalike.limits import MAX_TEXT_LENGTH


class LegacyMessage(BaseModel):
    """Answer of `/healthcheck`."""

    message: str


class LegacyProbabilities(BaseModel):
    """Answer of `/predict/text` and `/predict/combined`."""

    # Their names in JSON, where other fields of these routes are in lower case.
    Category: str = Field(description="The most likely category.")
    Probabilities: dict[str, float] = Field(
        description="How likely each category is, 0 to 1, most likely first."
    )


class LegacyFeatures(BaseModel):
    """Answer of `/predict/feature_embedding`."""

    features: list[float] = Field(description="13 floats.")


class LegacyCategory(BaseModel):
    """Answer of `/predict/category`."""

    category_index: int
    category: str


class LegacyNeighbours(BaseModel):
    """Answer of `/predict/similar_images`."""

    similar_index: list[int] = Field(description="Places in the answer, from 0.")
    image_labels: list[str] = Field(description="Ids of the photos, nearest first.")


class LegacyImage(BaseModel):
    """Answer of `/predict/image`."""

    category_index: int
    category: str
    image_ids: list[str] = Field(description="Ids of the photos, nearest first.")
    product_ids: list[str] = Field(description="Ids of their listings.")
    Category: str = Field(description="The category again.")
    Probabilities: dict[str, float] = Field(
        description="How likely each category is, 0 to 1, most likely first."
    )


class LegacyIds(BaseModel):
    """Answer of `/predict/embedding`."""

    image_ids: list[str] = Field(description="Ids of the 5 nearest photos.")


class SimilarImagesFields(BaseModel):
    """Fields of `/predict/similar_images`."""

    k: int = Field(4, description="How many neighbours, 1 to 1,000; 0 means 10.")


class ImageFields(BaseModel):
    """Fields of `/predict/image`."""

    num_results: int = Field(5, description="How many neighbours, 1 to 1,000; 0 means 10.")


class TextFields(BaseModel):
    """Fields of `/predict/text` and `/predict/combined`."""

    text: str = Field(description="The listing's description, 1 to 8,192 characters.")

    def words(self) -> Words:
        """Returns the text as a description; raises InvalidArgumentError if it has no length."""
        if not self.text.strip():
            raise InvalidArgumentError("text is empty; send a description", field="text")
        if len(self.text) > MAX_TEXT_LENGTH:
            raise InvalidArgumentError(
                f"text has {len(self.text)} characters; the limit is {MAX_TEXT_LENGTH}",
                field="text",
            )
        return Words(description=self.text)


def legacy_routes(use_cases: UseCases, reader: RequestReader) -> APIRouter:
    """Returns the routes."""
    router = APIRouter(tags=["Earlier systems"], responses=ERRORS)

    async def find(photo: bytes, k: int, deadline: Deadline) -> SimilarListings:
        # Earlier systems returned photos, not listings, and ranked by one vector.
        options = SearchOptions(k, every_photo=True, ranking=RankingMethod.CATEGORY)
        return await use_cases.finder.find(Photos((photo,)), options, deadline)

    async def classify(
        photos: Sequence[bytes], words: Words, deadline: Deadline
    ) -> LegacyProbabilities:
        with naming_words("text"):
            listing = await use_cases.classifier.classify_listing(photos, deadline, words=words)
        return LegacyProbabilities(
            Category=listing.classification.scores[0].category,
            Probabilities=_probabilities(listing.classification),
        )

    @router.get("/healthcheck", summary="Is it up?")
    async def healthcheck() -> LegacyMessage:
        """Answers while the process runs; `/v1/status` reports more."""
        return LegacyMessage(message="API is up and running!")

    @router.post(
        "/predict/feature_embedding", summary="Vector", openapi_extra=takes_photo(NoFields)
    )
    async def feature_embedding(request: Request) -> LegacyFeatures:
        """Returns a photo's 13 floats."""
        deadline = reader.deadline(request)
        parsed = await reader.read(request)
        photo = await use_cases.classifier.embed(parsed.photo, deadline)
        return LegacyFeatures(features=list(photo.vector.values))

    @router.post("/predict/category", summary="Category", openapi_extra=takes_photo(NoFields))
    async def category(request: Request) -> LegacyCategory:
        """Returns the most likely category."""
        deadline = reader.deadline(request)
        parsed = await reader.read(request)
        photo = await use_cases.classifier.classify(parsed.photo, deadline)
        best = photo.classification.scores[0]
        return LegacyCategory(category_index=best.index, category=best.category)

    @router.post(
        "/predict/similar_images",
        summary="Neighbours",
        openapi_extra=takes_photo(SimilarImagesFields),
    )
    async def similar_images(request: Request) -> LegacyNeighbours:
        """Returns the ids of the 4 nearest photos."""
        deadline = reader.deadline(request)
        parsed = await reader.read(request)
        found = await find(parsed.photo, parsed.parse(SimilarImagesFields).k, deadline)
        ids = _item_ids(found.neighbors.hits)
        return LegacyNeighbours(similar_index=list(range(len(ids))), image_labels=ids)

    @router.post(
        "/predict/image", summary="Category and neighbours", openapi_extra=takes_photo(ImageFields)
    )
    async def image(request: Request) -> LegacyImage:
        """Returns the category, and the ids of the nearest photos and of their listings."""
        deadline = reader.deadline(request)
        parsed = await reader.read(request)
        found = await find(parsed.photo, parsed.parse(ImageFields).num_results, deadline)
        assert found.classification is not None  # since a photo was sent
        best = found.classification.scores[0]
        hits = found.neighbors.hits
        return LegacyImage(
            category_index=best.index,
            category=best.category,
            image_ids=_item_ids(hits),
            product_ids=[hit.photo.product_id for hit in hits],
            Category=best.category,
            Probabilities=_probabilities(found.classification),
        )

    @router.post(
        "/predict/text", summary="Category of words", openapi_extra=takes_words(TextFields)
    )
    async def text(request: Request) -> LegacyProbabilities:
        """Returns the most likely category of a description, and how likely each is."""
        deadline = reader.deadline(request)
        parsed = await reader.read(request)
        return await classify((), parsed.parse(TextFields).words(), deadline)

    @router.post(
        "/predict/combined",
        summary="Category of photo and words",
        openapi_extra=takes_photo(TextFields),
    )
    async def combined(request: Request) -> LegacyProbabilities:
        """Returns the most likely category by photo and description, and how likely each is."""
        deadline = reader.deadline(request)
        parsed = await reader.read(request)
        photo, words = parsed.photo, parsed.parse(TextFields).words()
        return await classify((photo,), words, deadline)

    @router.post("/predict/embedding", summary="5 neighbours", openapi_extra=takes_photo(NoFields))
    async def embedding(request: Request) -> LegacyIds:
        """Returns the ids of the 5 nearest photos."""
        deadline = reader.deadline(request)
        parsed = await reader.read(request)
        found = await find(parsed.photo, 5, deadline)
        return LegacyIds(image_ids=_item_ids(found.neighbors.hits))

    return router


def _probabilities(classification: Classification) -> dict[str, float]:
    return {score.category: score.probability for score in classification.scores}


def _item_ids(hits: Sequence[Hit]) -> list[str]:
    return [hit.photo.item_id for hit in hits]
