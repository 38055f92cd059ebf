"""Every limit that the proto states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from index_service import validation
from index_service.records import Metric
from lookalike.errors import InvalidArgumentError
from lookalike.index.v1 import index_pb2 as pb


def item(**changes: Any) -> pb.Item:
    return pb.Item(**{"id": "a", "product_id": "x", "vector": pb.Vector(values=[1]), **changes})


def upsert(*items: pb.Item) -> pb.BatchUpsertItemsRequest:
    return pb.BatchUpsertItemsRequest(items=items)


def create(**changes: Any) -> pb.CreateCollectionRequest:
    fields = {"name": "listings", "embedding_space": "s", "dimension": 13, **changes}
    return pb.CreateCollectionRequest(collection=pb.Collection(**fields))


def find(**changes: Any) -> pb.FindNeighborsRequest:
    fields = {"k": 1, "queries": [pb.Query(item_id="a")], **changes}
    return pb.FindNeighborsRequest(**fields)


LONG = "x" * 129
OTHER = item(id="b")

REFUSED: list[tuple[Callable[[Any], object], Any, str, str]] = [
    (validation.collection, create(name="Listings"), "collection.name", "1 to 64"),
    (validation.collection, create(name="a" * 65), "collection.name", "1 to 64"),
    (validation.collection, create(name="a\n"), "collection.name", "1 to 64"),
    (
        validation.collection,
        create(embedding_space=""),
        "collection.embedding_space",
        "0 characters",
    ),
    (validation.collection, create(dimension=0), "collection.dimension", "is 0; .* 1 and 4096"),
    (validation.collection, create(dimension=4097), "collection.dimension", "4097"),
    (validation.collection, create(metric=9), "collection.metric", "is 9"),
    (validation.items, upsert(), "items", "0 entries; the limits are 1 and 10000"),
    (validation.items, upsert(*[OTHER] * 10_001), "items", "10001 entries"),
    (validation.items, upsert(OTHER, item(id="")), "items[1].id", "0 characters"),
    (validation.items, upsert(OTHER, item(id=LONG)), "items[1].id", "129 .* 1 and 128"),
    (validation.items, upsert(item(), OTHER, item()), "items[2].id", r"'a' .* items\[0\]"),
    (validation.items, upsert(item(product_id="")), "items[0].product_id", "0 characters"),
    (validation.items, upsert(item(category="x" * 257)), "items[0].category", "257 .* 0 and 256"),
    (
        validation.search,
        find(k=1000, queries=[pb.Query(item_id="a")] * 101),
        "k",
        "101 queries of k = 1000 .* limit is 100000",
    ),
    (validation.items, upsert(item(price=-1)), "items[0].price", "is -1"),
    (validation.items, upsert(item(price=float("nan"))), "items[0].price", "is nan"),
    (validation.items, upsert(item(price=float("inf"))), "items[0].price", "is inf"),
    (validation.items, upsert(item(vector=None)), "items[0].vector", "missing"),
    (
        validation.items,
        upsert(item(attributes={str(i): "" for i in range(65)})),
        "items[0].attributes",
        "65 entries",
    ),
    (validation.items, upsert(item(attributes={LONG: ""})), "items[0].attributes", "key of 129"),
    (
        validation.items,
        upsert(item(attributes={"title": "x" * 8193})),
        "items[0].attributes",
        "8193 characters; the limits are 128 and 8192",
    ),
    (validation.deletion, pb.BatchDeleteItemsRequest(), "item_ids", "0 entries"),
    (
        validation.deletion,
        pb.BatchDeleteItemsRequest(item_ids=["a"] * 5001, product_ids=["x"] * 5000),
        "item_ids",
        "10001 entries together",
    ),
    (
        validation.deletion,
        pb.BatchDeleteItemsRequest(product_ids=["x", ""]),
        "product_ids[1]",
        "0 characters",
    ),
    (validation.item_id, pb.GetItemRequest(), "item_id", "0 characters"),
    (validation.search, find(k=0), "k", "is 0; the limits are 1 and 1000"),
    (validation.search, find(k=1001), "k", "is 1001"),
    (validation.search, find(queries=[]), "queries", "0 entries"),
    (validation.search, find(queries=[pb.Query(item_id="a")] * 1001), "queries", "1001 entries"),
    (validation.search, find(queries=[pb.Query()]), "queries[0]", "neither"),
    (validation.search, find(queries=[pb.Query(item_id="")]), "queries[0].item_id", "0 char"),
    (
        validation.search,
        find(exclude_product_ids=["x"] * 1001),
        "exclude_product_ids",
        "1001 entries; the limits are 0 and 1000",
    ),
    (validation.search, find(exclude_product_ids=[""]), "exclude_product_ids[0]", "0 char"),
]


@pytest.mark.parametrize(("check", "request_message", "field", "message"), REFUSED)
def test_request_beyond_a_limit_is_refused_naming_field_limit_and_value(
    check: Callable[[Any], object], request_message: Any, field: str, message: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=message) as caught:
        check(request_message)
    assert caught.value.field == field


def test_requests_at_their_limits_are_accepted() -> None:
    largest = item(
        id="x" * 128,
        product_id="é" * 128,
        price=0,
        attributes={f"{i:0128}": "☂" * 8192 for i in range(64)},
    )
    validation.items(upsert(largest))
    validation.items(upsert(*[item(id=str(i)) for i in range(10_000)]))
    validation.search(find(k=100, queries=[pb.Query(item_id="a")] * 1000))
    validation.search(find(k=1000, queries=[pb.Query(item_id="a")] * 100))
    validation.collection(create(name="a" * 64, dimension=4096))


def test_unspecified_metric_means_squared_l2() -> None:
    assert validation.collection(create()).metric is Metric.SQUARED_L2


def test_price_that_is_not_set_is_not_zero() -> None:
    items, _ = validation.items(upsert(item(), item(id="b", price=0)))
    assert [entry.price for entry in items] == [None, 0]
