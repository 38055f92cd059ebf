"""Routes of photos: /v1/classify, /v1/embed, /v1/similar."""

from __future__ import annotations

from fastapi import APIRouter, Request

from gateway.http.bodies import MAX_PHOTOS, ParsedRequest, RequestReader
from gateway.http.description import ERRORS, takes_photo
from gateway.http.fields import ClassifyFields, NoFields, SearchFields
from gateway.http.models import ClassifyReply, EmbedReply, Timings
from gateway.http.similar import SimilarReply
from gateway.listings import ItemId, Photos, PhotoVector, Query
from gateway.use_cases import UseCases
from gateway.vectors import compact
from lookalike.errors import InvalidArgumentError


def photo_routes(use_cases: UseCases, reader: RequestReader) -> APIRouter:
    """Returns the routes."""
    router = APIRouter(prefix="/v1", tags=["Photos"], responses=ERRORS)

    @router.post(
        "/classify",
        summary="Which category?",
        openapi_extra=takes_photo(ClassifyFields, several=True),
    )
    async def classify(request: Request) -> ClassifyReply:
        """Classifies a photo, or several photos of one thing."""
        deadline = reader.deadline(request)
        parsed = await reader.read(request)
        fields = parsed.parse(ClassifyFields)
        vector, classifier = fields.include_vector, use_cases.classifier
        if len(parsed.photos) > 1:
            listing = await classifier.classify_listing(
                parsed.photos, deadline, partial=fields.allow_partial
            )
            return ClassifyReply.of_listing(listing, vector=vector, deadline=deadline)
        photo = await classifier.classify(parsed.photo, deadline)
        return ClassifyReply.reply(photo, vector=vector, deadline=deadline)

    @router.post("/embed", summary="Which vector?", openapi_extra=takes_photo(NoFields))
    async def embed(request: Request) -> EmbedReply:
        """Returns a photo's vectors, and the embedding space that they belong to."""
        deadline = reader.deadline(request)
        parsed = await reader.read(request)
        parsed.parse(NoFields)
        photo = await use_cases.classifier.embed(parsed.photo, deadline)
        return EmbedReply(
            vector=list(photo.vector.values),
            features=list(photo.vector.features) or None,
            embedding_space=photo.vector.embedding_space,
            cached=photo.cached,
            timings_ms=Timings.of(deadline),
        )

    @router.post(
        "/similar",
        summary="Which listings look like it?",
        openapi_extra=takes_photo(SearchFields, several=True, required=False),
    )
    async def similar(request: Request) -> SimilarReply:
        """Finds listings like photos, like one of the catalogue (`item_id`), or near a `vector`."""
        deadline = reader.deadline(request)
        parsed = await reader.read(request)
        fields = parsed.parse(SearchFields)
        found = await use_cases.finder.find(query_of(parsed, fields), fields.options(), deadline)
        return SimilarReply.reply(found, deadline)

    return router


def query_of(parsed: ParsedRequest, fields: SearchFields) -> Query:
    """Returns the query; raises InvalidArgumentError unless exactly one was sent."""
    queries: list[Query] = []
    if parsed.photos:
        queries.append(Photos(parsed.photos))
    if fields.item_id is not None:
        queries.append(ItemId(fields.item_id))
    if fields.vector is not None:
        features = compact(fields.features or ())
        queries.append(PhotoVector(fields.vector, fields.embedding_space, features))
    elif fields.features is not None:
        raise InvalidArgumentError(
            "features were sent without a vector; send the vector of the same photo, too",
            field="features",
        )
    if len(queries) != 1:
        raise InvalidArgumentError(
            f"{len(queries)} things to look for were sent; send photos (1 to {MAX_PHOTOS} parts "
            "`image` of a form, or `images` of JSON), or item_id, or vector with embedding_space",
            field="image",
        )
    return queries[0]
