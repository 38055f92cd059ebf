"""Every limit that the proto states."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from index_service import validation
from index_service.records import (
    NO_FILTER,
    Filter,
    Metric,
    PackedVectors,
    Query,
    Rerank,
    Search,
    View,
)
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


def page(**changes: Any) -> pb.ListItemsRequest:
    return pb.ListItemsRequest(collection="listings", **changes)


def nearby(**changes: Any) -> pb.SearchRangeRequest:
    return pb.SearchRangeRequest(**{"query": pb.Query(item_id="a"), **changes})


def examples(positives: int, negatives: int = 0, target: str = "a") -> pb.Query:
    one = pb.Example(item_id=target) if target else pb.Example()
    sent = pb.Examples(positives=[one] * positives, negatives=[one] * negatives)
    return pb.Query(examples=sent)


def brand(*values: str, key: str = "brand") -> pb.AttributeFilter:
    return pb.AttributeFilter(key=key, values=values)


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
    (
        validation.search,
        find(queries=[pb.Query(item_id="a"), pb.Query(item_id="a", words="x" * 1025)]),
        "queries[1].words",
        "1025 characters; the limits are 0 and 1024",
    ),
    (
        validation.search_range,
        pb.SearchRangeRequest(query=pb.Query(item_id="a", words="lamp")),
        "query.words",
        "a range is one of distances",
    ),
    (validation.search, find(queries=[pb.Query(item_id="")]), "queries[0].item_id", "0 char"),
    (
        validation.search,
        find(exclude_product_ids=["x"] * 1001),
        "exclude_product_ids",
        "1001 entries; the limits are 0 and 1000",
    ),
    (validation.search, find(exclude_product_ids=[""]), "exclude_product_ids[0]", "0 char"),
]
NAN, INFINITE = float("nan"), float("inf")
IN_COLLECTION: list[tuple[dict[str, Any], str, str]] = [
    ({"indexed_attributes": [str(i) for i in range(17)]}, "indexed_attributes", "17 entries"),
    ({"indexed_attributes": ["a", ""]}, "indexed_attributes[1]", "0 characters"),
    ({"indexed_attributes": ["a", LONG]}, "indexed_attributes[1]", "129"),
    ({"indexed_attributes": ["a", "b", "a"]}, "indexed_attributes[2]", r"indexed_attributes\[0\]"),
    ({"text_attributes": [str(i) for i in range(5)]}, "text_attributes", "5 .* 0 and 4"),
    ({"text_attributes": ["a", ""]}, "text_attributes[1]", "0 characters"),
    ({"text_attributes": [LONG]}, "text_attributes[0]", "129"),
    ({"text_attributes": ["a", "a"]}, "text_attributes[1]", r"text_attributes\[0\]"),
    ({"features_dimension": 4097}, "features_dimension", "4097; .* 0 and 4096"),
    ({"features_dimension": -1}, "features_dimension", "-1"),
    ({"exact_up_to": -1}, "exact_up_to", "-1"),
    ({"target_recall": 0.49}, "target_recall", "0.49; .* 0.5 and 1"),
    ({"target_recall": 1.01}, "target_recall", "1.01"),
    ({"target_recall": NAN}, "target_recall", "nan"),
]
IN_FILTER: list[tuple[pb.Filter, str, str]] = [
    (pb.Filter(categories=["x"] * 101), "categories", "101 .* 0 and 100"),
    (pb.Filter(product_ids=["x"] * 1001), "product_ids", "1001 .* 0 and 1000"),
    (pb.Filter(exclude_product_ids=["x"] * 1001), "exclude_product_ids", "1001"),
    (pb.Filter(attributes=[brand("x")] * 17), "attributes", "17 .* 0 and 16"),
    (pb.Filter(attributes=[brand("x"), brand()]), "attributes[1].values", "0 .* 1 and 100"),
    (pb.Filter(attributes=[brand(*["x"] * 101)]), "attributes[0].values", "101"),
    (pb.Filter(attributes=[brand("x", key="")]), "attributes[0].key", "0 characters"),
    (pb.Filter(attributes=[brand("x", key=LONG)]), "attributes[0].key", "129"),
    (pb.Filter(min_price=NAN), "min_price", "nan; it must be finite"),
    (pb.Filter(max_price=INFINITE), "max_price", "inf"),
    (pb.Filter(min_price=2, max_price=1), "min_price", "2.0, above filter.max_price, .* 1.0"),
]
MORE_REFUSED: list[tuple[Callable[[Any], object], Any, str, str]] = [
    *[
        (validation.collection, create(**fields), f"collection.{path}", message)
        for fields, path, message in IN_COLLECTION
    ],
    *[
        (check, make(filter=sent), f"filter.{path}", message)
        for sent, path, message in IN_FILTER
        for check, make in (
            (validation.search, find),
            (validation.page, page),
            (validation.search_range, nearby),
        )
    ],
    (
        validation.items,
        pb.BatchUpsertItemsRequest(items=[item()], request_id=LONG),
        "request_id",
        "129 .* 0 and 128",
    ),
    (
        validation.deletion,
        pb.BatchDeleteItemsRequest(item_ids=["a"], request_id=LONG),
        "request_id",
        "129",
    ),
    (validation.alias, pb.SetAliasRequest(name="Shop"), "name", "1 to 64"),
    (validation.alias, pb.SetAliasRequest(), "name", "1 to 64"),
    (validation.page, page(page_size=1001), "page_size", "1001; .* 0 and 1000"),
    (validation.page, page(page_size=-1), "page_size", "-1"),
    (validation.page, page(view=9), "view", "is 9"),
    (validation.search, find(view=pb.ITEM_VIEW_VECTORS), "view", "without vectors"),
    (validation.search, find(view=9), "view", "is 9"),
    (validation.search, find(max_distance=NAN), "max_distance", "nan"),
    (validation.search, find(rerank=pb.Rerank(candidates=-1)), "rerank.candidates", "-1"),
    (validation.search, find(rerank=pb.Rerank(candidates=10_001)), "rerank.candidates", "10001"),
    (
        validation.search,
        find(queries=[pb.Query(item_id="a")] * 101, rerank=pb.Rerank(candidates=10_000)),
        "rerank.candidates",
        "101 queries rank 10000 items each, 1010000 .* limit is 1000000",
    ),
    (validation.search, find(rerank=pb.Rerank(vector_weight=-0.1)), "rerank.vector_weight", "0.1"),
    (
        validation.search,
        find(rerank=pb.Rerank(vector_weight=math.nan)),
        "rerank.vector_weight",
        "nan",
    ),
    (
        validation.search,
        find(rerank=pb.Rerank(max_distance=math.inf)),
        "rerank.max_distance",
        "inf",
    ),
    (validation.search, find(queries=[pb.Query(item_id="a", features=[1])]), "rerank", "not set"),
    (validation.search, find(queries=[examples(0)]), "queries[0].examples.positives", "0 entries"),
    (validation.search, find(queries=[examples(101)]), "queries[0].examples.positives", "101"),
    (validation.search, find(queries=[examples(1, 101)]), "queries[0].examples.negatives", "101"),
    (
        validation.search,
        find(queries=[examples(1, target="")]),
        "queries[0].examples.positives[0]",
        "neither",
    ),
    (
        validation.search,
        find(queries=[examples(1, target=LONG)]),
        "queries[0].examples.positives[0].item_id",
        "129",
    ),
    (validation.search, find(packed_vectors=bytes(8)), "packed_vectors", "both set"),
    (validation.search, find(queries=[], packed_vectors=bytes(7)), "packed_vectors", "7 bytes"),
    (validation.search_range, pb.SearchRangeRequest(), "query", "neither"),
    (validation.search_range, nearby(limit=10_001), "limit", "10001; .* 0 and 10000"),
    (validation.search_range, nearby(limit=-1), "limit", "-1"),
    (validation.search_range, nearby(max_distance=INFINITE), "max_distance", "inf"),
    (validation.search_range, nearby(view=pb.ITEM_VIEW_VECTORS), "view", "without vectors"),
]


@pytest.mark.parametrize(
    ("check", "request_message", "field", "message"), [*REFUSED, *MORE_REFUSED]
)
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
    most = pb.Rerank(candidates=10_000)
    validation.search(find(queries=[pb.Query(item_id="a")] * 100, rerank=most))
    validation.search(find(k=100, queries=[pb.Query(item_id="a")] * 1000, rerank=pb.Rerank()))
    validation.collection(create(name="a" * 64, dimension=4096))


def test_unspecified_metric_means_squared_l2() -> None:
    assert validation.collection(create()).metric is Metric.SQUARED_L2


def test_price_that_is_not_set_is_not_zero() -> None:
    items = validation.items(upsert(item(), item(id="b", price=0))).items
    assert [entry.price for entry in items] == [None, 0]


def test_what_is_not_set_has_the_default_that_the_proto_states() -> None:
    described = validation.collection(create())
    assert (described.full_scan_threshold, described.target_recall) == (200_000, 0.99)
    assert validation.page(page()) == (NO_FILTER, 100, View.FULL)
    queries, search = validation.search(find())
    assert (queries, search) == ([Query("a", [])], Search(1))
    query, search = validation.search_range(nearby())
    assert (query, search) == (Query("a", []), Search(1000, max_distance=0))
    for k, candidates in ((1, 10), (100, 1000), (1000, 1000)):
        rerank = validation.search(find(k=k, rerank=pb.Rerank()))[1].rerank
        assert rerank == Rerank(candidates, 0.0, None)
    # Fewer than are wanted would be no use.
    rerank = validation.search(find(k=5, rerank=pb.Rerank(candidates=4)))[1].rerank
    assert rerank == Rerank(5)


def test_filter_and_products_left_out_come_together() -> None:
    sent = pb.Filter(
        categories=["home"],
        product_ids=["x"],
        min_price=0,
        max_price=0,
        attributes=[brand("acme", "umbrella")],
        exclude_product_ids=["y"],
    )
    _, search = validation.search(find(filter=sent, exclude_product_ids=["z"]))
    assert search.filter == Filter(
        ("home",), ("x",), 0.0, 0.0, (("brand", ("acme", "umbrella")),), ("y", "z")
    )


def test_packed_vectors_are_little_endian_float32() -> None:
    packed = bytes.fromhex("0000803f00000040")
    queries, _ = validation.search(
        find(queries=[], packed_vectors=packed, packed_embedding_space="s")
    )
    assert isinstance(queries, PackedVectors)
    assert (queries.values.tolist(), queries.embedding_space) == ([1.0, 2.0], "s")
