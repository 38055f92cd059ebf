"""Every kind of bad input has its reason and names its field."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from PIL import Image

from lookalike.errors import (
    DimensionMismatchError,
    EmbeddingSpaceMismatchError,
    InvalidArgumentError,
    InvalidImageError,
    InvalidPageTokenError,
    LookalikeError,
    NonFiniteVectorError,
)
from lookalike.gateway.v1 import gateway_pb2 as pb
from lookalike.gateway.v1.gateway_pb2_grpc import GatewayServiceStub
from lookalike.model.bundle import Bundle
from lookalike.serving.local_stack import LocalStack
from tests.running_gateway import TIMEOUT_S

Refusal = Callable[[Callable[[], object]], LookalikeError]


@pytest.fixture(scope="module")
def stub(stack: LocalStack) -> Iterator[GatewayServiceStub]:
    """A gateway whose catalogue has a photo, so that there is a collection."""
    with grpc.insecure_channel(stack.address("gateway")) as channel:
        stub = GatewayServiceStub(channel)
        photo = pb.CataloguePhoto(item_id="lamp-1", product_id="lamp")
        stub.IngestListing(pb.IngestListingRequest(photo=photo, image=GOOD), timeout=TIMEOUT_S)
        yield stub


def find(stub: GatewayServiceStub, **request: Any) -> pb.FindSimilarListingsResponse:
    return stub.FindSimilarListings(pb.FindSimilarListingsRequest(**request), timeout=TIMEOUT_S)


def delete(stub: GatewayServiceStub, **target: str) -> pb.DeleteListingResponse:
    return stub.DeleteListing(pb.DeleteListingRequest(**target), timeout=TIMEOUT_S)


def good_photo() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "PNG")
    return out.getvalue()


GOOD = good_photo()
BAD: list[tuple[dict[str, Any], type[LookalikeError], str]] = [
    ({}, InvalidArgumentError, "query"),
    ({"images": pb.Images()}, InvalidArgumentError, "images.images"),
    ({"images": pb.Images(images=[b"x"] * 17)}, InvalidArgumentError, "images.images"),
    ({"images": pb.Images(images=[GOOD, b"<html>"])}, InvalidImageError, "images.images[1]"),
    ({"vector": pb.Vector(embedding_space="s")}, InvalidArgumentError, "vector.values"),
    (
        {"vector": pb.Vector(values=[math.nan], embedding_space="s")},
        NonFiniteVectorError,
        "vector.values",
    ),
    ({"vector": pb.Vector(values=[1])}, InvalidArgumentError, "vector.embedding_space"),
    (
        {"vector": pb.Vector(values=[1] * 13, embedding_space="s")},
        EmbeddingSpaceMismatchError,
        "vector.embedding_space",
    ),
    ({"item_id": "lamp-1", "max_distance": math.nan}, InvalidArgumentError, "max_distance"),
    ({"item_id": "lamp-1", "min_seq": -1}, InvalidArgumentError, "min_seq"),
    (
        {"item_id": "lamp-1", "filter": pb.ListingFilter(min_price=2, max_price=1)},
        InvalidArgumentError,
        "filter.min_price",
    ),
]


@pytest.mark.parametrize(("request_fields", "error_class", "field"), BAD)
def test_bad_search_is_refused_with_its_reason_and_field(
    stub: GatewayServiceStub,
    refusal: Refusal,
    request_fields: dict[str, Any],
    error_class: type[LookalikeError],
    field: str,
) -> None:
    error = refusal(lambda: find(stub, **request_fields))
    assert type(error) is error_class
    assert error.field == field


def test_other_bad_input_is_refused_with_its_reason_and_field(
    stub: GatewayServiceStub, refusal: Refusal, tiny_bundle: Bundle
) -> None:
    space = tiny_bundle.manifest.embedding_space
    short = pb.Vector(values=[1, 2], embedding_space=space)
    listing = pb.ListListingsRequest
    for call, error_class, field in (
        (lambda: find(stub, vector=short), DimensionMismatchError, "vector.values"),
        (lambda: stub.GetListing(pb.GetListingRequest()), InvalidArgumentError, "target"),
        (lambda: stub.DeleteListing(pb.DeleteListingRequest()), InvalidArgumentError, "target"),
        (lambda: delete(stub, item_id=""), InvalidArgumentError, "item_id"),
        (lambda: delete(stub, product_id="x" * 129), InvalidArgumentError, "product_id"),
        (
            lambda: delete(stub, item_id="a", request_id="x" * 129),
            InvalidArgumentError,
            "request_id",
        ),
        (lambda: stub.ListListings(listing(page_size=1001)), InvalidArgumentError, "page_size"),
        (lambda: stub.ListListings(listing(page_token="x")), InvalidPageTokenError, "page_token"),
    ):
        error = refusal(call)
        assert (type(error), error.field) == (error_class, field)
