"""Every limit of the proto that the gateway can judge by itself."""

from __future__ import annotations

import math
from typing import Any

import pytest

from gateway import requests, validation
from gateway.listings import ItemId, PhotoVector, ProductId, SearchOptions
from lookalike.catalogue.listings import (
    CataloguePhoto,
    ListingFilter,
    NearDuplicate,
    NearDuplicateKind,
)
from lookalike.errors import InvalidArgumentError, NonFiniteVectorError
from lookalike.gateway.v1 import gateway_pb2 as pb

LONG = "x" * 129


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"item_id": ""}, "photo.item_id"),
        ({"item_id": LONG}, "photo.item_id"),
        ({"product_id": ""}, "photo.product_id"),
        ({"product_id": LONG}, "photo.product_id"),
        ({"item_id": "."}, "photo.item_id"),
        ({"product_id": ".."}, "photo.product_id"),
        ({"category": "x" * 257}, "photo.category"),
        ({"title": "x" * 8193}, "photo.title"),
        ({"location": "x" * 8193}, "photo.location"),
        ({"price": -0.01}, "photo.price"),
        ({"price": math.nan}, "photo.price"),
        ({"price": math.inf}, "photo.price"),
        ({"currency": "gbp"}, "photo.currency"),
        ({"currency": "£"}, "photo.currency"),
        ({"currency": "EURO"}, "photo.currency"),
        ({"currency": "GBP\n"}, "photo.currency"),
        ({"currency": "ＧＢＰ"}, "photo.currency"),
    ],
)
def test_listing_beyond_a_limit_is_refused(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        validation.photo(CataloguePhoto(**{"item_id": "a", "product_id": "b", **fields}))
    assert caught.value.field == field


def test_listing_at_its_limits_is_taken_without_what_the_gateway_says() -> None:
    near = NearDuplicate("c", "d", NearDuplicateKind.IDENTICAL, 0.0)
    fields: dict[str, Any] = {
        "item_id": "x" * 128,
        "product_id": "y" * 128,
        "category": "x" * 256,
        "title": "x" * 8192,
        "price": 0.0,
        "location": "x" * 8192,
        "currency": "GBP",
    }
    sent = CataloguePhoto(**fields, near_duplicate=near, has_thumbnail=True)
    assert validation.photo(sent) == CataloguePhoto(**fields)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"categories": ("x",) * 101}, "filter.categories"),
        ({"locations": ("x",) * 101}, "filter.locations"),
        ({"product_ids": ("x",) * 1001}, "filter.product_ids"),
        ({"exclude_product_ids": ("x",) * 1001}, "filter.exclude_product_ids"),
        ({"product_ids": ("x", "")}, "filter.product_ids[1]"),
        ({"exclude_product_ids": (LONG,)}, "filter.exclude_product_ids[0]"),
        ({"min_price": -1.0}, "filter.min_price"),
        ({"max_price": math.nan}, "filter.max_price"),
        ({"min_price": 2.0, "max_price": 1.0}, "filter.min_price"),
    ],
)
def test_filter_beyond_a_limit_is_refused(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        validation.listing_filter(ListingFilter(**fields))
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("target", "field"), [(ItemId(""), "item_id"), (ProductId(LONG), "product_id")]
)
def test_target_without_a_proper_id_is_refused(target: ItemId | ProductId, field: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        validation.target(target)
    assert caught.value.field == field


def test_vector_has_at_most_4096_values_whichever_way_it_comes() -> None:
    validation.query(PhotoVector((0.0,) * 4096, "space"))
    request = pb.FindSimilarListingsRequest(vector=pb.Vector(values=[0.0] * 4097))
    for check in (
        lambda: validation.query(PhotoVector((0.0,) * 4097, "space")),
        lambda: requests.query(request),
    ):
        with pytest.raises(InvalidArgumentError, match="4097 entries") as caught:
            check()
        assert caught.value.field == "vector.values"


def test_vector_has_at_most_4096_features_all_finite() -> None:
    vector = PhotoVector((0.0,), "space", (0.5,) * 4096)
    assert validation.query(vector) is vector
    long = pb.Vector(values=[0.0], embedding_space="space", features=[0.0] * 4097)
    for check in (
        lambda: validation.query(PhotoVector((0.0,), "space", (0.0,) * 4097)),
        lambda: requests.query(pb.FindSimilarListingsRequest(vector=long)),
    ):
        with pytest.raises(InvalidArgumentError, match="4097 entries; it must have 0 to 4096"):
            check()
    for odd in (math.nan, math.inf, -math.inf):
        with pytest.raises(NonFiniteVectorError) as caught:
            validation.query(PhotoVector((0.0,), "space", (0.0, odd)))
        assert caught.value.field == "vector.features"
        assert caught.value.message == f"vector.features[1] is {odd}; it must be finite"


@pytest.mark.parametrize("likeness", [-0.01, 1.01, 2, math.nan, math.inf])
def test_least_likeness_is_0_to_1(likeness: float) -> None:
    for good in (0, 0.5, 1, None):
        assert validation.search_options(SearchOptions(min_likeness=good)).min_likeness == good
    with pytest.raises(InvalidArgumentError) as caught:
        validation.search_options(SearchOptions(min_likeness=likeness))
    assert caught.value.field == "min_likeness"
    assert caught.value.message == f"min_likeness is {likeness}; it must be 0 to 1"


def test_write_to_wait_for_is_a_number_that_the_index_can_be_asked_for() -> None:
    assert validation.search_options(SearchOptions(min_seq=(1 << 63) - 1)).min_seq == (1 << 63) - 1
    for seq in (-1, 1 << 63):
        with pytest.raises(InvalidArgumentError, match=f"min_seq is {seq}"):
            validation.search_options(SearchOptions(min_seq=seq))


def test_page_has_100_photos_unless_told_and_1000_at_most() -> None:
    assert [validation.page_size(size) for size in (0, 1, 1000)] == [100, 1, 1000]
    for size in (-1, 1001):
        with pytest.raises(InvalidArgumentError, match=f"page_size is {size}"):
            validation.page_size(size)


def test_request_id_may_be_empty_but_not_long() -> None:
    assert validation.request_id("") == ""
    with pytest.raises(InvalidArgumentError, match="request_id has 129 characters"):
        validation.request_id(LONG)
