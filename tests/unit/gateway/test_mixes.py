"""Listings are found by mixes of photos, words and photos of the catalogue."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from gateway.deadline import Deadline
from gateway.items import StoredPhoto
from gateway.listings import (
    ItemId,
    Mix,
    MixPart,
    PhotoVector,
    RankingMethod,
    SearchOptions,
    Words,
)
from gateway.search import SimilarListingFinder
from lookalike.catalogue.listings import ListingFilter
from lookalike.errors import (
    InvalidArgumentError,
    InvalidImageError,
    ItemNotFoundError,
    RankingUnavailableError,
    UpstreamUnavailableError,
)
from lookalike.limits import MAX_CANDIDATES
from tests.gateway_models import model_that_reads
from tests.gateways import LAMP, FakeEmbedder, FakeIndex

BLEND, FEATURES_ALONE, CATEGORY, HYBRID, WORDS = RankingMethod
CHAIR = Words("green velvet armchair")
AWAY = UpstreamUnavailableError("the index is away")

pytestmark = pytest.mark.usefixtures("reads_words")


async def test_a_mix_without_the_index_is_refused(
    finder: SimilarListingFinder, index: FakeIndex
) -> None:
    index.error = AWAY
    mix = Mix((MixPart(CHAIR, 1.0),))
    with pytest.raises(UpstreamUnavailableError, match="the index is away"):
        await finder.find(mix, SearchOptions(allow_partial=True), Deadline(60))


@pytest.mark.parametrize("ranking", [HYBRID, WORDS])
async def test_a_mix_with_words_is_told_that_it_is_ranked_by_vectors(
    finder: SimilarListingFinder, ranking: RankingMethod
) -> None:
    mix = Mix((MixPart(b"a photo"), MixPart(CHAIR)))
    with pytest.raises(RankingUnavailableError, match="a mix is ranked by vectors") as caught:
        await finder.find(mix, SearchOptions(ranking=ranking), Deadline(60))
    assert caught.value.field == "ranking"
    assert "no words to look for" not in caught.value.message


async def test_a_mix_leads_towards_some_things_and_away_from_others(
    finder: SimilarListingFinder, index: FakeIndex
) -> None:
    mine = PhotoVector((5.0, 1.0, 0.0), "space", (0.0, 0.0, 3.0, 0.0))
    index.kept["lamp-1"] = StoredPhoto(LAMP, mine)
    parts = (
        MixPart(b"photo", 2.0),
        MixPart(ItemId("lamp-1"), 1.0),
        MixPart(Words("blue"), -0.5),
    )
    options = SearchOptions(filter=ListingFilter(exclude_product_ids=("sofa",)))
    found = await finder.find(Mix(parts), options, Deadline(60))
    ((query, asked),) = index.searched
    assert isinstance(query, list)
    assert list(query[0].features) == pytest.approx([1.2, 1.6 - 0.5, 1.0, 0.0])
    assert list(query[0].values) == pytest.approx([7 / 3, 7 / 3, 4 / 3])
    (rerank,) = index.reranks
    assert rerank is not None
    assert (rerank.candidates, rerank.vector_weight) == (MAX_CANDIDATES, 0.25)
    assert asked.filter.exclude_product_ids == ("sofa", "lamp")
    assert index.words == [""]
    assert found.ranking is BLEND
    assert found.classification is None
    assert found.neighbors.hits[0].likeness is None, "it is of two photos"
    with pytest.raises(RankingUnavailableError, match="none is known for a mix"):
        await finder.find(Mix(parts), SearchOptions(min_likeness=0.5), Deadline(60))


async def test_photos_choose_among_what_a_mix_is_ranked(
    finder: SimilarListingFinder, index: FakeIndex
) -> None:
    parts = (MixPart(b"photo", 1.0), MixPart(Words("blue"), 1.0))
    await finder.find(Mix(parts), SearchOptions(), Deadline(60))
    await finder.find(Mix(parts[1:]), SearchOptions(), Deadline(60))
    ((both, _), (words, _)) = index.searched
    assert isinstance(both, list)
    assert isinstance(words, list)
    assert list(both[0].values) == [1.0, 3.0, 2.0]
    assert list(words[0].values) == [2.0, 0.0, 4.0]


async def test_a_mix_is_ranked_by_features_that_were_not_fitted_to_rank_by(
    finder: SimilarListingFinder, embedder: FakeEmbedder, index: FakeIndex
) -> None:
    embedder.served = model_that_reads(ranking=None)
    parts = (MixPart(b"photo", 1.0), MixPart(Words("blue"), -1.0))
    assert (await finder.find(Mix(parts), SearchOptions(), Deadline(60))).ranking is FEATURES_ALONE
    by_category = SearchOptions(ranking=CATEGORY)
    await finder.find(Mix(parts), by_category, Deadline(60))
    ((first, _), (second, _)) = index.searched
    assert isinstance(first, list)
    assert isinstance(second, list)
    assert list(first[0].values) == [1.0, 3.0, 2.0]
    assert list(second[0].values) == [0.0, 6.0, 0.0], "led away by what ranks"


async def test_without_features_the_values_lead_away_too(
    finder: SimilarListingFinder, embedder: FakeEmbedder, index: FakeIndex
) -> None:
    embedder.served = replace(model_that_reads(), features=None, search_outputs=())
    parts = (MixPart(b"photo", 1.0), MixPart(Words("blue"), -1.0))
    await finder.find(Mix(parts), SearchOptions(), Deadline(60))
    ((query, _),) = index.searched
    assert isinstance(query, list)
    assert list(query[0].values) == [0.0, 6.0, 0.0]


async def test_a_mix_that_cancels_out_is_refused(finder: SimilarListingFinder) -> None:
    parts = (MixPart(Words("oak")), MixPart(Words("oak"), -1.0))
    with pytest.raises(InvalidArgumentError, match="cancel each other out") as caught:
        await finder.find(Mix(parts), SearchOptions(), Deadline(60))
    assert caught.value.field == "mix.parts"


async def test_the_least_weight_finds_what_any_other_does(
    finder: SimilarListingFinder, index: FakeIndex
) -> None:
    await finder.find(Mix((MixPart(CHAIR, 1e-6),)), SearchOptions(), Deadline(60))
    ((query, _),) = index.searched
    assert isinstance(query, list)
    assert all(map(math.isfinite, query[0].values))
    assert any(query[0].features)


@pytest.mark.parametrize(
    ("parts", "words", "field"),
    [
        ((), "has 0 entries", "mix.parts"),
        ((MixPart(Words("a")),) * 17, "has 17 entries; it must have 1 to 16", "mix.parts"),
        ((MixPart(Words("a"), 11.0),), "weight is 11.0", "mix.parts[0].weight"),
        ((MixPart(Words("a"), 0.0),), "no nearer to 0 than 0.000001", "mix.parts[0].weight"),
        ((MixPart(Words("a"), 1e-300),), "weight is 1e-300; it must be", "mix.parts[0].weight"),
        ((MixPart(b"a"), MixPart(b"a", -9e-7)), "weight is -9e-07", "mix.parts[1].weight"),
        ((MixPart(Words("a"), float("nan")),), "weight is nan", "mix.parts[0].weight"),
        ((MixPart(Words("a"), -1.0),), "no part of the mix has a weight above 0", "mix.parts"),
        ((MixPart(b"a"), MixPart(Words(" "))), "is empty", "mix.parts[1].text"),
    ],
)
async def test_a_mix_that_is_none_is_refused(
    finder: SimilarListingFinder, parts: tuple[MixPart, ...], words: str, field: str
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        await finder.find(Mix(parts), SearchOptions(), Deadline(60))
    assert words in caught.value.message
    assert caught.value.field == field


async def test_the_part_that_cannot_be_used_is_named(
    finder: SimilarListingFinder, embedder: FakeEmbedder
) -> None:
    embedder.errors[b"bad"] = InvalidImageError("no photo", field="image")
    parts = (MixPart(Words("oak")), MixPart(b"bad"))
    with pytest.raises(InvalidImageError, match="part 2 of the mix: no photo") as caught:
        await finder.find(Mix(parts), SearchOptions(), Deadline(60))
    assert caught.value.field == "mix.parts[1].image"
    with pytest.raises(ItemNotFoundError, match="part 1 of the mix"):
        await finder.find(Mix((MixPart(ItemId("gone")),)), SearchOptions(), Deadline(60))
