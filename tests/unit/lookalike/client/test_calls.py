"""Each method: what it sends, what it makes of the answer, what it raises."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from lookalike import CataloguePhoto, Embedding, ListingFilter, Ranking
from lookalike.client import (
    CategoryScore,
    Classification,
    NearDuplicate,
    NearDuplicateKind,
    SimilarListing,
    Timings,
)
from lookalike.errors import (
    DrainingError,
    InvalidArgumentError,
)
from lookalike.gateway.v1 import gateway_pb2 as pb
from tests.fake_services import SPACE, FakeEmbedder, FakeGateway, vector_of

PHOTO = b"a photo"
TIMINGS = pb.HopTimings(
    embed_ns=1, search_ns=2, total_ns=3, decode_ns=4, queue_ns=5, inference_ns=6
)
TIMES = Timings(embed_ns=1, search_ns=2, total_ns=3, decode_ns=4, queue_ns=5, inference_ns=6)
CLASSES = pb.Classification(
    scores=[
        pb.CategoryScore(category="b", index=1, probability=0.75),
        pb.CategoryScore(category="a", index=0, probability=0.25),
    ],
    embedding_space=SPACE,
)
CLASSIFICATION = Classification((CategoryScore("b", 1, 0.75), CategoryScore("a", 0, 0.25)), SPACE)
TWIN = pb.NearDuplicate(
    item_id="y",
    product_id="q",
    kind=pb.NEAR_DUPLICATE_KIND_IDENTICAL,
    distance=0.5,
    linked=True,
)
LISTING_MESSAGE = pb.CataloguePhoto(
    item_id="x",
    product_id="p",
    category="c",
    title="t",
    price=0.0,
    location="l",
    near_duplicate=TWIN,
    has_thumbnail=True,
    currency="CHF",
    description="d",
)
LISTING = CataloguePhoto(
    "x",
    "p",
    "c",
    "t",
    0.0,
    "l",
    NearDuplicate("y", "q", NearDuplicateKind.IDENTICAL, 0.5, linked=True),
    has_thumbnail=True,
    currency="CHF",
    description="d",
)


def test_classify(client: Any, gateway: FakeGateway) -> None:
    gateway.answers["ClassifyImage"] = pb.ClassifyImageResponse(
        classification=CLASSES, vector=[1.5, -2], timings=TIMINGS, cached=True, degraded="slow"
    )
    found = client.classify(PHOTO, include_vector=True)
    request = pb.ClassifyImageRequest(image=PHOTO, include_vector=True)
    assert gateway.requests["ClassifyImage"] == [request]
    assert (found.scores, found.embedding_space) == (CLASSIFICATION.scores, SPACE)
    assert (found.category, found.probability) == ("b", 0.75)
    assert (found.cached, found.degraded, found.timings) == (True, "slow", TIMES)
    assert found.embedding.vector.dtype == np.float32
    assert found.embedding.vector.tolist() == [1.5, -2]
    assert found.embedding.embedding_space == SPACE


def test_classify_without_vector(client: Any, gateway: FakeGateway) -> None:
    gateway.answers["ClassifyImage"] = pb.ClassifyImageResponse(classification=CLASSES)
    assert client.classify(PHOTO).embedding is None
    assert not gateway.requests["ClassifyImage"][0].include_vector


def test_similar_says_all_that_it_is_told(client: Any, gateway: FakeGateway) -> None:
    gateway.answers["FindSimilarListings"] = pb.FindSimilarListingsResponse(
        listings=[pb.SimilarListing(photo=LISTING_MESSAGE, distance=1.25)],
        classification=CLASSES,
        shortfall="few",
        exact=True,
        timings=TIMINGS,
        cached=True,
        degraded="old",
        applied_seq=8,
        candidates_scanned=9,
    )
    where = ListingFilter(
        categories="c",  # type: ignore[arg-type]  # one word stands for itself, not its letters
        min_price=0.0,
        max_price=10,
        locations=["l"],
        product_ids=("p", "q"),
        exclude_product_ids=["r"],
        near_duplicates=True,
    )
    found = client.similar(
        PHOTO,
        k=3,
        where=where,
        every_photo=True,
        max_distance=0.0,
        exact=True,
        min_seq=7,
        allow_partial=True,
    )
    assert gateway.requests["FindSimilarListings"] == [
        pb.FindSimilarListingsRequest(
            image=PHOTO,
            k=3,
            filter=pb.ListingFilter(
                categories=["c"],
                min_price=0,
                max_price=10,
                locations=["l"],
                product_ids=["p", "q"],
                exclude_product_ids=["r"],
                near_duplicates=True,
            ),
            every_photo=True,
            max_distance=0.0,
            exact=True,
            min_seq=7,
            allow_partial=True,
        )
    ]
    assert list(found) == list(found.hits) == [SimilarListing(LISTING, 1.25, None, 1.25)]
    assert len(found) == 1
    assert found.classification == CLASSIFICATION
    assert (found.shortfall, found.exact, found.cached, found.degraded) == (
        "few",
        True,
        True,
        "old",
    )
    assert (found.applied_seq, found.candidates_scanned, found.timings) == (8, 9, TIMES)


@pytest.mark.parametrize(
    ("query", "request_"),
    [
        ({"photo": PHOTO}, {"image": PHOTO}),
        ({"photo": [PHOTO]}, {"image": PHOTO}),
        ({"photo": (PHOTO, b"another")}, {"images": pb.Images(images=[PHOTO, b"another"])}),
        ({"item_id": "x"}, {"item_id": "x"}),
        (
            {"vector": Embedding(np.array([1, 2], np.float32), SPACE)},
            {"vector": pb.Vector(values=[1, 2], embedding_space=SPACE)},
        ),
        (
            {"vector": [1, 2.5], "embedding_space": "s"},
            {"vector": pb.Vector(values=[1, 2.5], embedding_space="s")},
        ),
    ],
)
def test_similar_takes_each_kind_of_query(
    client: Any, gateway: FakeGateway, query: Any, request_: Any
) -> None:
    gateway.answers["FindSimilarListings"] = pb.FindSimilarListingsResponse()
    found = client.similar(**query)
    sent = pb.FindSimilarListingsRequest(k=10, **request_)
    assert gateway.requests["FindSimilarListings"] == [sent]
    assert (found.classification, len(found)) == (None, 0)


@pytest.mark.parametrize(
    "query", [{}, {"photo": PHOTO, "item_id": "x"}, {"vector": [[1.0]]}, {"photo": []}]
)
def test_similar_refuses_what_is_no_one_query(
    client: Any, gateway: FakeGateway, query: Any
) -> None:
    with pytest.raises(InvalidArgumentError):
        client.similar(**query)
    assert gateway.requests == {}


def test_ingest(client: Any, gateway: FakeGateway) -> None:
    twins = [TWIN, pb.NearDuplicate(item_id="z", kind=pb.NEAR_DUPLICATE_KIND_SIMILAR)]
    gateway.answers["IngestListing"] = pb.IngestListingResponse(
        classification=CLASSES,
        replaced=True,
        seq=5,
        timings=TIMINGS,
        cached=True,
        degraded="no thumbnail",
        near_duplicates=twins,
    )
    found = client.ingest(LISTING, PHOTO, request_id="r")
    (request,) = gateway.requests["IngestListing"]
    words = {"category": "c", "title": "t", "location": "l", "currency": "CHF", "description": "d"}
    sent = pb.CataloguePhoto(item_id="x", product_id="p", price=0, **words)
    assert request == pb.IngestListingRequest(photo=sent, image=PHOTO, request_id="r")
    assert found.classification == CLASSIFICATION
    assert (found.seq, found.replaced, found.cached) == (5, True, True)
    assert (found.degraded, found.timings) == ("no thumbnail", TIMES)
    assert found.near_duplicates[0] == LISTING.near_duplicate
    assert found.near_duplicates[1].kind is NearDuplicateKind.SIMILAR


def test_writes_have_an_id_that_their_retries_share(client: Any, gateway: FakeGateway) -> None:
    gateway.answers["IngestListing"] = [DrainingError("a moment"), pb.IngestListingResponse()]
    gateway.answers["DeleteListing"] = [DrainingError("a moment"), pb.DeleteListingResponse()]
    client.ingest(CataloguePhoto("x", "p"), PHOTO)
    client.delete(item_id="x")
    for method in ("IngestListing", "DeleteListing"):
        first, second = (request.request_id for request in gateway.requests[method])
        assert first == second
        assert len(first) == 32


def test_listing_without_a_price_has_none(client: Any, gateway: FakeGateway) -> None:
    gateway.answers["IngestListing"] = pb.IngestListingResponse()
    gateway.answers["GetListing"] = pb.GetListingResponse(
        photos=[pb.CataloguePhoto(item_id="x", product_id="p")]
    )
    client.ingest(CataloguePhoto("x", "p"), PHOTO)
    assert not gateway.requests["IngestListing"][0].photo.HasField("price")
    assert client.get(item_id="x") == (CataloguePhoto("x", "p"),)


def test_delete_and_get_by_either_id(client: Any, gateway: FakeGateway) -> None:
    gateway.answers["DeleteListing"] = pb.DeleteListingResponse(
        deleted=2, seq=6, degraded="d", timings=TIMINGS
    )
    gateway.answers["GetListing"] = pb.GetListingResponse(photos=[LISTING_MESSAGE])
    found = client.delete(product_id="p", request_id="r")
    assert (found.deleted, found.seq, found.degraded, found.timings) == (2, 6, "d", TIMES)
    client.delete(item_id="x", request_id="r")
    assert client.get(product_id="p") == (LISTING,)
    client.get(item_id="x")
    assert gateway.requests["DeleteListing"] == [
        pb.DeleteListingRequest(product_id="p", request_id="r"),
        pb.DeleteListingRequest(item_id="x", request_id="r"),
    ]
    assert gateway.requests["GetListing"] == [
        pb.GetListingRequest(product_id="p"),
        pb.GetListingRequest(item_id="x"),
    ]
    for call in (client.get, client.delete):
        with pytest.raises(InvalidArgumentError):
            call()
        with pytest.raises(InvalidArgumentError):
            call(product_id="p", item_id="x")


def test_listings_walks_all_pages(client: Any, gateway: FakeGateway) -> None:
    gateway.answers["ListListings"] = [
        pb.ListListingsResponse(
            photos=[pb.CataloguePhoto(item_id=name, product_id="p") for name in page],
            next_page_token=token,
            timings=TIMINGS,
        )
        for page, token in (("ab", "1"), ("", "2"), ("c", ""))
    ]
    found = list(client.listings(ListingFilter(min_price=1), page_size=2))
    assert [photo.item_id for photo in found] == ["a", "b", "c"]
    assert gateway.requests["ListListings"] == [
        pb.ListListingsRequest(filter=pb.ListingFilter(min_price=1), page_size=2, page_token=token)
        for token in ("", "1", "2")
    ]


def test_one_page(client: Any, gateway: FakeGateway) -> None:
    gateway.answers["ListListings"] = pb.ListListingsResponse(
        photos=[LISTING_MESSAGE], next_page_token="2", timings=TIMINGS
    )
    page = client.page(page_token="1")
    assert (page.photos, page.next_page_token, page.timings) == ((LISTING,), "2", TIMES)


def test_status_has_every_field(client: Any, gateway: FakeGateway) -> None:
    message = pb.GetStatusResponse(
        version="1",
        embedder=pb.EmbedderStatus(
            target="e:1",
            ready=True,
            model_name="m",
            model_version="2",
            embedding_space="s",
            engine="torch",
            precision="fp32",
            labels=["a"],
            dimension=13,
            features_dimension=128,
            text_encoder="words",
        ),
        index=pb.IndexStatus(
            target="i:1",
            ready=True,
            backend="native",
            read_only=True,
            applied_seq=3,
            collection="listings",
            serving_collection="listings-2",
            embedding_space="s",
            photos=4,
            listings=5,
            photos_with_features=3,
            finds_words=True,
        ),
        cache=pb.CacheStatus(entries=1, bytes=2, max_bytes=3, hits=4, misses=5, coalesced=6),
        mismatch="",
        timings=TIMINGS,
        ranking=pb.RANKING_METHOD_CATEGORY,
        lacking=["no features"],
    )
    gateway.answers["GetStatus"] = message
    found = client.status()
    assert found.ready
    assert (found.ranking, found.lacking) == (Ranking.CATEGORY, ("no features",))
    assert found.timings == TIMES
    for part in ("embedder", "index", "cache"):
        sent = {field.name: value for field, value in getattr(message, part).ListFields()}
        got = dataclasses.asdict(getattr(found, part))
        assert {n: list(v) if isinstance(v, tuple) else v for n, v in got.items()} == {
            n: list(v) if n == "labels" else v for n, v in sent.items()
        }
    message.mismatch = "two models"
    assert not client.status().ready


def test_model_and_embed(client: Any, embedder: FakeEmbedder) -> None:
    model = client.model()
    assert (model.name, model.version, model.embedding_space) == ("fake", "7", SPACE)
    assert (model.labels, model.outputs[0].dimension) == (("a", "b"), 2)
    assert (model.limits.max_stream_in_flight, model.temperature) == (8, 1.5)
    found = client.embed(PHOTO)
    assert found.output == "category"
    assert np.stack([found, found]).tolist() == [vector_of(PHOTO)] * 2
    assert len(found) == 2
    assert found.timings == Timings(decode_ns=1, queue_ns=2, inference_ns=3)
    both = client.embed(PHOTO, outputs=["style", "category"])
    assert (list(both.outputs), both.output) == (["style", "category"], "style")
    with pytest.raises(ValueError, match="read-only"):
        both.vector[0] = 1


def test_without_an_embedder_it_is_said_which_argument_is_missing(connect: Any) -> None:
    client = connect()
    for call in (client.model, lambda: client.embed(PHOTO), lambda: client.embed_many([])):
        with pytest.raises(InvalidArgumentError, match=r"Client\(embedder='host:port'\)"):
            call()
