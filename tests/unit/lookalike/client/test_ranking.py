"""What a search ranks by, likeness, price, and listings with several photos: there and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lookalike import Embedding, Ranking, pricing
from lookalike.client import (
    FittedRanking,
    Likeness,
    PriceEstimate,
    PriceOutlier,
    PriceRange,
)
from lookalike.embedder.v1 import embedder_pb2
from lookalike.errors import InvalidArgumentError, InvalidImageError
from lookalike.gateway.v1 import gateway_pb2 as pb
from lookalike.status import to_status
from tests.fake_services import SPACE, FakeEmbedder, FakeGateway

PHOTO, OTHER = b"a photo", b"another"
METHODS = {
    Ranking.BLEND: pb.RANKING_METHOD_BLEND,
    Ranking.FEATURES: pb.RANKING_METHOD_FEATURES,
    Ranking.CATEGORY: pb.RANKING_METHOD_CATEGORY,
    Ranking.HYBRID: pb.RANKING_METHOD_HYBRID,
    Ranking.WORDS: pb.RANKING_METHOD_WORDS,
}


def classes(*probabilities: float) -> pb.Classification:
    scores = [
        pb.CategoryScore(category="ab"[number], index=number, probability=probability)
        for number, probability in enumerate(probabilities)
    ]
    return pb.Classification(scores=scores, embedding_space=SPACE)


@pytest.mark.parametrize("ranking", [*Ranking, *map(str, Ranking)])
def test_the_ranking_is_sent_and_told(client: Any, gateway: FakeGateway, ranking: Any) -> None:
    method = METHODS[Ranking(ranking)]
    gateway.answers["FindSimilarListings"] = pb.FindSimilarListingsResponse(
        listings=[
            pb.SimilarListing(distance=4, likeness=0.93, ranked_by=0.25),
            pb.SimilarListing(distance=3, ranked_by=0.5),
        ],
        ranking=method,
        candidates_scanned=1000,
        candidates_ranked=200,
    )
    found = client.similar(PHOTO, ranking=ranking, min_likeness=0.0, include_price=True)
    (request,) = gateway.requests["FindSimilarListings"]
    assert request == pb.FindSimilarListingsRequest(
        image=PHOTO, k=10, ranking=method, min_likeness=0.0, include_price=True
    )
    assert (found.ranking, found.candidates_ranked) == (Ranking(ranking), 200)
    assert [(hit.distance, hit.likeness, hit.ranked_by) for hit in found] == [
        (4, 0.93, 0.25),
        (3, None, 0.5),
    ]
    assert [hit.likeness_words for hit in found] == ["almost certainly the same item", ""]
    assert found.price is None


def test_what_is_not_asked_for_is_left_to_the_gateway(client: Any, gateway: FakeGateway) -> None:
    gateway.answers["FindSimilarListings"] = pb.FindSimilarListingsResponse()
    client.similar(PHOTO)
    assert gateway.requests["FindSimilarListings"] == [
        pb.FindSimilarListingsRequest(image=PHOTO, k=10)
    ]


def test_an_older_gateway_ranks_by_the_distance(client: Any, gateway: FakeGateway) -> None:
    gateway.answers["FindSimilarListings"] = pb.FindSimilarListingsResponse(
        listings=[pb.SimilarListing(distance=4)]
    )
    found = client.similar(PHOTO)
    assert found.ranking is None
    assert found.hits[0].ranked_by == 4


@pytest.mark.parametrize("word", ["Blend", "best", ""])
def test_an_unknown_ranking_is_refused_with_those_there_are(
    client: Any, gateway: FakeGateway, word: str
) -> None:
    with pytest.raises(
        InvalidArgumentError, match="one of blend, features, category, hybrid, words"
    ) as refused:
        client.similar(PHOTO, ranking=word)
    assert refused.value.field == "ranking"
    assert repr(word) in refused.value.message
    assert "FindSimilarListings" not in gateway.requests


def test_a_price_comes_with_its_range_and_outliers(client: Any, gateway: FakeGateway) -> None:
    gateway.answers["FindSimilarListings"] = pb.FindSimilarListingsResponse(
        price=pb.PriceEstimate(
            median=120,
            low=60,
            high=240,
            coverage=0.8,
            listings=7,
            currency="GBP",
            outliers=[pb.PriceOutlier(item_id="x", product_id="p", price=9999)],
        )
    )
    assert client.similar(PHOTO, include_price=True).price == PriceEstimate(
        120, 60, 240, 0.8, 7, "GBP", (PriceOutlier("x", "p", 9999),)
    )


def test_an_embeddings_features_go_along_with_its_vector(client: Any, gateway: FakeGateway) -> None:
    gateway.answers["FindSimilarListings"] = pb.FindSimilarListingsResponse()
    client.similar(vector=client.embed(PHOTO, outputs=["category", "features", "style"]))
    values = np.array([1, 2], np.float32)
    client.similar(vector=Embedding(values, SPACE, "category", {"category": values}))
    style = np.array([3, 4], np.float32)
    client.similar(vector=Embedding(values, SPACE, "category", {"category": values, "s": style}))
    first, second, third = (r.vector for r in gateway.requests["FindSimilarListings"])
    assert list(first.values) == list(first.features) == [len(PHOTO), sum(PHOTO) % 1000]
    assert second == pb.Vector(values=[1, 2], embedding_space=SPACE)
    assert third == pb.Vector(values=[1, 2], embedding_space=SPACE, features=[3, 4])


def test_a_listing_is_classified_by_all_its_photos(client: Any, gateway: FakeGateway) -> None:
    gateway.answers["ClassifyListing"] = pb.ClassifyListingResponse(
        classification=classes(0.75, 0.25),
        photos=[classes(0.5, 0.5), pb.Classification()],
        failures=[pb.PhotoFailure(photo=1, error=to_status(InvalidImageError("truncated")))],
        timings=pb.HopTimings(total_ns=3),
        cached=True,
        degraded="slow",
    )
    found = client.classify([PHOTO, OTHER], allow_partial=True)
    assert gateway.requests["ClassifyListing"] == [
        pb.ClassifyListingRequest(images=[PHOTO, OTHER], allow_partial=True)
    ]
    assert (found.category, found.probability, found.embedding_space) == ("a", 0.75, SPACE)
    first, second = found.photos
    assert (first.probability, second) == (0.5, None)
    (failure,) = found.failures
    assert failure.photo == 1
    assert isinstance(failure.error, InvalidImageError)
    assert (found.cached, found.degraded, found.timings.total_ns) == (True, "slow", 3)
    assert found.embedding is None


def test_a_list_of_one_photo_is_a_listing_and_a_photo_alone_is_none(
    client: Any, gateway: FakeGateway
) -> None:
    gateway.answers["ClassifyListing"] = pb.ClassifyListingResponse(photos=[classes(1.0)])
    gateway.answers["ClassifyImage"] = pb.ClassifyImageResponse(classification=classes(1.0))
    assert len(client.classify((PHOTO,)).photos) == 1
    assert client.classify(PHOTO).photos is None
    assert gateway.requests["ClassifyListing"] == [pb.ClassifyListingRequest(images=[PHOTO])]


@pytest.mark.parametrize(
    ("photos", "options", "words"),
    [
        ([], {}, "neither photos nor words"),
        ([PHOTO], {"include_vector": True}, "include_vector is for one photo"),
    ],
)
def test_what_is_no_listing_is_refused(
    client: Any, gateway: FakeGateway, photos: Any, options: Any, words: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        client.classify(photos, **options)
    assert gateway.requests == {}


def test_photos_of_a_search_that_failed_are_named(client: Any, gateway: FakeGateway) -> None:
    gateway.answers["FindSimilarListings"] = pb.FindSimilarListingsResponse(
        failures=[pb.PhotoFailure(photo=2, error=to_status(InvalidImageError("truncated")))]
    )
    (failure,) = client.similar([PHOTO, OTHER, b"x"], allow_partial=True).failures
    assert (failure.photo, failure.error.message) == (2, "truncated")


class Fitted(FakeEmbedder):
    """An embedder whose model was fitted."""

    def GetModel(self, request: Any, context: Any) -> embedder_pb2.GetModelResponse:
        answer = super().GetModel(request, context)
        answer.model.ranking.CopyFrom(
            embedder_pb2.Ranking(
                output="features",
                vector_weight=0.25,
                candidates=200,
                blend=embedder_pb2.Likeness(intercept=4, distance=8, margin=2, crowd=0.5),
                category=embedder_pb2.Likeness(intercept=-1, distance=3, crowd=20),
            )
        )
        answer.model.price_range.CopyFrom(
            embedder_pb2.PriceRange(listings=50, coverage=0.75, width=2, least_spread=0.5)
        )
        return answer


def test_a_model_tells_what_was_fitted(client: Any, connect: Any, serve: Any) -> None:
    fitted = connect(embedder=serve(Fitted()).address).model()
    blend, category = Likeness(4, 8, 2, 0.5), Likeness(-1, 3, 0, 20)
    assert fitted.ranking == FittedRanking("features", 0.25, 200, blend, None, category)
    assert fitted.price_range == PriceRange(50, 0.75, 2, 0.5)
    assert pricing.estimate([10.0], [1.0], fitted.price_range) is not None
    assert PriceRange is pricing.PriceRange
    plain = client.model()
    assert (plain.ranking, plain.price_range) == (None, None)
