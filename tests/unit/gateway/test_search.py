"""Which searches are made, and which are refused before anybody is asked."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.budget import Budget
from gateway.classify import Classifier
from gateway.search import SimilarListingFinder
from lookalike.errors import InvalidArgumentError, InvalidImageError, ItemNotFoundError


@pytest.fixture
def finder(embedder: Any, index: Any) -> SimilarListingFinder:
    return SimilarListingFinder(Classifier(embedder), index)


async def test_photo_is_embedded_classified_and_searched_for(
    finder: SimilarListingFinder, embedder: Any, index: Any
) -> None:
    budget = Budget(60)
    found = await finder.find_by_image(b"photo", 3, budget)
    assert found.neighbors is index.neighbors
    assert found.classification is not None
    assert found.classification.scores[0].category == "clothes"
    ((vector, k, its_budget),) = index.searched
    assert (vector.values, vector.embedding_space, k) == (embedder.logits, "space", 3)
    assert its_budget is budget


async def test_item_is_searched_for_by_its_id_without_the_embedder(
    finder: SimilarListingFinder, embedder: Any, index: Any
) -> None:
    budget = Budget(60)
    found = await finder.find_by_item("photo 7", 3, budget)
    assert found.neighbors is index.neighbors
    assert found.classification is None
    assert index.searched == [("photo 7", 3, budget)]
    assert embedder.embedded == []


@pytest.mark.parametrize(("k", "meant"), [(0, 10), (1, 1), (1000, 1000)])
async def test_k_within_its_limits_is_taken_and_0_means_10(
    finder: SimilarListingFinder, index: Any, k: int, meant: int
) -> None:
    await finder.find_by_image(b"photo", k, Budget(60))
    await finder.find_by_item("photo", k, Budget(60))
    assert [asked for _, asked, _ in index.searched] == [meant, meant]


@pytest.mark.parametrize("k", [-1, 1001, -(1 << 31)])
async def test_k_beyond_its_limits_is_refused_before_anybody_is_asked(
    finder: SimilarListingFinder, embedder: Any, index: Any, k: int
) -> None:
    for search in (
        finder.find_by_image(b"photo", k, Budget(60)),
        finder.find_by_item("photo", k, Budget(60)),
    ):
        with pytest.raises(InvalidArgumentError) as caught:
            await search
        assert caught.value.message == f"k is {k}; it must be 1 to 1000, or 0 for 10"
        assert caught.value.field == "k"
    assert embedder.embedded == index.searched == []


async def test_errors_of_both_upstreams_are_the_searchs_own(
    finder: SimilarListingFinder, embedder: Any, index: Any
) -> None:
    index.error = ItemNotFoundError("no such item", resource=("item", "photo"))
    with pytest.raises(ItemNotFoundError):
        await finder.find_by_item("photo", 1, Budget(60))
    embedder.error = InvalidImageError("no photo", field="image")
    index.searched.clear()
    with pytest.raises(InvalidImageError):
        await finder.find_by_image(b"<html>", 1, Budget(60))
    assert index.searched == []
