"""Requests over gRPC in the gateway's own terms, and its answers as messages."""

from __future__ import annotations

from array import array

import pytest

from gateway import replies, requests
from gateway.cache import CacheStatus
from gateway.classify import ClassifiedListing
from gateway.deadline import Deadline
from gateway.listings import (
    CategoryScore,
    Classification,
    Hit,
    Neighbors,
    PhotoVector,
    RankingMethod,
    SearchOptions,
)
from gateway.photos import PhotoFailure
from gateway.price import PricedListing, PriceEstimate
from gateway.search import SimilarListings
from gateway.status import EmbedderStatus, IndexStatus, Status
from lookalike.catalogue.listings import CataloguePhoto
from lookalike.errors import InvalidArgumentError, InvalidImageError
from lookalike.gateway.v1 import gateway_pb2 as pb
from lookalike.status import from_status

LAMP = CataloguePhoto("lamp-1", "lamp", price=12.5, currency="GBP")
CLASSES = Classification([CategoryScore("tools", 1, 0.75)], "space")
FAILURE = PhotoFailure(1, InvalidImageError("no photo", field="image"))


def test_search_says_how_it_is_to_be_ranked() -> None:
    request = pb.FindSimilarListingsRequest(
        ranking=pb.RANKING_METHOD_FEATURES, min_likeness=0.5, include_price=True
    )
    options = SearchOptions(ranking=RankingMethod.FEATURES, min_likeness=0.5, include_price=True)
    assert requests.search_options(request) == options
    assert requests.search_options(pb.FindSimilarListingsRequest()) == SearchOptions()
    assert requests.search_options(pb.FindSimilarListingsRequest(min_likeness=0)).min_likeness == 0


@pytest.mark.parametrize("number", [-1, 6, 99])
def test_ranking_that_nobody_knows_is_refused_naming_those_there_are(number: int) -> None:
    request = pb.FindSimilarListingsRequest(ranking=number)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match=f"ranking is {number}") as caught:
        requests.search_options(request)
    assert caught.value.field == "ranking"
    for name in ("RANKING_METHOD_BLEND", "RANKING_METHOD_FEATURES", "RANKING_METHOD_CATEGORY"):
        assert name in caught.value.message


def test_vector_comes_with_its_features() -> None:
    vector = pb.Vector(values=[1, 2], embedding_space="space", features=[0.5, 0.25])
    query = requests.query(pb.FindSimilarListingsRequest(vector=vector))
    assert query == PhotoVector((1, 2), "space", array("f", [0.5, 0.25]))
    vector.ClearField("features")
    plain = requests.query(pb.FindSimilarListingsRequest(vector=vector))
    assert plain == PhotoVector((1, 2), "space")


def test_currency_goes_in_and_out_with_the_listing() -> None:
    sent = pb.CataloguePhoto(item_id="lamp-1", product_id="lamp", price=12.5, currency="GBP")
    assert requests.photo(sent) == LAMP
    assert list(replies.got([LAMP], Deadline(60)).photos) == [sent]


def test_answer_says_by_what_it_is_ranked_how_likely_and_what_it_costs() -> None:
    far = PricedListing("sofa-1", "sofa", 900, "GBP", 0.1)
    price = PriceEstimate(100, 80, 120, 0.8, 7, "GBP", [far])
    hits = [Hit(LAMP, 2.0, 0.75, 0.9), Hit(LAMP, 3.0, 1.25, 0.0), Hit(LAMP, 4.0, 1.5)]
    near = Neighbors(hits, "few", exact=True, candidates_scanned=9, candidates_ranked=5)
    similar = SimilarListings(
        near,
        CLASSES,
        degraded="less",
        ranking=RankingMethod.BLEND,
        price=price,
        failures=[FAILURE],
    )
    told = replies.found(similar, Deadline(60))
    assert (told.ranking, told.candidates_ranked) == (pb.RANKING_METHOD_BLEND, 5)
    assert [(s.distance, s.ranked_by) for s in told.listings] == [(2, 0.75), (3, 1.25), (4, 1.5)]
    assert [s.likeness if s.HasField("likeness") else None for s in told.listings] == [
        0.9,
        0.0,
        None,
    ]
    assert told.price == pb.PriceEstimate(
        median=100,
        low=80,
        high=120,
        coverage=0.8,
        listings=7,
        currency="GBP",
        outliers=[pb.PriceOutlier(item_id="sofa-1", product_id="sofa", price=900)],
    )
    (failure,) = told.failures
    error = from_status(failure.error)
    assert (failure.photo, type(error), error.message) == (1, InvalidImageError, "no photo")
    plain = replies.found(SimilarListings(near, None), Deadline(60))
    assert plain.ranking == pb.RANKING_METHOD_CATEGORY
    assert not plain.HasField("price")


def test_listing_of_several_photos_tells_each_in_its_place() -> None:
    vector = PhotoVector((1.0,), "space")
    listing = ClassifiedListing(CLASSES, vector, [CLASSES, None], [FAILURE], True)
    told = replies.classified_listing(listing, Deadline(60))
    assert [len(photo.scores) for photo in told.photos] == [1, 0]
    assert told.classification.scores[0].category == "tools"
    assert (told.cached, told.degraded, told.failures[0].photo) == (True, "", 1)


def test_status_says_what_is_lacking() -> None:
    status = Status(
        "1",
        EmbedderStatus("e", features_dimension=128),
        IndexStatus("i", "listings", photos_with_features=3),
        CacheStatus(0, 0, 0, 0, 0, 0),
        ranking=RankingMethod.BLEND,
        lacking=["this", "that"],
    )
    told = replies.status(status, Deadline(60))
    assert (told.ranking, list(told.lacking)) == (pb.RANKING_METHOD_BLEND, ["this", "that"])
    assert (told.embedder.features_dimension, told.index.photos_with_features) == (128, 3)
