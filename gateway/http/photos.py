"""Routes of photos and words: /v1/classify, /v1/embed, /v1/similar."""

from __future__ import annotations

from fastapi import APIRouter, Request

from gateway.http.bodies import MAX_PHOTOS, RequestReader
from gateway.http.description import ERRORS, takes_photo
from gateway.http.fields import ClassifyFields, NoFields, SearchFields
from gateway.http.models import ClassifyReply, EmbedReply, Timings
from gateway.http.problems import naming_words
from gateway.http.query import MIX_SCHEMA, wanted
from gateway.http.similar import SimilarReply
from gateway.listings import Words
from gateway.use_cases import UseCases
from lookalike.errors import InvalidArgumentError


def photo_routes(use_cases: UseCases, reader: RequestReader) -> APIRouter:
    """Returns the routes."""
    router = APIRouter(prefix="/v1", tags=["Photos"], responses=ERRORS)

    @router.post(
        "/classify",
        summary="Which category?",
        openapi_extra=takes_photo(ClassifyFields, several=True, required=False),
    )
    async def classify(request: Request) -> ClassifyReply:
        """Classifies a photo, several photos of one thing, its title and description, or both."""
        deadline = reader.deadline(request)
        parsed = await reader.read(request)
        fields = parsed.parse(ClassifyFields)
        vector, classifier = fields.include_vector, use_cases.classifier
        words = Words(fields.title, fields.description)
        if words or len(parsed.photos) > 1:
            with naming_words(*(name for name, said in vars(words).items() if said)):
                listing = await classifier.classify_listing(
                    parsed.photos, deadline, words=words, partial=fields.allow_partial
                )
            return ClassifyReply.of_listing(listing, vector=vector, deadline=deadline)
        if not parsed.photos:
            raise InvalidArgumentError(
                f"0 photos were sent; send one to {MAX_PHOTOS} (curl: -F image=@photo.jpg; in JSON "
                "base64), or title or description, or both",
                field="image",
            )
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
        openapi_extra=takes_photo(
            SearchFields, several=True, required=False, in_json={"mix": MIX_SCHEMA}
        ),
    )
    async def similar(request: Request) -> SimilarReply:
        """Finds listings like photos, like one of the catalogue (`item_id`), or near a `vector`.

        Or those that words describe (`text`); or a mix of these: "like this photo, but blue, less
        damaged" is `image`, `like` and `unlike`, or in JSON `mix`.
        """
        deadline = reader.deadline(request)
        parsed = await reader.read(request)
        fields = parsed.parse(SearchFields)
        sought = wanted(parsed, fields, reader.check_size)
        with sought.naming():
            found = await use_cases.finder.find(sought.query, fields.options(), deadline)
        return SimilarReply.reply(found, deadline)

    return router
