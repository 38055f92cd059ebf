"""What the gateway asks of the index, and what it makes of the answers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.deadline import Deadline
from gateway.index import IndexUpstream
from gateway.index_state import ServingCollection
from gateway.items import NearPhoto, StoredPhoto
from gateway.listings import Hit, ItemId, Neighbors, PhotoVector, SearchOptions, Written
from lookalike.catalogue.listings import (
    CataloguePhoto,
    ListingFilter,
    NearDuplicate,
    NearDuplicateKind,
)
from lookalike.errors import (
    CollectionExistsError,
    CollectionNotFoundError,
    LookalikeError,
    QueueFullError,
)
from lookalike.index.v1 import index_pb2
from tests.gateways import LISTING, SPACE, VECTOR
from tests.upstream_services import FakeServices

MISSING = CollectionNotFoundError("none", resource=("collection", "listings"))
TAKEN = CollectionExistsError("there is one", resource=("collection", "listings"))
NEAR = NearDuplicate("a", "b", NearDuplicateKind.SIMILAR, 0.1, linked=True)
PHOTO = StoredPhoto(LISTING, VECTOR, "hash", "key", "content")


def vector(values: tuple[float, ...] = (0.5, -2.0)) -> index_pb2.Vector:
    return index_pb2.Vector(values=values, embedding_space=SPACE)


@pytest.mark.parametrize(
    "listing",
    [
        LISTING,
        CataloguePhoto("photo", "listing"),
        replace(LISTING, near_duplicate=NEAR, has_thumbnail=True),
        replace(LISTING, near_duplicate=replace(NEAR, linked=False)),
        replace(LISTING, price=12.5, currency="GBP"),
    ],
)
async def test_listing_comes_back_as_it_was_written(
    called_index: IndexUpstream, services: FakeServices, listing: CataloguePhoto
) -> None:
    photo = replace(PHOTO, photo=listing)
    assert await called_index.upsert(photo, Deadline(30), "key") == Written(seq=7, replaced=True)
    (request,) = services.asked
    (item,) = request.items
    assert (request.collection, request.request_id) == ("listings", "key")
    assert item.vector == vector()
    item.ClearField("vector")
    services.found.neighbors.add(item=item, distance=0.25)
    found = await called_index.find([VECTOR], SearchOptions(1), Deadline(30))
    assert found == Neighbors([Hit(listing, 0.25, 0.25)], "", exact=True, applied_seq=9)
    (near,) = await called_index.near(
        VECTOR, Deadline(30), max_distance=0.5, limit=10, other_than="own"
    )
    assert near == NearPhoto(replace(photo, vector=None), 0.25)


async def test_item_of_another_program_is_a_listing_too(
    called_index: IndexUpstream, services: FakeServices
) -> None:
    odd = {"near_duplicate": "flagged", "near_duplicate_kind": "strange", "title": "Lamp"}
    services.found.neighbors.add(
        item=index_pb2.Item(id="a", product_id="b", attributes=odd), distance=1
    )
    found = await called_index.find([VECTOR], SearchOptions(1), Deadline(30))
    assert found.hits[0].photo == CataloguePhoto("a", "b", title="Lamp")


async def test_search_says_all_that_is_wanted(
    called_index: IndexUpstream, services: FakeServices
) -> None:
    services.found = index_pb2.QueryResult(shortfall="no items", candidates_scanned=4)
    only = ListingFilter(("tools",), 1, 2, ("Basel",), ("p",), ("q",), near_duplicates=True)
    options = SearchOptions(3, only, True, 0.5, exact=True, min_seq=8)
    found = await called_index.find(ItemId("photo"), options, Deadline(30))
    assert found == Neighbors([], "no items", exact=False, applied_seq=9, candidates_scanned=4)
    (request,) = services.asked
    assert request == index_pb2.FindNeighborsRequest(
        collection="listings",
        queries=[index_pb2.Query(item_id="photo")],
        k=3,
        exclude_same_product=True,
        filter=index_pb2.Filter(
            categories=["tools"],
            min_price=1,
            max_price=2,
            product_ids=["p"],
            exclude_product_ids=["q"],
            attributes=[
                index_pb2.AttributeFilter(key="location", values=["Basel"]),
                index_pb2.AttributeFilter(key="near_duplicate", values=["flagged", "linked"]),
            ],
        ),
        max_distance=0.5,
        exact=True,
        min_seq=8,
    )


async def test_search_wants_each_listing_once_unless_told(
    called_index: IndexUpstream, services: FakeServices
) -> None:
    other = PhotoVector((1.0, 1.0), SPACE)
    await called_index.find([VECTOR], SearchOptions(3), Deadline(30))
    await called_index.find([VECTOR, other], SearchOptions(3), Deadline(30))
    one, several = services.asked
    assert one.distinct_products
    assert one.queries[0].vector == vector()
    positives = several.queries[0].examples.positives
    assert [example.vector for example in positives] == [vector(), vector((1.0, 1.0))]


async def test_who_takes_an_answer_without_listings_gets_one_in_time(
    called_index: IndexUpstream, services: FakeServices
) -> None:
    await called_index.find([VECTOR], SearchOptions(3, allow_partial=True), Deadline(30))
    assert services.remaining_s is not None
    assert services.remaining_s < 28


async def test_first_write_makes_the_collection_of_its_space_and_the_alias(
    called_index: IndexUpstream, services: FakeServices
) -> None:
    services.errors = {"BatchUpsertItems": [MISSING], "GetCollection": [MISSING]}
    assert (await called_index.upsert(PHOTO, Deadline(30))).seq == 7
    first, created, _, alias, _, second = services.asked
    assert created.collection == index_pb2.Collection(
        name="listings-space-1",
        embedding_space=SPACE,
        dimension=2,
        indexed_attributes=["location", "near_duplicate"],
        text_attributes=["title", "description"],
    )
    assert alias == index_pb2.SetAliasRequest(name="listings", collection="listings-space-1")
    assert first == second
    assert called_index.serving == ServingCollection("listings-space-1", SPACE)


async def test_alias_that_leads_somewhere_by_now_is_left_alone(
    called_index: IndexUpstream, services: FakeServices
) -> None:
    services.errors = {"BatchUpsertItems": [MISSING], "CreateCollection": [TAKEN]}
    assert (await called_index.upsert(PHOTO, Deadline(30))).seq == 7
    assert services.count(index_pb2.SetAliasRequest) == 0


async def test_plain_collection_that_somebody_made_meanwhile_is_used(
    called_index: IndexUpstream, services: FakeServices
) -> None:
    services.errors = {
        "BatchUpsertItems": [MISSING],
        "GetCollection": [MISSING],
        "SetAlias": [TAKEN],
    }
    assert (await called_index.upsert(PHOTO, Deadline(30))).seq == 7


@pytest.mark.parametrize("method", ["CreateCollection", "SetAlias"])
async def test_collection_that_cannot_be_made_is_not_tried_for_ever(
    called_index: IndexUpstream, services: FakeServices, method: str
) -> None:
    full = QueueFullError("full", retry_after_ms=10)
    missing: dict[str, list[LookalikeError]] = {
        "BatchUpsertItems": [MISSING] * 3,
        "GetCollection": [MISSING] * 3,
    }
    services.errors = missing | {method: [full]}
    with pytest.raises(QueueFullError):
        await called_index.upsert(PHOTO, Deadline(30))
    with pytest.raises(CollectionNotFoundError):
        await called_index.upsert(PHOTO, Deadline(30))
    assert services.count(index_pb2.BatchUpsertItemsRequest) == 3


async def test_where_the_name_leads_is_learnt_from_answers(
    called_index: IndexUpstream, services: FakeServices
) -> None:
    told: list[ServingCollection | None] = []
    called_index.serving_changed = lambda: told.append(called_index.serving)
    await called_index.find([VECTOR], SearchOptions(1), Deadline(30))
    await called_index.refresh(30)
    services.errors = {"GetCollection": [MISSING]}
    assert await called_index.refresh(30) is None
    assert told == [ServingCollection("listings-space-1", SPACE), None]
