"""Which searches are made, and which are refused before anybody is asked."""

from __future__ import annotations

import math

import pytest

from gateway.deadline import Deadline
from gateway.listings import ItemId, Photos, PhotoVector, SearchOptions
from gateway.search import SimilarListingFinder
from lookalike.catalogue.listings import ListingFilter
from lookalike.errors import (
    DeadlineUnreachableError,
    EmbeddingSpaceMismatchError,
    InvalidArgumentError,
    InvalidImageError,
    ItemNotFoundError,
    LookalikeError,
    UpstreamUnavailableError,
)
from tests.gateways import FakeEmbedder, FakeIndex

PHOTO = Photos((b"photo",))
AWAY = UpstreamUnavailableError("the index cannot be reached")


async def test_photo_is_embedded_classified_and_searched_for(
    finder: SimilarListingFinder, embedder: FakeEmbedder, index: FakeIndex
) -> None:
    options = SearchOptions(
        3, ListingFilter(categories=("tools",)), every_photo=True, max_distance=2
    )
    found = await finder.find(PHOTO, options, Deadline(60))
    assert found.neighbors is index.neighbors
    assert found.classification is not None
    assert found.classification.scores[0].category == "clothes"
    assert (found.cached, found.degraded) == (False, "")
    assert index.searched == [([PhotoVector(embedder.logits, "space")], options)]


async def test_item_is_searched_for_by_its_id_without_the_embedder(
    finder: SimilarListingFinder, embedder: FakeEmbedder, index: FakeIndex
) -> None:
    found = await finder.find(ItemId("photo 7"), SearchOptions(3), Deadline(60))
    assert found.neighbors is index.neighbors
    assert found.classification is None
    assert index.searched == [(ItemId("photo 7"), SearchOptions(3))]
    assert embedder.embedded == []


async def test_vector_is_searched_for_without_the_embedder(
    finder: SimilarListingFinder, embedder: FakeEmbedder, index: FakeIndex
) -> None:
    vector = PhotoVector((1.0, 2.0), "space")
    found = await finder.find(vector, SearchOptions(3), Deadline(60))
    assert found.classification is None
    assert index.searched == [([vector], SearchOptions(3))]
    assert embedder.embedded == []


async def test_several_photos_are_all_searched_for_and_classified_by_their_mean(
    finder: SimilarListingFinder, embedder: FakeEmbedder, index: FakeIndex
) -> None:
    found = await finder.find(Photos((b"a", b"b", b"a")), SearchOptions(3), Deadline(60))
    ((vectors, _),) = index.searched
    assert vectors == [PhotoVector(embedder.logits, "space")] * 3
    assert sorted(embedder.embedded) == [b"a", b"b"]
    assert found.classification is not None
    assert found.classification.scores[0].category == "clothes"
    assert not found.cached
    assert (await finder.find(Photos((b"b", b"a")), SearchOptions(3), Deadline(60))).cached


@pytest.mark.parametrize(("k", "meant"), [(0, 10), (1, 1), (1000, 1000)])
async def test_k_within_its_limits_is_taken_and_0_means_10(
    finder: SimilarListingFinder, index: FakeIndex, k: int, meant: int
) -> None:
    await finder.find(PHOTO, SearchOptions(k), Deadline(60))
    await finder.find(ItemId("photo"), SearchOptions(k), Deadline(60))
    assert [options.k for _, options in index.searched] == [meant, meant]


@pytest.mark.parametrize(
    ("query", "options", "field"),
    [
        (PHOTO, SearchOptions(-1), "k"),
        (ItemId("photo"), SearchOptions(1001), "k"),
        (ItemId(""), SearchOptions(), "item_id"),
        (Photos(()), SearchOptions(), "images.images"),
        (Photos((b"photo",) * 17), SearchOptions(), "images.images"),
        (PhotoVector((), "space"), SearchOptions(), "vector.values"),
        (PhotoVector((math.nan,), "space"), SearchOptions(), "vector.values"),
        (PhotoVector((1.0,), ""), SearchOptions(), "vector.embedding_space"),
        (PHOTO, SearchOptions(max_distance=math.inf), "max_distance"),
        (PHOTO, SearchOptions(min_seq=-1), "min_seq"),
        (PHOTO, SearchOptions(filter=ListingFilter(min_price=-1)), "filter.min_price"),
    ],
)
async def test_search_beyond_a_limit_is_refused_before_anybody_is_asked(
    finder: SimilarListingFinder,
    embedder: FakeEmbedder,
    index: FakeIndex,
    *,
    query: Photos | ItemId | PhotoVector,
    options: SearchOptions,
    field: str,
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        await finder.find(query, options, Deadline(60))
    assert caught.value.field == field
    assert embedder.embedded == []
    assert index.searched == []


async def test_errors_of_both_upstreams_are_the_searchs_own(
    finder: SimilarListingFinder, embedder: FakeEmbedder, index: FakeIndex
) -> None:
    index.error = ItemNotFoundError("no such item", resource=("item", "photo"))
    with pytest.raises(ItemNotFoundError):
        await finder.find(ItemId("photo"), SearchOptions(1), Deadline(60))
    embedder.error = InvalidImageError("no photo", field="image")
    index.searched.clear()
    with pytest.raises(InvalidImageError):
        await finder.find(Photos((b"<html>",)), SearchOptions(1), Deadline(60))
    assert index.searched == []


async def test_bad_photo_among_several_is_named_by_its_place(
    finder: SimilarListingFinder, embedder: FakeEmbedder
) -> None:
    await finder.find(Photos((b"a", b"b")), SearchOptions(), Deadline(60))
    embedder.error = InvalidImageError("no photo", field="image")
    with pytest.raises(InvalidImageError) as caught:
        await finder.find(Photos((b"a", b"<html>", b"b")), SearchOptions(), Deadline(60))
    assert caught.value.field == "images.images[1]"
    assert caught.value.message == "photo 2: no photo"


@pytest.mark.parametrize("error", [AWAY, DeadlineUnreachableError("too late")])
async def test_without_the_index_a_photo_is_still_classified_if_that_will_do(
    finder: SimilarListingFinder, index: FakeIndex, error: LookalikeError
) -> None:
    index.error = error
    with pytest.raises(type(error)):
        await finder.find(PHOTO, SearchOptions(), Deadline(60))
    found = await finder.find(PHOTO, SearchOptions(allow_partial=True), Deadline(60))
    assert found.classification is not None
    assert (list(found.neighbors.hits), found.neighbors.exact) == ([], False)
    assert found.degraded == f"no listings: {error.message}"
    assert found.neighbors.shortfall


async def test_what_is_wrong_with_the_request_is_no_partial_answer(
    finder: SimilarListingFinder, index: FakeIndex
) -> None:
    index.error = InvalidArgumentError("no", field="filter")
    with pytest.raises(InvalidArgumentError):
        await finder.find(PHOTO, SearchOptions(allow_partial=True), Deadline(60))
    index.error = AWAY
    with pytest.raises(UpstreamUnavailableError):
        await finder.find(ItemId("photo"), SearchOptions(allow_partial=True), Deadline(60))


async def test_mismatch_that_the_index_finds_names_what_was_sent(
    finder: SimilarListingFinder, index: FakeIndex
) -> None:
    for query, field in (
        (PHOTO, "image"),
        (Photos((b"a", b"b")), "images"),
        (PhotoVector((1.0,), "space"), "vector.embedding_space"),
    ):
        index.error = EmbeddingSpaceMismatchError("no", field="image")
        with pytest.raises(EmbeddingSpaceMismatchError) as caught:
            await finder.find(query, SearchOptions(), Deadline(60))
        assert caught.value.field == field
