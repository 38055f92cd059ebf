"""Serves GatewayService: converts messages and calls the use cases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from grpc import aio

from gateway import replies, requests
from gateway.deadline import Deadline
from gateway.listings import Words
from gateway.use_cases import UseCases
from lookalike.gateway.v1 import gateway_pb2 as pb
from lookalike.gateway.v1 import gateway_pb2_grpc
from lookalike.serving.access import Scope
from lookalike.serving.streams import answer_by_id

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["GatewayService"].full_name

# What each RPC needs of its caller.
SCOPES = {
    "ClassifyImage": Scope.READ,
    "ClassifyListing": Scope.READ,
    "FindSimilarListings": Scope.READ,
    "GetListing": Scope.READ,
    "ListListings": Scope.READ,
    "GetStatus": Scope.READ,
    "IngestListing": Scope.WRITE,
    "StreamIngestListings": Scope.WRITE,
    "DeleteListing": Scope.WRITE,
}

Context = aio.ServicerContext[Any, Any]


class GatewayServicer(gateway_pb2_grpc.GatewayServiceServicer):
    """Serves the gateway's use cases.

    Args:
        use_cases: The use cases.
        default_timeout_s: Time for a call without a deadline.
        max_stream_in_flight: Most unanswered photos of one stream.
    """

    def __init__(
        self, use_cases: UseCases, default_timeout_s: float, max_stream_in_flight: int
    ) -> None:
        self._use_cases = use_cases
        self._default_timeout_s = default_timeout_s
        self._max_stream_in_flight = max_stream_in_flight

    async def ClassifyImage(
        self, request: pb.ClassifyImageRequest, context: Context
    ) -> pb.ClassifyImageResponse:
        """Classifies a photo."""
        deadline = self._deadline(context)
        photo = await self._use_cases.classifier.classify(request.image, deadline)
        return replies.classified(photo, deadline, with_vector=request.include_vector)

    async def ClassifyListing(
        self, request: pb.ClassifyListingRequest, context: Context
    ) -> pb.ClassifyListingResponse:
        """Classifies a listing by all of its photos, its words or both."""
        deadline = self._deadline(context)
        listing = await self._use_cases.classifier.classify_listing(
            request.images,
            deadline,
            words=Words(request.title, request.description),
            partial=request.allow_partial,
        )
        return replies.classified_listing(listing, deadline)

    async def FindSimilarListings(
        self, request: pb.FindSimilarListingsRequest, context: Context
    ) -> pb.FindSimilarListingsResponse:
        """Finds listings by photos, by a photo of the catalogue, by words, a vector or a mix."""
        deadline = self._deadline(context)
        query, options = requests.query(request), requests.search_options(request)
        found = await self._use_cases.finder.find(query, options, deadline)
        return replies.found(found, deadline)

    async def IngestListing(
        self, request: pb.IngestListingRequest, context: Context
    ) -> pb.IngestListingResponse:
        """Adds a listing's photo to the catalogue."""
        deadline = self._deadline(context)
        return await self._ingest(request, deadline, bulk=False)

    async def StreamIngestListings(
        self, request_iterator: AsyncIterator[pb.StreamIngestListingsRequest], context: Context
    ) -> AsyncIterator[pb.StreamIngestListingsResponse]:
        """Adds many photos; errors of single photos are answered in-band."""

        async def answer(item: pb.StreamIngestListingsRequest) -> pb.IngestListingResponse:
            return await self._ingest(item.request, self._deadline(context), bulk=True)

        limit = self._max_stream_in_flight
        async for response in answer_by_id(
            request_iterator, answer, pb.StreamIngestListingsResponse, limit=limit
        ):
            yield response

    async def DeleteListing(
        self, request: pb.DeleteListingRequest, context: Context
    ) -> pb.DeleteListingResponse:
        """Deletes a listing with all its photos, or one photo."""
        deadline = self._deadline(context)
        target = requests.target(request)
        deleted = await self._use_cases.catalogue.delete(target, deadline, request.request_id)
        return replies.deleted(deleted, deadline)

    async def GetListing(
        self, request: pb.GetListingRequest, context: Context
    ) -> pb.GetListingResponse:
        """Returns a listing's photos, or one photo."""
        deadline = self._deadline(context)
        photos = await self._use_cases.catalogue.get(requests.target(request), deadline)
        return replies.got(photos, deadline)

    async def ListListings(
        self, request: pb.ListListingsRequest, context: Context
    ) -> pb.ListListingsResponse:
        """Lists the photos of the catalogue page by page."""
        deadline = self._deadline(context)
        page = await self._use_cases.catalogue.list(
            requests.listing_filter(request.filter), request.page_size, request.page_token, deadline
        )
        return replies.page(page, deadline)

    async def GetStatus(
        self, request: pb.GetStatusRequest, context: Context
    ) -> pb.GetStatusResponse:
        """Reports which upstreams can be reached, and whether model and catalogue match."""
        deadline = self._deadline(context)
        return replies.status(await self._use_cases.status.status(deadline), deadline)

    async def _ingest(
        self, request: pb.IngestListingRequest, deadline: Deadline, *, bulk: bool
    ) -> pb.IngestListingResponse:
        ingested = await self._use_cases.ingester.ingest(
            requests.photo(request.photo),
            request.image,
            deadline,
            request.request_id,
            bulk=bulk,
        )
        return replies.ingested(ingested, deadline)

    def _deadline(self, context: Context) -> Deadline:
        remaining = context.time_remaining()
        return Deadline(self._default_timeout_s if remaining is None else remaining)
