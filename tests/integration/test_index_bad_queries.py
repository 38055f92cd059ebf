"""What cannot be answered, asked of a real process: each refused for a named reason."""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from lookalike.errors import LookalikeError
from lookalike.index.v1 import index_pb2 as pb
from lookalike.status import from_status
from tests.listings import (
    INF,
    NAN,
    SPACE,
    Index,
    create,
    find,
    index_with_listings,
    item,
    upsert,
    vector,
)

Refusal = Callable[[Callable[[], object]], LookalikeError]

LONG = "x" * 129
QUERY = pb.Query(vector=vector(1, 2))


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    with index_with_listings(tmp_path_factory.mktemp("bad-queries")) as index:
        yield index


def query(**fields: Any) -> pb.FindNeighborsRequest:
    return find(queries=[QUERY, pb.Query(**fields)])


def examples(*positives: Any, negatives: Any = ()) -> pb.FindNeighborsRequest:
    return query(examples=pb.Examples(positives=positives, negatives=negatives))


def packed(values: Any, **changes: Any) -> pb.FindNeighborsRequest:
    raw = values if isinstance(values, bytes) else np.array(values, "<f4").tobytes()
    fields = {"queries": [], "packed_vectors": raw, "packed_embedding_space": SPACE, **changes}
    return find(**fields)


EXAMPLE = pb.Example(item_id="lamp-1")

BAD_SEARCHES: list[tuple[pb.FindNeighborsRequest, str]] = [
    (find(k=0), "INVALID_ARGUMENT"),
    (find(k=-1), "INVALID_ARGUMENT"),
    (find(k=1001), "INVALID_ARGUMENT"),
    (find(k=1_000_000), "INVALID_ARGUMENT"),
    (find(queries=[]), "INVALID_ARGUMENT"),
    (find(queries=[QUERY] * 1001), "INVALID_ARGUMENT"),
    (find(queries=[QUERY] * 10_000), "INVALID_ARGUMENT"),
    (find(queries=[QUERY] * 101, k=1000), "INVALID_ARGUMENT"),
    (find(collection="none"), "COLLECTION_NOT_FOUND"),
    (find(collection=""), "COLLECTION_NOT_FOUND"),
    (query(), "INVALID_ARGUMENT"),
    (query(vector=vector(NAN, 1)), "NON_FINITE_VECTOR"),
    (query(vector=vector(1, INF)), "NON_FINITE_VECTOR"),
    (query(vector=vector()), "DIMENSION_MISMATCH"),
    (query(vector=vector(1, 2, 3)), "DIMENSION_MISMATCH"),
    (query(vector=vector(1, 2, space="space-2")), "EMBEDDING_SPACE_MISMATCH"),
    (query(item_id="none"), "ITEM_NOT_FOUND"),
    (query(item_id=""), "INVALID_ARGUMENT"),
    (query(item_id=LONG), "INVALID_ARGUMENT"),
    (examples(), "INVALID_ARGUMENT"),
    (examples(pb.Example()), "INVALID_ARGUMENT"),
    (examples(*[EXAMPLE] * 101), "INVALID_ARGUMENT"),
    (examples(EXAMPLE, negatives=[EXAMPLE] * 101), "INVALID_ARGUMENT"),
    (examples(pb.Example(item_id="none")), "ITEM_NOT_FOUND"),
    (examples(pb.Example(vector=vector(NAN, 1))), "NON_FINITE_VECTOR"),
    (examples(EXAMPLE, negatives=[pb.Example(vector=vector(1))]), "DIMENSION_MISMATCH"),
    (
        examples(pb.Example(vector=vector(1, 2, space="space-2"))),
        "EMBEDDING_SPACE_MISMATCH",
    ),
    (find(exclude_product_ids=["x"] * 1001), "INVALID_ARGUMENT"),
    (find(exclude_product_ids=[LONG]), "INVALID_ARGUMENT"),
    (find(max_distance=NAN), "INVALID_ARGUMENT"),
    (find(view=pb.ITEM_VIEW_VECTORS), "INVALID_ARGUMENT"),
    (find(view=99), "INVALID_ARGUMENT"),
    (find(rerank=pb.Rerank(candidates=10_001)), "INVALID_ARGUMENT"),
    (find(rerank=pb.Rerank(vector_weight=-1)), "INVALID_ARGUMENT"),
    (find(rerank=pb.Rerank(candidates=-1)), "INVALID_ARGUMENT"),
    (
        find(queries=[pb.Query(vector=vector(1, 2), features=[1])], rerank=pb.Rerank()),
        "DIMENSION_MISMATCH",
    ),
    (
        find(queries=[pb.Query(vector=vector(1, 2), features=[1, NAN])], rerank=pb.Rerank()),
        "NON_FINITE_VECTOR",
    ),
    (find(rerank=pb.Rerank()), "INVALID_ARGUMENT"),  # by vector, without features
    (packed([1, 2], queries=[QUERY]), "INVALID_ARGUMENT"),
    (packed(b"1234567"), "INVALID_ARGUMENT"),
    (packed([1, 2, 3]), "DIMENSION_MISMATCH"),
    (packed([1, NAN]), "NON_FINITE_VECTOR"),
    (packed([1, 2], packed_embedding_space="space-2"), "EMBEDDING_SPACE_MISMATCH"),
    (packed([1, 2] * 1001), "INVALID_ARGUMENT"),
]

BAD_FILTERS: list[tuple[pb.Filter, str]] = [
    (pb.Filter(attributes=[pb.AttributeFilter(key="size", values=["x"])]), "UNKNOWN_FILTER_FIELD"),
    (pb.Filter(attributes=[pb.AttributeFilter(key="", values=["x"])]), "INVALID_ARGUMENT"),
    (pb.Filter(attributes=[pb.AttributeFilter(key="colour")]), "INVALID_ARGUMENT"),
    (
        pb.Filter(attributes=[pb.AttributeFilter(key="colour", values=["x"] * 101)]),
        "INVALID_ARGUMENT",
    ),
    (
        pb.Filter(attributes=[pb.AttributeFilter(key="colour", values=["x"])] * 17),
        "INVALID_ARGUMENT",
    ),
    (pb.Filter(categories=["x"] * 101), "INVALID_ARGUMENT"),
    (pb.Filter(product_ids=["x"] * 1001), "INVALID_ARGUMENT"),
    (pb.Filter(exclude_product_ids=["x"] * 1001), "INVALID_ARGUMENT"),
    (pb.Filter(min_price=NAN), "INVALID_ARGUMENT"),
    (pb.Filter(max_price=NAN), "INVALID_ARGUMENT"),
]

BAD_READS: list[tuple[str, Any, str]] = [
    ("GetItem", pb.GetItemRequest(collection="listings"), "INVALID_ARGUMENT"),
    ("GetItem", pb.GetItemRequest(collection="listings", item_id=LONG), "INVALID_ARGUMENT"),
    ("GetItem", pb.GetItemRequest(collection="listings", item_id="none"), "ITEM_NOT_FOUND"),
    ("GetItem", pb.GetItemRequest(collection="none", item_id="a"), "COLLECTION_NOT_FOUND"),
    ("GetCollection", pb.GetCollectionRequest(name="none"), "COLLECTION_NOT_FOUND"),
    ("ListItems", pb.ListItemsRequest(collection="none"), "COLLECTION_NOT_FOUND"),
    ("ListItems", pb.ListItemsRequest(collection="listings", page_size=-1), "INVALID_ARGUMENT"),
    ("ListItems", pb.ListItemsRequest(collection="listings", page_size=1001), "INVALID_ARGUMENT"),
    ("ListItems", pb.ListItemsRequest(collection="listings", view=99), "INVALID_ARGUMENT"),
    ("CountItems", pb.CountItemsRequest(collection="none"), "COLLECTION_NOT_FOUND"),
    ("SearchRange", pb.SearchRangeRequest(collection="listings"), "INVALID_ARGUMENT"),
    (
        "SearchRange",
        pb.SearchRangeRequest(collection="listings", query=QUERY, max_distance=NAN),
        "INVALID_ARGUMENT",
    ),
    (
        "SearchRange",
        pb.SearchRangeRequest(collection="listings", query=QUERY, limit=10_001),
        "INVALID_ARGUMENT",
    ),
    (
        "SearchRange",
        pb.SearchRangeRequest(collection="listings", query=QUERY, limit=-1),
        "INVALID_ARGUMENT",
    ),
    (
        "SearchRange",
        pb.SearchRangeRequest(collection="listings", query=QUERY, view=pb.ITEM_VIEW_VECTORS),
        "INVALID_ARGUMENT",
    ),
]


@pytest.mark.parametrize(("search", "reason"), BAD_SEARCHES)
def test_bad_search_is_refused_for_a_named_reason(
    search: pb.FindNeighborsRequest, reason: str, index: Index, refusal: Refusal
) -> None:
    assert refusal(lambda: index.stub.FindNeighbors(search)).reason == reason
    (answer,) = index.stub.StreamFindNeighbors(
        iter([pb.StreamFindNeighborsRequest(id="1", request=search)])
    )
    assert (answer.id, from_status(answer.error).reason) == ("1", reason)


@pytest.mark.parametrize(("where", "reason"), BAD_FILTERS)
def test_bad_filter_is_refused_wherever_there_is_one(
    where: pb.Filter, reason: str, index: Index, refusal: Refusal
) -> None:
    stub = index.stub
    count = pb.CountItemsRequest(collection="listings", filter=where)
    page = pb.ListItemsRequest(collection="listings", filter=where)
    reach = pb.SearchRangeRequest(collection="listings", query=QUERY, filter=where)
    calls: list[Callable[[], object]] = [
        lambda: stub.FindNeighbors(find(filter=where)),
        lambda: stub.CountItems(count),
        lambda: stub.ListItems(page),
        lambda: stub.SearchRange(reach),
    ]
    assert [refusal(call).reason for call in calls] == [reason] * len(calls)


@pytest.mark.parametrize(("method", "request_", "reason"), BAD_READS)
def test_bad_read_is_refused_for_a_named_reason(
    method: str, request_: Any, reason: str, index: Index, refusal: Refusal
) -> None:
    assert refusal(lambda: getattr(index.stub, method)(request_)).reason == reason


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "-1",
        "0",
        "1",
        "\0",
        "☂",
        "../..",
        "=",
        "AAAA",
        base64.urlsafe_b64encode(b"\xff" * 16).decode(),
        base64.urlsafe_b64encode(b'{"after": -1}').decode(),
        "x" * 100_000,
    ],
    ids=lambda token: ascii(token[:12]),
)
def test_page_token_that_is_none_of_ours_is_refused(
    token: str, index: Index, refusal: Refusal
) -> None:
    request = pb.ListItemsRequest(collection="listings", page_size=1, page_token=token)
    refused = refusal(lambda: index.stub.ListItems(request))
    assert (refused.reason, refused.field) == ("INVALID_PAGE_TOKEN", "page_token")


def test_page_token_of_another_request_is_refused(index: Index, refusal: Refusal) -> None:
    stub = index.stub
    stub.CreateCollection(create(name="others"))
    stub.BatchUpsertItems(upsert(item(), item(id="b"), collection="others"))
    first = pb.ListItemsRequest(collection="listings", page_size=1)
    token = stub.ListItems(first).next_page_token
    changes: list[dict[str, Any]] = [
        {"collection": "others"},
        {"filter": pb.Filter(categories=["x"])},
        {"filter": pb.Filter(min_price=0)},
        *({"page_token": damaged} for damaged in (token[:-3], token[1:], token[::-1])),
    ]
    for change in changes:
        fields = {"collection": "listings", "page_size": 1, "page_token": token, **change}
        call = functools.partial(stub.ListItems, pb.ListItemsRequest(**fields))
        assert refusal(call).reason == "INVALID_PAGE_TOKEN"
    first.page_token = token
    assert [found.id for found in stub.ListItems(first).items] == ["sofa-1"]


def test_read_that_must_include_a_write_to_come_is_refused(index: Index, refusal: Refusal) -> None:
    future: dict[str, Any] = {"collection": "listings", "min_seq": index.newest_write() + 1}
    calls: list[Callable[[], object]] = [
        lambda: index.stub.FindNeighbors(find(**future)),
        lambda: index.stub.SearchRange(pb.SearchRangeRequest(query=QUERY, **future)),
        lambda: index.stub.CountItems(pb.CountItemsRequest(**future)),
        lambda: index.stub.ListItems(pb.ListItemsRequest(**future)),
        lambda: index.stub.GetItem(pb.GetItemRequest(item_id="lamp-1", **future)),
    ]
    assert {refusal(call).reason for call in calls} == {"INDEX_RECOVERING"}


@pytest.mark.parametrize(
    "metric", [pb.METRIC_SQUARED_L2, pb.METRIC_COSINE, pb.METRIC_INNER_PRODUCT]
)
def test_the_largest_and_smallest_values_of_float32_do_no_harm(
    metric: pb.Metric.ValueType, index: Index
) -> None:
    name = f"extremes-{metric}"
    index.stub.CreateCollection(create(name=name, metric=metric))
    largest, smallest = float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny)
    corners = [(x, y) for x in (largest, smallest, 1) for y in (largest, -largest, smallest)]
    items = [
        item(id=str(i), product_id=str(i), vector=vector(*corner), features=[])
        for i, corner in enumerate(corners)
    ]
    index.stub.BatchUpsertItems(upsert(*items, collection=name))
    queries = [pb.Query(vector=vector(*corner)) for corner in corners]
    answer = index.stub.FindNeighbors(find(collection=name, queries=queries, k=len(corners)))
    for place, result in enumerate(answer.results):
        distances = [hit.distance for hit in result.neighbors]
        assert len(distances) == len(corners)
        assert np.isfinite(distances).all()
        assert distances == sorted(distances)
        if metric == pb.METRIC_SQUARED_L2:
            assert result.neighbors[0].item.id == str(place)
            assert distances[0] == 0
