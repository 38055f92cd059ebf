"""GatewayService: protos ↔ use cases."""

from __future__ import annotations

import math
from typing import Any

from grpc import aio

from gateway.budget import Budget
from gateway.classify import Classifier
from gateway.ingest import Ingester
from gateway.listings import Classification, Listing
from gateway.search import SimilarListingFinder
from lookalike.errors import InvalidArgumentError
from lookalike.gateway.v1 import gateway_pb2 as pb
from lookalike.gateway.v1 import gateway_pb2_grpc

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["GatewayService"].full_name
MAX_ID_LENGTH = 128
MAX_CATEGORY_LENGTH = 256
MAX_TEXT_LENGTH = 8192

Context = aio.ServicerContext[Any, Any]


class GatewayServicer(gateway_pb2_grpc.GatewayServiceServicer):
    """Serves the gateway's use cases."""

    def __init__(
        self,
        classifier: Classifier,
        finder: SimilarListingFinder,
        ingester: Ingester,
        default_timeout_s: float,
    ) -> None:
        self._classifier = classifier
        self._finder = finder
        self._ingester = ingester
        self._default_timeout_s = default_timeout_s

    async def ClassifyImage(
        self, request: pb.ClassifyImageRequest, context: Context
    ) -> pb.ClassifyImageResponse:
        """Tells the category of a photo."""
        budget = self._budget(context)
        photo = await self._classifier.classify(request.image, budget)
        return pb.ClassifyImageResponse(
            classification=_classification(photo.classification),
            vector=photo.vector.values if request.include_vector else (),
            timings=_timings(budget),
        )

    async def FindSimilarListings(
        self, request: pb.FindSimilarListingsRequest, context: Context
    ) -> pb.FindSimilarListingsResponse:
        """Finds listings that look like a photo, or like a listing's photo."""
        budget = self._budget(context)
        match request.WhichOneof("query"):
            case "image":
                found = await self._finder.find_by_image(request.image, request.k, budget)
            case "item_id":
                _check_id(request.item_id, "item_id")
                found = await self._finder.find_by_item(request.item_id, request.k, budget)
            case _:
                raise InvalidArgumentError("set image or item_id", field="query")
        return pb.FindSimilarListingsResponse(
            listings=[
                pb.SimilarListing(listing=_listing_message(hit.listing), distance=hit.distance)
                for hit in found.neighbors.hits
            ],
            classification=_classification(found.classification) if found.classification else None,
            shortfall=found.neighbors.shortfall,
            exact=found.neighbors.exact,
            timings=_timings(budget),
        )

    async def IngestListing(
        self, request: pb.IngestListingRequest, context: Context
    ) -> pb.IngestListingResponse:
        """Adds a listing's photo to the catalogue."""
        budget = self._budget(context)
        listing = _checked_listing(request.listing)
        ingested = await self._ingester.ingest(listing, request.image, budget)
        return pb.IngestListingResponse(
            classification=_classification(ingested.classification),
            replaced=ingested.written.replaced,
            seq=ingested.written.seq,
            timings=_timings(budget),
        )

    def _budget(self, context: Context) -> Budget:
        remaining = context.time_remaining()
        return Budget(self._default_timeout_s if remaining is None else remaining)


def _check_id(value: str, field: str) -> None:
    if not 1 <= len(value) <= MAX_ID_LENGTH:
        raise InvalidArgumentError(
            f"{field} has {len(value)} characters; it must have 1 to {MAX_ID_LENGTH}", field=field
        )


def _checked_listing(message: pb.Listing) -> Listing:
    _check_id(message.item_id, "listing.item_id")
    _check_id(message.product_id, "listing.product_id")
    limits = {
        "category": MAX_CATEGORY_LENGTH,
        "title": MAX_TEXT_LENGTH,
        "location": MAX_TEXT_LENGTH,
    }
    for name, limit in limits.items():
        length = len(getattr(message, name))
        if length > limit:
            raise InvalidArgumentError(
                f"{name} has {length} characters; the limit is {limit}",
                field=f"listing.{name}",
            )
    price = message.price if message.HasField("price") else None
    if price is not None and not (price >= 0 and math.isfinite(price)):
        raise InvalidArgumentError(
            f"price is {price}; it must be 0 or more, and finite", field="listing.price"
        )
    return Listing(
        item_id=message.item_id,
        product_id=message.product_id,
        category=message.category,
        title=message.title,
        price=price,
        location=message.location,
    )


def _listing_message(listing: Listing) -> pb.Listing:
    return pb.Listing(
        item_id=listing.item_id,
        product_id=listing.product_id,
        category=listing.category,
        title=listing.title,
        price=listing.price,
        location=listing.location,
    )


def _classification(classification: Classification) -> pb.Classification:
    return pb.Classification(
        scores=[
            pb.CategoryScore(category=s.category, index=s.index, probability=s.probability)
            for s in classification.scores
        ],
        embedding_space=classification.embedding_space,
    )


def _timings(budget: Budget) -> pb.HopTimings:
    return pb.HopTimings(
        embed_ns=budget.spent_ns("embed"),
        search_ns=budget.spent_ns("search"),
        total_ns=budget.total_ns,
    )
