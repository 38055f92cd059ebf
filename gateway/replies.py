"""Converts the gateway's values to response messages.

Values whose fields are named as their message's are passed by `vars`.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.catalogue import Deleted
from gateway.classify import ClassifiedListing, ClassifiedPhoto
from gateway.deadline import Deadline
from gateway.ingest import IngestedListing
from gateway.listings import Classification, Hit, Page
from gateway.photos import PhotoFailure
from gateway.price import PriceEstimate
from gateway.reading import ReadWords
from gateway.requests import METHODS
from gateway.search import SimilarListings
from gateway.status import Status
from lookalike.catalogue.listings import CataloguePhoto, NearDuplicate, NearDuplicateKind
from lookalike.gateway.v1 import gateway_pb2 as pb
from lookalike.serving.interceptors import in_band_status

_KINDS = {
    NearDuplicateKind.IDENTICAL: pb.NEAR_DUPLICATE_KIND_IDENTICAL,
    NearDuplicateKind.SIMILAR: pb.NEAR_DUPLICATE_KIND_SIMILAR,
}
_METHODS = {method: number for number, method in METHODS.items()}


def classified(
    photo: ClassifiedPhoto, deadline: Deadline, *, with_vector: bool
) -> pb.ClassifyImageResponse:
    """Returns the response about one photo's category."""
    return pb.ClassifyImageResponse(
        classification=_classification(photo.classification),
        vector=photo.vector.values if with_vector else (),
        timings=_timings(deadline),
        cached=photo.cached,
    )


def classified_listing(
    listing: ClassifiedListing, deadline: Deadline
) -> pb.ClassifyListingResponse:
    """Returns the response about a listing's category."""
    return pb.ClassifyListingResponse(
        classification=_classification(listing.classification),
        photos=[
            _classification(photo) if photo else pb.Classification() for photo in listing.photos
        ],
        failures=_failures(listing.failures),
        timings=_timings(deadline),
        cached=listing.cached,
        words=_words(listing.words) if listing.words else None,
    )


def found(similar: SimilarListings, deadline: Deadline) -> pb.FindSimilarListingsResponse:
    """Returns the response to a search."""
    neighbors, categories = similar.neighbors, similar.classification
    return pb.FindSimilarListingsResponse(
        listings=[_similar(hit) for hit in neighbors.hits],
        classification=_classification(categories) if categories else None,
        shortfall=neighbors.shortfall,
        exact=neighbors.exact,
        timings=_timings(deadline),
        cached=similar.cached,
        degraded=similar.degraded,
        applied_seq=neighbors.applied_seq,
        candidates_scanned=neighbors.candidates_scanned,
        ranking=_METHODS[similar.ranking],
        candidates_ranked=neighbors.candidates_ranked,
        price=_price(similar.price) if similar.price else None,
        failures=_failures(similar.failures),
    )


def ingested(done: IngestedListing, deadline: Deadline) -> pb.IngestListingResponse:
    """Returns the response to an ingest."""
    return pb.IngestListingResponse(
        classification=_classification(done.classification),
        replaced=done.written.replaced,
        seq=done.written.seq,
        timings=_timings(deadline),
        cached=done.cached,
        degraded=done.degraded,
        near_duplicates=[_near_duplicate(near) for near in done.near_duplicates],
    )


def deleted(done: Deleted, deadline: Deadline) -> pb.DeleteListingResponse:
    """Returns the response to a deletion."""
    return pb.DeleteListingResponse(
        deleted=done.deleted, seq=done.seq, timings=_timings(deadline), degraded=done.degraded
    )


def got(photos: Sequence[CataloguePhoto], deadline: Deadline) -> pb.GetListingResponse:
    """Returns a listing's photos."""
    return pb.GetListingResponse(
        photos=[_photo(photo) for photo in photos], timings=_timings(deadline)
    )


def page(listed: Page, deadline: Deadline) -> pb.ListListingsResponse:
    """Returns a page of photos."""
    return pb.ListListingsResponse(
        photos=[_photo(photo) for photo in listed.photos],
        next_page_token=listed.next_page_token,
        timings=_timings(deadline),
    )


def status(known: Status, deadline: Deadline) -> pb.GetStatusResponse:
    """Returns the gateway's status."""
    return pb.GetStatusResponse(
        version=known.version,
        embedder=pb.EmbedderStatus(**vars(known.embedder)),
        index=pb.IndexStatus(**vars(known.index)),
        cache=pb.CacheStatus(**vars(known.cache)),
        mismatch=known.mismatch,
        timings=_timings(deadline),
        ranking=_METHODS[known.ranking],
        lacking=known.lacking,
    )


def _words(read: ReadWords) -> pb.ReadWords:
    return pb.ReadWords(
        classification=_classification(read.classification),
        tokens=read.tokens,
        truncated=read.truncated,
    )


def _similar(hit: Hit) -> pb.SimilarListing:
    return pb.SimilarListing(
        photo=_photo(hit.photo),
        distance=hit.distance,
        likeness=hit.likeness,
        ranked_by=hit.ranked_by,
    )


def _price(cost: PriceEstimate) -> pb.PriceEstimate:
    outliers = [
        pb.PriceOutlier(item_id=far.item_id, product_id=far.product_id, price=far.price)
        for far in cost.outliers
    ]
    return pb.PriceEstimate(**vars(cost) | {"outliers": outliers})


def _failures(failed: Sequence[PhotoFailure]) -> list[pb.PhotoFailure]:
    return [pb.PhotoFailure(photo=each.photo, error=in_band_status(each.error)) for each in failed]


def _photo(photo: CataloguePhoto) -> pb.CataloguePhoto:
    near = photo.near_duplicate
    return pb.CataloguePhoto(
        **vars(photo) | {"near_duplicate": _near_duplicate(near) if near else None}
    )


def _near_duplicate(near: NearDuplicate) -> pb.NearDuplicate:
    return pb.NearDuplicate(**vars(near) | {"kind": _KINDS[near.kind]})


def _classification(classification: Classification) -> pb.Classification:
    return pb.Classification(
        scores=[pb.CategoryScore(**vars(score)) for score in classification.scores],
        embedding_space=classification.embedding_space,
    )


def _timings(deadline: Deadline) -> pb.HopTimings:
    return pb.HopTimings(
        embed_ns=deadline.spent_ns("embed"),
        search_ns=deadline.spent_ns("search", "write"),
        total_ns=deadline.total_ns,
        decode_ns=deadline.spent_ns("decode"),
        queue_ns=deadline.spent_ns("queue"),
        inference_ns=deadline.spent_ns("inference"),
    )
