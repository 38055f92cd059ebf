"""Features on their way into the index, and what it ranks by them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.deadline import Deadline
from gateway.index import IndexUpstream
from gateway.index_state import CollectionStats, ServingCollection
from gateway.items import StoredPhoto
from gateway.listings import ItemId, PhotoVector, Rerank, SearchOptions
from gateway.vectors import compact
from lookalike.errors import (
    CollectionExistsError,
    CollectionNotFoundError,
    DimensionMismatchError,
    InvalidArgumentError,
    RankingUnavailableError,
)
from lookalike.index.v1 import index_pb2 as pb
from tests.gateway_models import FEATURES
from tests.gateways import LISTING, SPACE, VECTOR
from tests.upstream_services import FakeServices

WITH = replace(VECTOR, features=FEATURES)
PHOTO = StoredPhoto(LISTING, WITH, "hash")
RERANK = Rerank(candidates=200, vector_weight=0.25)
MISSING = CollectionNotFoundError("none", resource=("collection", "listings"))
BEFORE = ServingCollection("listings-space-1", SPACE)


def written(services: FakeServices) -> list[list[float]]:
    """The features of each item that was sent to be written."""
    requests = [each for each in services.asked if isinstance(each, pb.BatchUpsertItemsRequest)]
    return [list(request.items[0].features) for request in requests]


async def test_search_ranks_candidates_by_the_features_of_what_is_looked_for(
    called_index: IndexUpstream, services: FakeServices
) -> None:
    services.features_dimension = 4
    services.found = pb.QueryResult(candidates_ranked=7, candidates_scanned=9, complete=True)
    item = pb.Item(id="a", product_id="b")
    services.found.neighbors.add(item=item, distance=0.75, first_distance=2)
    found = await called_index.find([WITH], SearchOptions(3), Deadline(30), RERANK)
    (request,) = services.asked
    assert request.rerank == pb.Rerank(candidates=200, vector_weight=0.25)
    assert list(request.queries[0].features) == pytest.approx(list(FEATURES))
    (hit,) = found.hits
    assert (hit.distance, hit.ranked_by, hit.likeness) == (2, 0.75, None)
    assert (found.candidates_ranked, found.candidates_scanned, found.exact) == (7, 9, True)


async def test_ranked_answer_is_exact_only_if_nothing_nearer_can_be_missing(
    called_index: IndexUpstream, services: FakeServices
) -> None:
    services.features_dimension = 4
    services.found = pb.QueryResult(method=pb.SEARCH_METHOD_EXACT, candidates_ranked=7)
    assert not (await called_index.find([WITH], SearchOptions(3), Deadline(30), RERANK)).exact
    services.found = pb.QueryResult(method=pb.SEARCH_METHOD_EXACT)
    assert (await called_index.find([WITH], SearchOptions(3), Deadline(30))).exact


async def test_search_by_vector_alone_sends_no_features(
    called_index: IndexUpstream, services: FakeServices
) -> None:
    await called_index.find([WITH], SearchOptions(3), Deadline(30))
    (request,) = services.asked
    assert not request.HasField("rerank")
    assert not request.queries[0].features


async def test_several_photos_are_ranked_by_the_mean_direction_of_their_features(
    called_index: IndexUpstream, services: FakeServices
) -> None:
    services.features_dimension = 2
    photos = [PhotoVector((1.0, 2.0), SPACE, compact(f)) for f in ((9.0, 0.0), (0.0, 2.0))]
    await called_index.find(photos, SearchOptions(3), Deadline(30), RERANK)
    (query,) = services.asked[0].queries
    assert list(query.features) == [0.5, 0.5]
    assert len(query.examples.positives) == 2


async def test_item_is_ranked_by_its_own_features(
    called_index: IndexUpstream, services: FakeServices
) -> None:
    services.features_dimension = 4
    await called_index.find(ItemId("photo"), SearchOptions(3), Deadline(30), RERANK)
    assert services.asked[0].queries == [pb.Query(item_id="photo")]


@pytest.mark.parametrize(
    ("query", "field"), [([WITH], "rerank"), (ItemId("a"), "queries[0].features")]
)
async def test_what_the_index_cannot_rank_is_told_apart_from_what_a_caller_sent_wrong(
    called_index: IndexUpstream,
    services: FakeServices,
    query: ItemId | list[PhotoVector],
    field: str,
) -> None:
    services.errors["FindNeighbors"] = [InvalidArgumentError("it keeps none", field=field)]
    with pytest.raises(RankingUnavailableError) as caught:
        await called_index.find(query, SearchOptions(3), Deadline(30), RERANK)
    assert caught.value.field == "ranking"
    for error in (
        DimensionMismatchError("short", field="queries[0].features"),
        InvalidArgumentError("no", field="filter.attributes[0].key"),
    ):
        services.errors["FindNeighbors"] = [error]
        with pytest.raises(type(error)) as refused:
            await called_index.find([WITH], SearchOptions(3), Deadline(30), RERANK)
        assert refused.value.field in {"vector.features", "filter"}


async def test_index_of_before_is_noticed_and_a_newer_one_too(
    called_index: IndexUpstream, services: FakeServices
) -> None:
    services.leads_to.features_dimension = 4
    await called_index.refresh(30)
    with pytest.raises(RankingUnavailableError, match="earlier version"):
        await called_index.find([WITH], SearchOptions(3), Deadline(30), RERANK)
    assert not called_index.can_rank
    assert called_index.serving == replace(BEFORE, features_dimension=4), "it keeps them"
    services.features_dimension = 4
    await called_index.find([WITH], SearchOptions(3), Deadline(30))
    assert called_index.can_rank


async def test_photos_near_another_are_told_with_both_distances(
    called_index: IndexUpstream, services: FakeServices
) -> None:
    services.features_dimension = 4
    item = pb.Item(id="a", product_id="b", attributes={"photo_sha256": "hash"})
    services.found.candidates_ranked = 1
    services.found.neighbors.add(item=item, distance=0.75, first_distance=2)
    limits = {"max_distance": 3.0, "limit": 10, "other_than": "own"}
    (near,) = await called_index.near(WITH, Deadline(30), rerank=RERANK, **limits)  # type: ignore[arg-type]
    assert (near.stored.sha256, near.distance, near.ranked_by) == ("hash", 2, 0.75)
    (request,) = services.asked
    assert (request.max_distance, request.exact, request.k) == (3, True, 10)
    assert list(request.exclude_product_ids) == ["own"]
    assert request.rerank.candidates == 200


async def test_first_write_makes_a_collection_that_keeps_features(
    called_index: IndexUpstream, services: FakeServices
) -> None:
    services.errors = {
        "BatchUpsertItems": [MISSING],
        "GetCollection": [MISSING],
    }
    services.leads_to.features_dimension = 4
    await called_index.upsert(PHOTO, Deadline(30))
    (created,) = [each for each in services.asked if isinstance(each, pb.CreateCollectionRequest)]
    assert created.collection.features_dimension == 4
    assert written(services) == [pytest.approx(list(FEATURES))] * 2
    assert called_index.serving == replace(BEFORE, features_dimension=4)


async def test_collection_that_somebody_made_without_features_gets_none(
    called_index: IndexUpstream, services: FakeServices
) -> None:
    taken = CollectionExistsError("there is one", resource=("collection", "listings"))
    services.errors = {
        "BatchUpsertItems": [MISSING],
        "GetCollection": [MISSING],
        "CreateCollection": [taken],
    }
    await called_index.upsert(PHOTO, Deadline(30))
    assert written(services)[-1] == []


@pytest.mark.parametrize(("kept", "sent"), [(4, list(FEATURES)), (0, []), (64, [])])
async def test_features_go_where_features_of_that_length_are_kept(
    called_index: IndexUpstream, services: FakeServices, kept: int, sent: list[float]
) -> None:
    services.leads_to.features_dimension = kept
    for _ in range(2):
        assert (await called_index.upsert(PHOTO, Deadline(30))).seq == 7
        assert written(services)[-1] == pytest.approx(sent)
    assert services.count(pb.GetCollectionRequest) == 0


async def test_features_go_into_a_collection_that_takes_the_place_of_one_without(
    called_index: IndexUpstream, services: FakeServices
) -> None:
    await called_index.refresh(30)
    assert called_index.serving == BEFORE
    services.leads_to.features_dimension = 4
    await called_index.upsert(PHOTO, Deadline(30))
    assert written(services) == [pytest.approx(list(FEATURES))]


async def test_what_else_is_wrong_with_an_item_is_passed_on(
    called_index: IndexUpstream, services: FakeServices
) -> None:
    services.errors["BatchUpsertItems"] = [InvalidArgumentError("no", field="items[0].price")]
    with pytest.raises(InvalidArgumentError):
        await called_index.upsert(PHOTO, Deadline(30))
    assert len(written(services)) == 1


async def test_collection_made_anew_without_features_is_no_index_of_before(
    called_index: IndexUpstream, services: FakeServices
) -> None:
    services.leads_to.features_dimension = 4
    await called_index.refresh(30)
    services.leads_to.features_dimension = 0
    await called_index.find([WITH], SearchOptions(3), Deadline(30))
    await called_index.refresh(30)
    assert called_index.can_rank
    assert called_index.serving == BEFORE


async def test_what_the_index_holds_is_told_by_collection(
    called_index: IndexUpstream, services: FakeServices
) -> None:
    state = pb.CollectionState(
        name="listings-space-1",
        items=9,
        items_with_features=7,
        feature_rows_in_memory=5,
        most_candidates=300,
    )
    services.state.collections.append(state)
    told = await called_index.state(30)
    assert (told.backend, told.applied_seq) == ("native", 7)
    assert told.held == {"listings-space-1": CollectionStats(9, 7, 5, 300)}
