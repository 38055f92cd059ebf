"""The gateway in front of a real embedder and a real index: its API, and what it refuses."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_status import rpc_status

from lookalike.embedder.v1 import embedder_pb2
from lookalike.embedder.v1.embedder_pb2_grpc import EmbedderServiceStub
from lookalike.errors import (
    CollectionNotFoundError,
    ForeignError,
    ImageTooLargeError,
    InvalidArgumentError,
    InvalidImageError,
    ItemNotFoundError,
    LookalikeError,
)
from lookalike.gateway.v1 import gateway_pb2 as pb
from lookalike.gateway.v1.gateway_pb2_grpc import GatewayServiceStub
from lookalike.model.bundle import Bundle
from lookalike.serving.local_stack import LocalStack

NAME = "lookalike.gateway.v1.GatewayService"

DrawPhoto = Callable[..., bytes]
Refusal = Callable[[Callable[[], object]], LookalikeError]

# Two listings have one photo each, one has two; the number is the seed of the photo.
PHOTOS = {
    "lamp-1": ("lamp", 1),
    "plant-1": ("plant", 2),
    "plant-2": ("plant", 3),
    "chair-1": ("chair", 4),
}


@pytest.fixture(scope="module")
def own_stack(
    tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalStack]:
    """Services whose index holds what this module wrote, and nothing else."""
    folder = tmp_path_factory.mktemp("gateway")
    with LocalStack(
        bundle=tiny_bundle.path, index_dir=folder / "index", log_dir=folder / "logs"
    ) as own_stack:
        yield own_stack


@pytest.fixture(scope="module")
def empty(own_stack: LocalStack) -> Iterator[GatewayServiceStub]:
    """The gateway, perhaps before anything was written."""
    with grpc.insecure_channel(own_stack.address("gateway")) as channel:
        yield GatewayServiceStub(channel)


@pytest.fixture(scope="module")
def found_before_the_first_write(empty: GatewayServiceStub) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        empty.FindSimilarListings(pb.FindSimilarListingsRequest(item_id="lamp-1"))
    return caught.value


@pytest.fixture(scope="module")
def first_writes(
    empty: GatewayServiceStub,
    found_before_the_first_write: grpc.RpcError,
    draw_photo: DrawPhoto,
) -> dict[str, pb.IngestListingResponse]:
    """Answers to the ingests of all photos, sent at once to an index without a collection."""
    with ThreadPoolExecutor(len(PHOTOS)) as pool:
        calls = {
            item_id: pool.submit(ingest, empty, item_id, product_id, draw_photo(seed))
            for item_id, (product_id, seed) in PHOTOS.items()
        }
    return {item_id: call.result() for item_id, call in calls.items()}


@pytest.fixture(scope="module")
def stub(
    empty: GatewayServiceStub, first_writes: dict[str, pb.IngestListingResponse]
) -> GatewayServiceStub:
    """The gateway, with all photos ingested."""
    return empty


def ingest(
    stub: GatewayServiceStub, item_id: str, product_id: str, image: bytes, **fields: Any
) -> pb.IngestListingResponse:
    photo = pb.CataloguePhoto(item_id=item_id, product_id=product_id, **fields)
    return stub.IngestListing(pb.IngestListingRequest(photo=photo, image=image))


def find(stub: GatewayServiceStub, k: int = 0, **query: Any) -> pb.FindSimilarListingsResponse:
    return stub.FindSimilarListings(pb.FindSimilarListingsRequest(k=k, **query))


def ids(response: pb.FindSimilarListingsResponse) -> list[str]:
    return [similar.photo.item_id for similar in response.listings]


def log_lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


def test_search_before_the_first_write_says_that_there_is_no_collection(
    found_before_the_first_write: grpc.RpcError, refusal: Refusal
) -> None:
    def again() -> None:
        raise found_before_the_first_write

    error = refusal(again)
    assert isinstance(error, CollectionNotFoundError)
    assert error.resource == ("collection", "listings")


def test_first_writes_at_the_same_time_are_all_kept(
    first_writes: dict[str, pb.IngestListingResponse],
) -> None:
    assert not any(response.replaced for response in first_writes.values())
    assert len({response.seq for response in first_writes.values()}) == len(PHOTOS)


def test_photo_is_classified_by_the_softmax_over_the_models_labels(
    stub: GatewayServiceStub, own_stack: LocalStack, tiny_bundle: Bundle, draw_photo: DrawPhoto
) -> None:
    image = draw_photo(1)
    response = stub.ClassifyImage(pb.ClassifyImageRequest(image=image, include_vector=True))
    with grpc.insecure_channel(own_stack.address("embedder_service")) as channel:
        request = embedder_pb2.EmbedImageRequest(image=image)
        (embedding,) = EmbedderServiceStub(channel).EmbedImage(request).embeddings
    assert list(response.vector) == list(embedding.values)
    assert response.classification.embedding_space == tiny_bundle.manifest.embedding_space
    scores = response.classification.scores
    by_logit = sorted(range(13), key=lambda index: -embedding.values[index])
    assert [score.index for score in scores] == by_logit
    labels = tiny_bundle.manifest.labels
    assert [score.category for score in scores] == [labels[index] for index in by_logit]
    weights = [math.exp(embedding.values[score.index]) for score in scores]
    assert [s.probability for s in scores] == pytest.approx([w / sum(weights) for w in weights])
    assert 0 < response.timings.embed_ns < response.timings.total_ns
    assert response.timings.search_ns == 0


def test_vector_is_returned_only_if_asked_for(
    stub: GatewayServiceStub, draw_photo: DrawPhoto
) -> None:
    response = stub.ClassifyImage(pb.ClassifyImageRequest(image=draw_photo(1)))
    assert len(response.classification.scores) == 13
    assert not response.vector


def test_photo_finds_its_own_listing_first_and_every_listing_once(
    stub: GatewayServiceStub, draw_photo: DrawPhoto
) -> None:
    found = find(stub, k=3, image=draw_photo(3))
    assert ids(found)[0] == "plant-2"
    assert found.listings[0].distance == pytest.approx(0, abs=1e-4)
    products = [similar.photo.product_id for similar in found.listings]
    assert sorted(products) == ["chair", "lamp", "plant"]
    distances = [similar.distance for similar in found.listings]
    assert distances == sorted(distances)
    assert (found.shortfall, found.exact) == ("", True)
    assert len(found.classification.scores) == 13
    assert found.timings.embed_ns > 0
    assert found.timings.search_ns > 0
    assert found.timings.embed_ns + found.timings.search_ns < found.timings.total_ns


def test_item_finds_other_listings_without_the_embedder(stub: GatewayServiceStub) -> None:
    for item_id, (product_id, _) in PHOTOS.items():
        found = find(stub, k=2, item_id=item_id)
        products = {similar.photo.product_id for similar in found.listings}
        assert products == {"lamp", "plant", "chair"} - {product_id}
        assert not found.HasField("classification")
        assert found.timings.embed_ns == 0


def test_fewer_listings_than_asked_for_come_with_the_reason(stub: GatewayServiceStub) -> None:
    found = find(stub, item_id="lamp-1")
    assert len(found.listings) == 2
    assert found.shortfall == "the collection has 2 other products besides those left out"


def test_listing_comes_back_with_all_that_was_said_of_it_and_is_replaced_by_its_id(
    stub: GatewayServiceStub, draw_photo: DrawPhoto
) -> None:
    said: dict[str, Any] = {
        "category": "Bücher",
        "title": "☂" * 8192,
        "price": 0.0,
        "location": "Zürich",
    }
    first = ingest(stub, "chair-1", "chair", draw_photo(5), **said)
    assert first.replaced
    (similar,) = find(stub, k=1, image=draw_photo(5)).listings
    assert similar.photo == pb.CataloguePhoto(item_id="chair-1", product_id="chair", **said)
    second = ingest(stub, "chair-1", "chair", draw_photo(4))
    assert second.seq > first.seq
    (similar,) = find(stub, k=1, image=draw_photo(4)).listings
    assert similar.photo == pb.CataloguePhoto(item_id="chair-1", product_id="chair")
    assert not similar.photo.HasField("price")


def test_unknown_item_is_not_found_and_named_as_the_missing_resource(
    stub: GatewayServiceStub, refusal: Refusal
) -> None:
    error = refusal(lambda: find(stub, item_id="sofa-9"))
    assert isinstance(error, ItemNotFoundError)
    assert error.code is grpc.StatusCode.NOT_FOUND
    assert (error.field, error.resource) == ("item_id", ("item", "sofa-9"))
    assert error.message.startswith("collection 'listings-")
    assert error.message.endswith("has no item 'sofa-9'")
    with pytest.raises(grpc.RpcError) as caught:
        find(stub, item_id="sofa-9")
    details = [any_.TypeName() for any_ in rpc_status.from_call(caught.value).details]
    assert error_details_pb2.ResourceInfo.DESCRIPTOR.full_name in details


def bad_photos(draw_photo: DrawPhoto) -> list[tuple[bytes, type[LookalikeError], list[str]]]:
    """Photos, how they are refused, and what the message names."""
    too_long = bytes((12 << 20) + 1)
    return [
        (b"", InvalidImageError, ["empty", "0 bytes"]),
        (b"<html>", InvalidImageError, ["JPEG, PNG", "3c 68 74 6d 6c 3e"]),
        (draw_photo(1)[:-200], InvalidImageError, ["cannot be decoded"]),
        (too_long, ImageTooLargeError, ["12,582,913", "12,582,912", "MAX_IMAGE_BYTES"]),
        (
            draw_photo(1, (8001, 8000), "PNG", compress_level=1),
            ImageTooLargeError,
            ["8001×8000", "64,008,000", "64,000,000", "MAX_IMAGE_PIXELS"],
        ),
    ]


def test_bad_photo_is_refused_alike_everywhere_and_never_written(
    stub: GatewayServiceStub, refusal: Refusal, draw_photo: DrawPhoto
) -> None:
    photo = pb.CataloguePhoto(item_id="bad", product_id="bad")
    for image, error_class, named in bad_photos(draw_photo):
        for call in (
            lambda image=image: stub.ClassifyImage(pb.ClassifyImageRequest(image=image)),
            lambda image=image: find(stub, image=image),
            lambda image=image: stub.IngestListing(
                pb.IngestListingRequest(photo=photo, image=image)
            ),
        ):
            error = refusal(call)
            assert (type(error), error.field) == (error_class, "image")
            assert error.code is grpc.StatusCode.INVALID_ARGUMENT
            assert [text for text in named if text not in error.message] == []
    assert isinstance(refusal(lambda: find(stub, item_id="bad")), ItemNotFoundError)


def test_message_over_the_limit_is_refused_and_the_gateway_goes_on(
    stub: GatewayServiceStub, refusal: Refusal
) -> None:
    error = refusal(lambda: find(stub, image=bytes(16 << 20)))
    assert isinstance(error, ForeignError)
    assert error.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert str(16 << 20) in error.message
    assert len(find(stub, item_id="lamp-1").listings) == 2


LONG = "x" * 129
BAD_FIELDS: list[tuple[dict[str, Any], str, str]] = [
    ({"item_id": ""}, "photo.item_id", "has 0 characters; it must have 1 to 128"),
    ({"item_id": LONG}, "photo.item_id", "has 129 characters; it must have 1 to 128"),
    ({"product_id": ""}, "photo.product_id", "has 0 characters; it must have 1 to 128"),
    ({"product_id": LONG}, "photo.product_id", "has 129 characters; it must have 1 to 128"),
    ({"category": "x" * 257}, "photo.category", "has 257 characters; the limit is 256"),
    ({"title": "x" * 8193}, "photo.title", "has 8193 characters; the limit is 8192"),
    ({"location": "x" * 8193}, "photo.location", "has 8193 characters; the limit is 8192"),
    ({"price": -0.5}, "photo.price", "is -0.5; it must be 0 or more, and finite"),
    ({"price": math.nan}, "photo.price", "is nan; it must be 0 or more, and finite"),
    ({"price": math.inf}, "photo.price", "is inf; it must be 0 or more, and finite"),
]


@pytest.mark.parametrize(("fields", "field", "complaint"), BAD_FIELDS)
def test_listing_beyond_a_limit_is_refused_naming_field_limit_and_value(
    stub: GatewayServiceStub, refusal: Refusal, fields: dict[str, Any], field: str, complaint: str
) -> None:
    listing = {"item_id": "bad", "product_id": "bad", **fields}
    error = refusal(lambda: ingest(stub, image=b"not even looked at", **listing))
    assert (type(error), error.field) == (InvalidArgumentError, field)
    assert error.message.endswith(complaint)


@pytest.mark.parametrize(
    ("query", "field", "message"),
    [
        ({"item_id": "lamp-1", "k": -1}, "k", "k is -1; it must be 1 to 1000, or 0 for 10"),
        ({"item_id": "lamp-1", "k": 1001}, "k", "k is 1001; it must be 1 to 1000, or 0 for 10"),
        ({"image": b"", "k": 1001}, "k", "k is 1001; it must be 1 to 1000, or 0 for 10"),
        ({"item_id": ""}, "item_id", "item_id has 0 characters; it must have 1 to 128"),
        ({"item_id": LONG}, "item_id", "item_id has 129 characters; it must have 1 to 128"),
        ({}, "query", "set image, images, item_id, vector, text or mix"),
    ],
)
def test_search_beyond_a_limit_is_refused_naming_field_limit_and_value(
    stub: GatewayServiceStub, refusal: Refusal, query: dict[str, Any], field: str, message: str
) -> None:
    error = refusal(lambda: find(stub, **query))
    assert (type(error), error.field) == (InvalidArgumentError, field)
    assert error.message == message


def test_largest_k_is_accepted(stub: GatewayServiceStub) -> None:
    assert len(find(stub, k=1000, item_id="lamp-1").listings) == 2


def test_one_request_id_runs_through_all_logs_and_back(
    stub: GatewayServiceStub, own_stack: LocalStack, draw_photo: DrawPhoto
) -> None:
    request = pb.FindSimilarListingsRequest(image=draw_photo(100), k=1)
    _, call = stub.FindSimilarListings.with_call(request, metadata=(("x-request-id", "mine"),))
    assert dict(call.trailing_metadata())["x-request-id"] == "mine"
    methods = {}
    for service in own_stack.services:
        lines = [x for x in log_lines(service.log) if x.get("request_id") == "mine"]
        methods[service.module] = [line["method"].rpartition("/")[2] for line in lines]
    assert methods == {
        "gateway": ["FindSimilarListings"],
        "embedder_service": ["EmbedImage"],
        "index_service": ["FindNeighbors"],
    }


def test_request_without_an_id_gets_one_that_the_others_hear_too(
    stub: GatewayServiceStub, own_stack: LocalStack
) -> None:
    request = pb.FindSimilarListingsRequest(item_id="plant-1", k=1)
    _, call = stub.FindSimilarListings.with_call(request)
    given = dict(call.trailing_metadata())["x-request-id"]
    assert len(given) == 32
    index = next(s for s in own_stack.services if s.module == "index_service")
    assert [x["method"] for x in log_lines(index.log) if x.get("request_id") == given] == [
        "/lookalike.index.v1.IndexService/FindNeighbors"
    ]


def test_gateway_is_ready_while_both_upstreams_are(own_stack: LocalStack) -> None:
    with grpc.insecure_channel(own_stack.address("gateway")) as channel:
        watch = HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=NAME), timeout=60)
        assert any(answer.status == health_pb2.HealthCheckResponse.SERVING for answer in watch)
        watch.cancel()
