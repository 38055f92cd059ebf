"""Which photos count as another listing's, and what keeps two from slipping in at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway.deadline import Deadline
from gateway.duplicates import MAX_REPORTED, DuplicateFinder, NearDuplicatePolicy
from gateway.index_state import ServingCollection
from gateway.items import StoredPhoto
from gateway.listings import PhotoVector
from gateway.ranking import Ranker
from lookalike.catalogue.listings import CataloguePhoto, NearDuplicate, NearDuplicateKind
from lookalike.errors import (
    CollectionNotFoundError,
    DeadlineExceededError,
    NearDuplicateError,
    RankingUnavailableError,
)
from tests.gateway_models import FEATURES, model, model_with_features
from tests.gateways import FakeEmbedder, FakeIndex

VECTOR = PhotoVector((3.0, 4.0), "space")
PHOTO = StoredPhoto(CataloguePhoto("photo", "listing"), VECTOR, "hash")
WITH_FEATURES = replace(PHOTO, vector=replace(VECTOR, features=FEATURES))
IDENTICAL, SIMILAR = NearDuplicateKind.IDENTICAL, NearDuplicateKind.SIMILAR


def other(item_id: str, product_id: str = "", sha256: str = "other hash") -> StoredPhoto:
    return StoredPhoto(CataloguePhoto(item_id, product_id or f"listing of {item_id}"), None, sha256)


async def found(
    finder: DuplicateFinder, photo: StoredPhoto = PHOTO
) -> list[tuple[str, NearDuplicateKind, float]]:
    _, near = await finder.judge(photo, Deadline(60))
    return [(each.item_id, each.kind, each.distance) for each in near]


def finder(
    index: FakeIndex, distance: float = 0, policy: NearDuplicatePolicy = NearDuplicatePolicy.FLAG
) -> DuplicateFinder:
    return DuplicateFinder(index, policy, distance)


async def test_only_the_same_bytes_count_unless_a_distance_is_set(index: FakeIndex) -> None:
    index.close_by = [(other("a"), 0.0), (other("b", sha256="hash"), 0.001)]
    assert await found(finder(index)) == [("b", IDENTICAL, 0.001)]
    assert await found(finder(index, 0.0005)) == [("b", IDENTICAL, 0.001), ("a", SIMILAR, 0.0)]


async def test_same_bytes_whose_vector_differs_in_a_last_digit_are_looked_for(
    index: FakeIndex,
) -> None:
    await found(finder(index))
    assert index.looked_within == [pytest.approx(0.025)]
    await found(finder(index, 2))
    assert index.looked_within[1] == 2


@pytest.fixture
async def likely(embedder: FakeEmbedder, index: FakeIndex, ranker: Ranker) -> DuplicateFinder:
    """Looks within a distance of 9, for photos that are nearer than 0.725 by both outputs."""
    embedder.served = model_with_features()
    index.leads_to = ServingCollection("listings-space", "space", 4)
    index.close_by = [(other("a"), 1.0), (other("b"), 2.0), (other("c"), 0.5)]
    return DuplicateFinder(index, NearDuplicatePolicy.FLAG, 9, ranker, 0.725)


async def test_photo_within_the_distance_counts_only_if_it_is_near_by_both_outputs(
    likely: DuplicateFinder, index: FakeIndex
) -> None:
    # The crowd is at 1, and nearer than 0.725 of that is near.
    index.close_by_features = {"a": 0.3, "b": 0.3, "c": 0.0}
    assert await found(likely, WITH_FEATURES) == [("c", SIMILAR, 0.5), ("a", SIMILAR, 1.0)]
    (rerank,) = index.reranks
    assert rerank is not None
    assert index.looked_within == [9]


async def test_photo_without_features_is_judged_by_the_distance_alone(
    likely: DuplicateFinder, index: FakeIndex
) -> None:
    index.close_by_features = {"a": 0.9, "b": 1.4}
    assert await found(likely, WITH_FEATURES) == [("c", SIMILAR, 0.5)]
    near = await found(likely, PHOTO)
    assert near == [("c", SIMILAR, 0.5), ("a", SIMILAR, 1.0), ("b", SIMILAR, 2.0)]


async def test_same_bytes_are_the_same_however_unlikely(
    likely: DuplicateFinder, index: FakeIndex
) -> None:
    index.close_by = [(other("a", sha256="hash"), 0.001)]
    index.close_by_features = {"a": 1.5}
    assert await found(likely, WITH_FEATURES) == [("a", IDENTICAL, 0.001)]


async def test_same_bytes_without_features_are_found_behind_many_that_have_some(
    likely: DuplicateFinder, index: FakeIndex
) -> None:
    index.close_by = [(other(f"{n}"), 1.0) for n in range(100)]
    index.close_by_features = {f"{n}": 0.7 for n in range(100)}
    index.close_by.append((other("same", sha256="hash"), 0.001))
    assert await found(likely, WITH_FEATURES) == [("same", IDENTICAL, 0.001)]
    assert index.looked_within == [9, pytest.approx(0.025)]


async def test_distance_decides_alone_where_both_outputs_are_not_known_or_not_wanted(
    embedder: FakeEmbedder, index: FakeIndex, ranker: Ranker, likely: DuplicateFinder
) -> None:
    index.close_by_features = {"a": 0.9, "b": 0.9, "c": 0.9}
    for reranked, judge in (
        (0, DuplicateFinder(index, NearDuplicatePolicy.FLAG, 9, ranker, 1)),
        (0, DuplicateFinder(index, NearDuplicatePolicy.FLAG, 9)),
        (1, likely),
    ):
        index.rank_error = RankingUnavailableError("the index is of an earlier version")
        index.reranks.clear()
        assert len(await found(judge, WITH_FEATURES)) == 3
        assert sum(rerank is not None for rerank in index.reranks) == reranked
    embedder.served = model()
    await embedder.model(1)
    index.reranks.clear()
    assert len(await found(likely, WITH_FEATURES)) == 3
    assert index.reranks == [None]


async def test_each_listing_counts_once_and_the_nearest_are_told(index: FakeIndex) -> None:
    index.close_by = [(other(f"{n}-{i}", f"{n}"), n + i / 4) for n in range(20) for i in range(2)]
    near = await found(finder(index, 30))
    assert near == [(f"{n}-0", SIMILAR, n) for n in range(MAX_REPORTED)]


async def test_photo_that_moves_to_another_listing_is_no_duplicate_of_itself(
    index: FakeIndex,
) -> None:
    index.close_by = [(other("photo", "its listing until now", "hash"), 0.0)]
    assert await found(finder(index)) == []


async def test_first_photo_of_all_has_nothing_to_be_compared_with(index: FakeIndex) -> None:
    index.error = CollectionNotFoundError("none")
    assert await found(finder(index)) == []


async def test_nobody_looks_where_that_is_the_policy(index: FakeIndex) -> None:
    index.close_by = [(other("a", sha256="hash"), 0.0)]
    off = finder(index, policy=NearDuplicatePolicy.OFF)
    assert await off.judge(PHOTO, Deadline(60)) == (PHOTO.photo, ())
    assert index.looked_within == []


async def test_photo_that_is_nearly_the_same_is_refused_by_its_distance(index: FakeIndex) -> None:
    index.close_by = [(other("a"), 0.5)]
    with pytest.raises(NearDuplicateError) as caught:
        await found(finder(index, 1, NearDuplicatePolicy.REFUSE))
    assert caught.value.message.startswith("the photo is nearly the same as photo 'a' of listing")
    assert caught.value.metadata["distance"] == "0.5"


async def test_listing_is_marked_with_the_nearest(index: FakeIndex) -> None:
    index.close_by = [(other("a"), 0.5), (other("b", sha256="hash"), 0.6)]
    photo, near = await finder(index, 1, NearDuplicatePolicy.LINK).judge(PHOTO, Deadline(60))
    expected = NearDuplicate("b", "listing of b", IDENTICAL, 0.6, linked=True)
    assert photo.near_duplicate == near[0] == expected
    assert len(near) == 2


async def test_same_photo_is_let_in_one_after_the_other_and_others_at_once(
    index: FakeIndex,
) -> None:
    flagging = finder(index)
    inside: list[str] = []
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def enter(sha256: str) -> None:
        async with flagging.lock_photo(sha256, Deadline(60)):
            inside.append(sha256)
            entered.set()
            await go_on.wait()
            inside.remove(sha256)

    tasks = [asyncio.create_task(enter(sha256)) for sha256 in ("a", "a", "b")]
    await entered.wait()
    for _ in range(5):
        await asyncio.sleep(0)
    assert sorted(inside) == ["a", "b"]
    tasks[1].cancel()  # one that waits may leave
    go_on.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    async with asyncio.timeout(10), flagging.lock_photo("a", Deadline(60)):
        pass


async def test_turn_is_waited_for_no_longer_than_the_caller_has_time(index: FakeIndex) -> None:
    flagging = finder(index)
    async with flagging.lock_photo("a", Deadline(60)):
        with pytest.raises(DeadlineExceededError, match="ingests of the same photo"):
            async with flagging.lock_photo("a", Deadline(0.01)):
                pytest.fail("it was let in")
    async with asyncio.timeout(10), flagging.lock_photo("a", Deadline(60)):
        pass
