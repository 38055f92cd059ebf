"""Words through all services: listings are classified and found by them, alone and with photos."""

from __future__ import annotations

import json
import socket
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from lookalike import Client
from lookalike.errors import (
    InvalidArgumentError,
    LookalikeError,
    UpstreamUnavailableError,
    WordsUnavailableError,
)
from lookalike.gateway.v1 import gateway_pb2 as pb
from lookalike.gateway.v1.gateway_pb2_grpc import GatewayServiceStub
from lookalike.model.bundle import Bundle
from lookalike.serving.local_stack import LocalStack
from tests.conftest import StartService

Refusal = Callable[[Callable[[], object]], LookalikeError]
Draw = Callable[..., bytes]

LISTINGS = {
    "chair": ("Green velvet armchair", "Home & Garden", "Barely sat in.", 80.0),
    "table": ("Oak table", "Home & Garden", "Goes with a velvet armchair.", 120.0),
    "bike": ("Blue bicycle", "Sports", "With a lamp in front.", 60.0),
}


@pytest.fixture(scope="module")
def gateway(
    reading_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory, draw_photo: Draw
) -> Iterator[GatewayServiceStub]:
    folder: Path = tmp_path_factory.mktemp("words")
    with (
        LocalStack(
            bundle=reading_bundle.path, index_dir=folder / "index", log_dir=folder / "logs"
        ) as stack,
        grpc.insecure_channel(stack.address("gateway")) as channel,
    ):
        stub = GatewayServiceStub(channel)
        for seed, (name, (title, category, description, price)) in enumerate(LISTINGS.items()):
            photo = pb.CataloguePhoto(
                item_id=f"{name}-1",
                product_id=name,
                title=title,
                category=category,
                description=description,
                price=price,
            )
            stub.IngestListing(pb.IngestListingRequest(photo=photo, image=draw_photo(seed)))
        yield stub


def find(gateway: GatewayServiceStub, **query: object) -> pb.FindSimilarListingsResponse:
    return gateway.FindSimilarListings(pb.FindSimilarListingsRequest(**query))  # type: ignore[arg-type]


def products(found: pb.FindSimilarListingsResponse) -> list[str]:
    return [each.photo.product_id for each in found.listings]


def test_what_stands_in_a_title_is_found_before_what_stands_in_a_description(
    gateway: GatewayServiceStub,
) -> None:
    words = pb.RANKING_METHOD_WORDS
    found = find(gateway, text="velvet armchairs", ranking=words)
    assert (products(found), found.ranking) == (["chair", "table"], words)
    assert found.listings[0].ranked_by == 0
    assert 0 < found.listings[1].ranked_by < 1
    assert found.listings[1].photo.description == "Goes with a velvet armchair."
    assert not found.listings[0].HasField("likeness")


def test_words_find_by_meaning_too_and_filters_hold(gateway: GatewayServiceStub) -> None:
    found = find(gateway, text="green velvet armchair", include_price=True)
    assert found.ranking == pb.RANKING_METHOD_HYBRID
    assert sorted(products(found)) == ["bike", "chair", "table"], "vectors find the bicycle too"
    assert found.classification.scores
    assert found.price.listings == 3
    filtered = pb.ListingFilter(categories=["Home & Garden"], max_price=100)
    assert products(find(gateway, text="velvet", filter=filtered)) == ["chair"]


def test_a_mix_of_a_photo_and_words(gateway: GatewayServiceStub, draw_photo: Draw) -> None:
    parts = [
        pb.MixPart(item_id="chair-1"),
        pb.MixPart(image=draw_photo(2), weight=2),
        pb.MixPart(text="lamp", weight=-0.25),
    ]
    found = find(gateway, mix=pb.Mix(parts=parts))
    assert found.ranking != pb.RANKING_METHOD_HYBRID
    assert products(found) == ["bike", "table"]


def test_a_listing_is_classified_by_photos_and_words(
    gateway: GatewayServiceStub, draw_photo: Draw
) -> None:
    ask = pb.ClassifyListingRequest
    photo, words, both = (
        gateway.ClassifyListing(request)
        for request in (
            ask(images=[draw_photo(1)]),
            ask(title="Oak table", description="Sturdy."),
            ask(images=[draw_photo(1)], title="Oak table", description="Sturdy."),
        )
    )
    assert not photo.HasField("words")
    assert words.classification == words.words.classification == both.words.classification
    assert (both.words.tokens, both.words.truncated) == (5, False)
    assert both.photos == photo.photos
    assert both.classification not in (photo.classification, words.classification)
    assert sum(score.probability for score in both.classification.scores) == pytest.approx(1)


@pytest.mark.parametrize(
    "text", ['"" AND NEAR(', "\U0001f6cb oak", "\u05db\u05d5\u05e8\u05e1\u05d0", "<b>oak</b>\x00"]
)
def test_whatever_is_typed_is_answered(gateway: GatewayServiceStub, text: str) -> None:
    assert len(find(gateway, text=text).listings) <= 3
    assert find(gateway, text="oak").listings, "it goes on"


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "text is empty"), ("\U0001f6cb", "say nothing"), ("a" * 1_000_000, "the limit is 1024")],
)
def test_words_that_say_nothing_are_refused(
    gateway: GatewayServiceStub, refusal: Refusal, text: str, words: str
) -> None:
    error = refusal(lambda: find(gateway, text=text))
    assert isinstance(error, InvalidArgumentError)
    assert (error.field, words in error.message) == ("text", True)


def test_the_status_tells_what_reads_words(gateway: GatewayServiceStub) -> None:
    status = gateway.GetStatus(pb.GetStatusRequest())
    assert (status.embedder.text_encoder, status.index.finds_words) == ("words", True)
    assert not any("words" in sentence for sentence in status.lacking)


def test_a_model_that_reads_no_words_says_so_and_titles_are_searched(
    stack: LocalStack, draw_photo: Draw, refusal: Refusal
) -> None:
    with grpc.insecure_channel(stack.address("gateway")) as channel:
        stub = GatewayServiceStub(channel)
        photo = pb.CataloguePhoto(item_id="word-1", product_id="word", title="Xylophone of oak")
        stub.IngestListing(pb.IngestListingRequest(photo=photo, image=draw_photo(9)))
        found = find(stub, text="xylophone")
        error = refusal(lambda: stub.ClassifyListing(pb.ClassifyListingRequest(title="Oak")))
        status = stub.GetStatus(pb.GetStatusRequest())
    assert (products(found), found.ranking) == (["word"], pb.RANKING_METHOD_WORDS)
    assert "no text tower" in found.degraded
    assert isinstance(error, WordsUnavailableError)
    assert any("reads no words" in sentence for sentence in status.lacking)


def test_without_the_index_words_are_classified_as_photos_are(
    start_service: StartService, reading_bundle: Bundle, draw_photo: Draw, refusal: Refusal
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        away = f"127.0.0.1:{taken.getsockname()[1]}"
    embedder = start_service("embedder_service", bundle=reading_bundle.path)
    gateway = start_service("gateway", embedder=embedder.address, index=away)
    url = f"http://{gateway.announced('serving http')}/v1/similar"
    with grpc.insecure_channel(gateway.address) as channel, Client(gateway.address) as client:
        stub = GatewayServiceStub(channel)
        by_photo = find(stub, image=draw_photo(1), allow_partial=True)
        by_words = find(stub, text="oak table", allow_partial=True)
        error = refusal(lambda: find(stub, text="oak table"))
        told = client.similar(text="oak table", allow_partial=True)
        body = urllib.parse.urlencode({"text": "oak table", "allow_partial": "true"}).encode()
        with urllib.request.urlopen(url, body, timeout=60) as response:
            over_http = json.load(response)
    assert isinstance(error, UpstreamUnavailableError)
    assert len(by_words.classification.scores) == len(by_photo.classification.scores) == 13
    degraded = f"no listings: the index at {away} cannot be reached"
    for said in (by_photo.degraded, by_words.degraded, told.degraded, over_http["degraded"]):
        assert said.startswith(degraded)
    assert told.classification is not None
    assert over_http["classification"]["scores"][0]["category"] == told.classification.category
    assert (len(told), over_http["listings"]) == (0, [])
