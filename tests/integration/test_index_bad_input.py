"""What must not be written, sent to a real process: each refused for a named reason, none kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lookalike.errors import LookalikeError
from lookalike.index.v1 import index_pb2 as pb
from lookalike.status import from_status
from tests.listings import INF, NAN, Index, create, index_with_listings, item, upsert, vector

Refusal = Callable[[Callable[[], object]], LookalikeError]

LONG = "x" * 129
OTHER = item(id="other")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    with index_with_listings(tmp_path_factory.mktemp("bad-input")) as index:
        yield index


def delete(**fields: Any) -> pb.BatchDeleteItemsRequest:
    return pb.BatchDeleteItemsRequest(**{"collection": "listings", **fields})


# Each with the reason and the path of the field in it.
BAD_ITEMS: list[tuple[pb.Item, str, str]] = [
    (item(vector=vector(1, NAN)), "NON_FINITE_VECTOR", "vector.values"),
    (item(vector=vector(INF, 1)), "NON_FINITE_VECTOR", "vector.values"),
    (item(vector=vector(1, -INF)), "NON_FINITE_VECTOR", "vector.values"),
    (item(vector=vector(1e39, 1)), "NON_FINITE_VECTOR", "vector.values"),  # no float32
    (item(features=[NAN, 1]), "NON_FINITE_VECTOR", "features"),
    (item(features=[1, INF]), "NON_FINITE_VECTOR", "features"),
    (item(vector=vector()), "DIMENSION_MISMATCH", "vector.values"),
    (item(vector=vector(1)), "DIMENSION_MISMATCH", "vector.values"),
    (item(vector=vector(1, 2, 3)), "DIMENSION_MISMATCH", "vector.values"),
    (item(features=[1]), "DIMENSION_MISMATCH", "features"),
    (item(features=[1] * 3), "DIMENSION_MISMATCH", "features"),
    (
        item(vector=vector(1, 2, space="space-2")),
        "EMBEDDING_SPACE_MISMATCH",
        "vector.embedding_space",
    ),
    (item(vector=vector(1, 2, space="")), "EMBEDDING_SPACE_MISMATCH", "vector.embedding_space"),
    (item(vector=None), "INVALID_ARGUMENT", "vector"),
    (item(id=""), "INVALID_ARGUMENT", "id"),
    (item(id=LONG), "INVALID_ARGUMENT", "id"),
    (item(id="other"), "INVALID_ARGUMENT", "id"),  # twice in the batch
    (item(product_id=""), "INVALID_ARGUMENT", "product_id"),
    (item(product_id=LONG), "INVALID_ARGUMENT", "product_id"),
    (item(category="x" * 257), "INVALID_ARGUMENT", "category"),
    (item(price=-0.01), "INVALID_ARGUMENT", "price"),
    (item(price=NAN), "INVALID_ARGUMENT", "price"),
    (item(price=INF), "INVALID_ARGUMENT", "price"),
    (item(attributes={str(i): "" for i in range(65)}), "INVALID_ARGUMENT", "attributes"),
    (item(attributes={LONG: ""}), "INVALID_ARGUMENT", "attributes"),
    (item(attributes={"title": "x" * 8193}), "INVALID_ARGUMENT", "attributes"),
]

# Each with its method, the reason, and the path of the field if one is at fault.
BAD_WRITES: list[tuple[str, Any, str, str]] = [
    ("BatchUpsertItems", upsert(), "INVALID_ARGUMENT", "items"),
    ("BatchUpsertItems", upsert(*[OTHER] * 10_001), "INVALID_ARGUMENT", "items"),
    ("BatchUpsertItems", upsert(OTHER, request_id=LONG), "INVALID_ARGUMENT", "request_id"),
    ("BatchUpsertItems", upsert(OTHER, collection="none"), "COLLECTION_NOT_FOUND", ""),
    ("BatchUpsertItems", upsert(OTHER, collection="../listings"), "COLLECTION_NOT_FOUND", ""),
    ("BatchUpsertItems", upsert(OTHER, collection=""), "COLLECTION_NOT_FOUND", ""),
    ("BatchDeleteItems", delete(), "INVALID_ARGUMENT", "item_ids"),
    ("BatchDeleteItems", delete(item_ids=["a"] * 10_001), "INVALID_ARGUMENT", "item_ids"),
    ("BatchDeleteItems", delete(item_ids=["a", ""]), "INVALID_ARGUMENT", "item_ids[1]"),
    ("BatchDeleteItems", delete(product_ids=[LONG]), "INVALID_ARGUMENT", "product_ids[0]"),
    ("BatchDeleteItems", delete(item_ids=["a"], request_id=LONG), "INVALID_ARGUMENT", "request_id"),
    ("BatchDeleteItems", delete(collection="none", item_ids=["a"]), "COLLECTION_NOT_FOUND", ""),
    ("CreateCollection", create(), "COLLECTION_EXISTS", ""),
    ("CreateCollection", create(name="shop"), "COLLECTION_EXISTS", ""),
    ("DeleteCollection", pb.DeleteCollectionRequest(name="listings"), "COLLECTION_IN_USE", ""),
    ("DeleteCollection", pb.DeleteCollectionRequest(name="none"), "COLLECTION_NOT_FOUND", ""),
    ("DeleteCollection", pb.DeleteCollectionRequest(name="shop"), "COLLECTION_NOT_FOUND", ""),
    ("SetAlias", pb.SetAliasRequest(name="a", collection="none"), "COLLECTION_NOT_FOUND", ""),
    ("SetAlias", pb.SetAliasRequest(name="a", collection=""), "COLLECTION_NOT_FOUND", ""),
    (
        "SetAlias",
        pb.SetAliasRequest(name="listings", collection="listings"),
        "COLLECTION_EXISTS",
        "",
    ),
    ("DeleteAlias", pb.DeleteAliasRequest(name="none"), "ALIAS_NOT_FOUND", ""),
    ("DeleteAlias", pb.DeleteAliasRequest(name="listings"), "ALIAS_NOT_FOUND", ""),
]

BAD_COLLECTIONS: list[dict[str, Any]] = [
    {"embedding_space": ""},
    {"embedding_space": LONG},
    {"dimension": 0},
    {"dimension": -1},
    {"dimension": 4097},
    {"metric": 99},
    {"indexed_attributes": [str(i) for i in range(17)]},
    {"indexed_attributes": [LONG]},
    {"indexed_attributes": [""]},
    {"indexed_attributes": ["colour", "colour"]},
    {"features_dimension": -1},
    {"features_dimension": 4097},
    {"exact_up_to": -1},
    {"target_recall": 0.4},
    {"target_recall": 1.1},
    {"target_recall": NAN},
]

BAD_NAMES = (
    "",
    "a" * 65,
    "Listings",
    "1a",
    "-a",
    "_a",
    "a b",
    "a\n",
    "a\0",
    "a/b",
    "../a",
    "a.b",
    "é",
    "a\u202e",
    "a'; DROP TABLE items; --",
)

HOSTILE_IDS = (
    "a",
    "A",
    "a\0",
    "a\0b",
    " a",
    "a\n",
    "'; DROP TABLE items; --",
    '"',
    "%",
    "a_",
    "../../etc/passwd",
    "é",
    "e\u0301",
    "\u202eabc",
    "\U0001f6cb\ufe0f",
    "\uffff",
    "\U0001f6cb" * 128,
    "NULL",
    "{}",
    "-1",
)


@pytest.mark.parametrize(("bad", "reason", "field"), BAD_ITEMS)
def test_bad_item_is_refused_with_its_whole_batch(
    bad: pb.Item, reason: str, field: str, index: Index, refusal: Refusal
) -> None:
    before = index.newest_write()
    refused = refusal(lambda: index.stub.BatchUpsertItems(upsert(OTHER, bad)))
    assert (refused.reason, refused.field) == (reason, f"items[1].{field}")
    _nothing_changed(index, before)


@pytest.mark.parametrize("bad", BAD_WRITES)
def test_bad_write_is_refused_for_a_named_reason(
    bad: tuple[str, Any, str, str], index: Index, refusal: Refusal
) -> None:
    method, request, reason, field = bad
    before = index.newest_write()
    refused = refusal(lambda: getattr(index.stub, method)(request))
    assert refused.reason == reason
    assert not field or refused.field == field
    _nothing_changed(index, before)


@pytest.mark.parametrize("changes", BAD_COLLECTIONS)
def test_bad_collection_is_refused_naming_the_field(
    changes: dict[str, Any], index: Index, refusal: Refusal
) -> None:
    request = create(**{"name": "new", **changes})
    refused = refusal(lambda: index.stub.CreateCollection(request))
    assert refused.reason == "INVALID_ARGUMENT"
    assert refused.field.startswith(f"collection.{next(iter(changes))}")


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_name_is_refused_for_collections_and_aliases(
    name: str, index: Index, refusal: Refusal
) -> None:
    alias = pb.SetAliasRequest(name=name, collection="listings")
    for call, field in [
        (lambda: index.stub.CreateCollection(create(name=name)), "collection.name"),
        (lambda: index.stub.SetAlias(alias), "name"),
    ]:
        refused = refusal(call)
        assert (refused.reason, refused.field) == ("INVALID_ARGUMENT", field)


def test_request_id_of_another_write_is_refused(index: Index, refusal: Refusal) -> None:
    first = index.stub.BatchUpsertItems(upsert(item(), request_id="once"))
    changed = upsert(item(price=1), request_id="once")
    assert refusal(lambda: index.stub.BatchUpsertItems(changed)).reason == "REQUEST_ID_REUSED"
    other_method = delete(item_ids=["lamp-1"], request_id="once")
    assert refusal(lambda: index.stub.BatchDeleteItems(other_method)).reason == "REQUEST_ID_REUSED"
    assert index.stub.BatchUpsertItems(upsert(item(), request_id="once")) == first
    _nothing_changed(index, first.seq)


def test_bad_batch_of_a_stream_is_answered_in_its_place(index: Index) -> None:
    before = index.newest_write()
    good = upsert(item())
    batches = [
        pb.StreamUpsertItemsRequest(id="1", request=good),
        pb.StreamUpsertItemsRequest(id="2", request=upsert(item(vector=vector(NAN, 0)))),
        pb.StreamUpsertItemsRequest(id="3", request=upsert(item(), collection="none")),
        pb.StreamUpsertItemsRequest(id="", request=good),
        pb.StreamUpsertItemsRequest(id="x" * 65, request=good),
        pb.StreamUpsertItemsRequest(id="4"),
        pb.StreamUpsertItemsRequest(id="5", request=good),
    ]
    answers = list(index.stub.StreamUpsertItems(iter(batches)))
    reasons = {a.id: from_status(a.error).reason for a in answers if a.HasField("error")}
    assert len(answers) == len(batches)
    assert reasons["2"] == "NON_FINITE_VECTOR"
    assert reasons["3"] == "COLLECTION_NOT_FOUND"
    assert {a.id for a in answers if a.HasField("response")} == {"1", "5"}
    assert index.newest_write() == before + 2


def test_hostile_ids_are_kept_apart_letter_by_letter(index: Index) -> None:
    stub = index.stub
    stub.CreateCollection(create(name="hostile"))
    items = [
        item(id=hostile, product_id=hostile, category=hostile, attributes={"colour": hostile})
        for hostile in HOSTILE_IDS
    ]
    stub.BatchUpsertItems(upsert(*items, collection="hostile"))
    listed = stub.ListItems(
        pb.ListItemsRequest(collection="hostile", view=pb.ITEM_VIEW_VECTORS, page_size=1000)
    )
    assert list(listed.items) == items
    for hostile, expected in zip(HOSTILE_IDS, items, strict=True):
        got = stub.GetItem(pb.GetItemRequest(collection="hostile", item_id=hostile)).item
        assert got == expected
        for chosen in [
            pb.Filter(product_ids=[hostile]),
            pb.Filter(categories=[hostile]),
            pb.Filter(attributes=[pb.AttributeFilter(key="colour", values=[hostile])]),
        ]:
            page = pb.ListItemsRequest(collection="hostile", filter=chosen)
            assert [found.id for found in stub.ListItems(page).items] == [hostile]
    for left, hostile in reversed(list(enumerate(HOSTILE_IDS))):
        request = delete(collection="hostile", product_ids=[hostile], item_ids=[hostile])
        assert stub.BatchDeleteItems(request).deleted == 1
        count = stub.CountItems(pb.CountItemsRequest(collection="hostile"))
        assert (count.items, count.products) == (left, left)


def _nothing_changed(index: Index, newest_write: int) -> None:
    assert index.newest_write() == newest_write
    count = index.stub.CountItems(pb.CountItemsRequest(collection="listings"))
    assert (count.items, count.products) == (2, 2)
