"""By what searches rank, with how likely a listing is the same item, and what is lacking if not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.deadline import Deadline
from gateway.index_state import ServingCollection
from gateway.listings import (
    Hit,
    ItemId,
    Neighbors,
    Photos,
    PhotoVector,
    Query,
    RankingMethod,
    Rerank,
    SearchOptions,
)
from gateway.search import SimilarListingFinder, SimilarListings
from lookalike.catalogue.listings import CataloguePhoto
from lookalike.errors import (
    DimensionMismatchError,
    ItemNotFoundError,
    RankingUnavailableError,
    UpstreamUnavailableError,
)
from lookalike.likeness import Likeness
from tests.gateway_models import FEATURES, RANKING, model, model_with_features
from tests.gateways import FakeEmbedder, FakeIndex

BLEND, FEATURES_ALONE, CATEGORY, *_ = RankingMethod
ITEM, PHOTO = ItemId("photo 7"), Photos((b"photo",))
VECTOR = PhotoVector((1.0, 3.0, 2.0), "space", FEATURES)
KEEPS = ServingCollection("listings-space", "space", len(FEATURES))
LAMP, SOFA = CataloguePhoto("lamp-1", "lamp"), CataloguePhoto("sofa-1", "sofa")
RANKED = Neighbors([Hit(LAMP, 3.0, 0.75), Hit(SOFA, 1.0, 1.25)], "", exact=False)
RANKED = replace(RANKED, candidates_ranked=200)
UNRANKED = Neighbors([Hit(SOFA, 1.0, 1.0), Hit(LAMP, 3.0, 3.0)], "", exact=True)


@pytest.fixture(autouse=True)
def features(embedder: FakeEmbedder, index: FakeIndex) -> None:
    embedder.served = model_with_features()
    index.leads_to, index.neighbors, index.ranked = KEEPS, UNRANKED, RANKED


def likenesses(found: SimilarListings) -> list[float | None]:
    return [hit.likeness for hit in found.neighbors.hits]


def by_curve(curve: Likeness | None, found: SimilarListings) -> list[float]:
    assert curve is not None
    hits = found.neighbors.hits
    return curve.of([h.ranked_by for h in hits], [h.photo.product_id for h in hits])


@pytest.mark.parametrize("query", [PHOTO, Photos((b"a", b"b")), ITEM, VECTOR])
async def test_listings_are_ranked_by_both_outputs_where_all_have_them(
    finder: SimilarListingFinder, index: FakeIndex, query: Query
) -> None:
    found = await finder.find(query, SearchOptions(3, max_distance=9), Deadline(60))
    assert found.ranking is BLEND
    assert index.reranks == [Rerank(candidates=200, vector_weight=0.25)]
    assert index.searched[0][1].max_distance == 9, "that is by vector"
    assert [(hit.distance, hit.ranked_by) for hit in found.neighbors.hits] == [
        (3, 0.75),
        (1, 1.25),
    ]
    assert likenesses(found) == by_curve(RANKING.blend, found)
    assert found.neighbors.candidates_ranked == 200


async def test_more_listings_than_candidates_are_ranked_all_the_same(
    finder: SimilarListingFinder, embedder: FakeEmbedder, index: FakeIndex
) -> None:
    await finder.find(ITEM, SearchOptions(1000), Deadline(60))
    embedder.served = model_with_features(ranking=replace(RANKING, candidates=1 << 30))
    await embedder.model(1)
    await finder.find(ITEM, SearchOptions(1), Deadline(60))
    assert [rerank.candidates for rerank in index.reranks if rerank] == [1000, 10_000]


async def test_caller_may_rank_by_features_or_by_category_alone(
    finder: SimilarListingFinder, index: FakeIndex
) -> None:
    by_features = await finder.find(PHOTO, SearchOptions(3, ranking=FEATURES_ALONE), Deadline(60))
    by_category = await finder.find(PHOTO, SearchOptions(3, ranking=CATEGORY), Deadline(60))
    assert (by_features.ranking, by_category.ranking) == (FEATURES_ALONE, CATEGORY)
    assert index.reranks == [Rerank(candidates=200, vector_weight=0), None]
    assert likenesses(by_features) == by_curve(RANKING.features, by_features)
    assert likenesses(by_category) == by_curve(RANKING.category, by_category)
    assert (by_features.neighbors.exact, by_category.neighbors.exact) == (False, True)


LACKING = {
    "a model without features": (model(), KEEPS, "--outputs features:128"),
    "a bundle without ranking": (
        model_with_features(ranking=None),
        KEEPS,
        "python -m training export",
    ),
    "a catalogue without features": (
        model_with_features(),
        ServingCollection("listings-space", "space"),
        "lookalike reindex",
    ),
    "a catalogue of other features": (
        model_with_features(),
        ServingCollection("listings-space", "space", 64),
        "lookalike reindex",
    ),
}


@pytest.mark.parametrize("lacking", LACKING)
async def test_with_something_lacking_listings_are_ranked_by_category_or_it_is_said(
    finder: SimilarListingFinder, embedder: FakeEmbedder, index: FakeIndex, lacking: str
) -> None:
    embedder.served, index.leads_to, remedy = LACKING[lacking]
    for query in (ITEM, PHOTO):
        found = await finder.find(query, SearchOptions(3), Deadline(60))
        assert found.ranking is CATEGORY
    assert index.reranks == [None, None]
    with pytest.raises(RankingUnavailableError) as caught:
        await finder.find(ITEM, SearchOptions(3, ranking=BLEND), Deadline(60))
    assert caught.value.field == "ranking"
    assert "'blend'" in caught.value.message
    assert remedy in caught.value.message
    assert len(index.searched) == 2, "nobody was asked in vain"


async def test_bundle_without_ranking_can_be_ranked_by_features_without_likeness(
    finder: SimilarListingFinder, embedder: FakeEmbedder, index: FakeIndex
) -> None:
    embedder.served = model_with_features(ranking=None)
    found = await finder.find(PHOTO, SearchOptions(3, ranking=FEATURES_ALONE), Deadline(60))
    assert index.reranks == [Rerank(candidates=0, vector_weight=0)]
    assert likenesses(found) == [None, None]


async def test_vector_without_features_is_ranked_by_category(
    finder: SimilarListingFinder, index: FakeIndex
) -> None:
    alone = replace(VECTOR, features=())
    assert (await finder.find(alone, SearchOptions(3), Deadline(60))).ranking is CATEGORY
    for method in (BLEND, FEATURES_ALONE):
        with pytest.raises(RankingUnavailableError, match=r"vector\.features is empty"):
            await finder.find(alone, SearchOptions(3, ranking=method), Deadline(60))


async def test_photos_of_which_one_was_embedded_without_features_are_ranked_by_category(
    finder: SimilarListingFinder, embedder: FakeEmbedder, index: FakeIndex
) -> None:
    embedder.features, embedder.complete = (), False
    assert (await finder.find(PHOTO, SearchOptions(3), Deadline(60))).ranking is CATEGORY
    embedder.features, embedder.complete = FEATURES, True
    again = await finder.find(PHOTO, SearchOptions(3), Deadline(60))
    assert (again.ranking, again.cached) == (BLEND, False), "what is not whole is not kept"


@pytest.mark.parametrize("ranking", [None, *RankingMethod])
async def test_features_of_a_wrong_length_are_refused(
    finder: SimilarListingFinder, index: FakeIndex, ranking: RankingMethod | None
) -> None:
    long = replace(VECTOR, features=(0.5,) * 5)
    with pytest.raises(DimensionMismatchError) as caught:
        await finder.find(long, SearchOptions(3, ranking=ranking), Deadline(60))
    assert caught.value.field == "vector.features"
    assert "has 5 values" in caught.value.message
    assert "is 4" in caught.value.message
    assert index.searched == []
    index.serving = index.leads_to = ServingCollection("listings-space", "space")
    found = await finder.find(long, SearchOptions(3), Deadline(60))
    assert found.ranking is CATEGORY, "a catalogue without features has no use for them"


async def test_item_is_ranked_by_its_model_while_no_embedder_answers(
    finder: SimilarListingFinder, embedder: FakeEmbedder, index: FakeIndex
) -> None:
    await finder.find(ITEM, SearchOptions(3), Deadline(60))
    embedder.error = UpstreamUnavailableError("away")
    found = await finder.find(ITEM, SearchOptions(3), Deadline(60))
    assert (found.ranking, embedder.asked_for_model) == (BLEND, 1)


async def test_item_is_ranked_by_category_if_no_model_was_ever_seen(
    finder: SimilarListingFinder, embedder: FakeEmbedder, index: FakeIndex
) -> None:
    embedder.error = UpstreamUnavailableError("away")
    found = await finder.find(ITEM, SearchOptions(3), Deadline(60))
    assert (found.ranking, likenesses(found)) == (CATEGORY, [None, None])
    with pytest.raises(RankingUnavailableError, match="start an embedder"):
        await finder.find(ITEM, SearchOptions(3, ranking=BLEND), Deadline(60))


async def test_nothing_is_asked_for_a_search_but_the_search(
    finder: SimilarListingFinder, embedder: FakeEmbedder, index: FakeIndex
) -> None:
    await finder.find(PHOTO, SearchOptions(3), Deadline(60))
    asked, refreshes = embedder.asked_for_model, index.refreshes
    for query in (PHOTO, ITEM, VECTOR):
        await finder.find(query, SearchOptions(3), Deadline(60))
    assert (embedder.asked_for_model, index.refreshes) == (asked, refreshes)
    assert len(index.searched) == 4


@pytest.mark.parametrize("query", [PHOTO, ITEM])
async def test_index_that_cannot_rank_is_asked_by_category(
    finder: SimilarListingFinder, index: FakeIndex, query: Query
) -> None:
    index.rank_error = RankingUnavailableError("of an earlier version", field="ranking")
    found = await finder.find(query, SearchOptions(3), Deadline(60))
    assert found.ranking is CATEGORY
    assert likenesses(found) == by_curve(RANKING.category, found)
    with pytest.raises(RankingUnavailableError, match="earlier version"):
        await finder.find(query, SearchOptions(3, ranking=BLEND), Deadline(60))
    index.can_rank = False
    searches = len(index.searched)
    assert (await finder.find(query, SearchOptions(3), Deadline(60))).ranking is CATEGORY
    assert len(index.searched) == searches + 1, "it is not tried again"


async def test_item_without_features_was_compared_by_vector(
    finder: SimilarListingFinder, index: FakeIndex
) -> None:
    index.ranked = UNRANKED
    found = await finder.find(ITEM, SearchOptions(3), Deadline(60))
    assert (found.ranking, len(index.searched)) == (CATEGORY, 1)
    assert likenesses(found) == by_curve(RANKING.category, found)
    for method in (BLEND, FEATURES_ALONE):
        with pytest.raises(RankingUnavailableError, match=r"'photo 7' has no features.*reindex"):
            await finder.find(ITEM, SearchOptions(3, ranking=method), Deadline(60))
    limited = await finder.find(ITEM, SearchOptions(3, min_likeness=0.0), Deadline(60))
    assert limited.ranking is CATEGORY


async def test_ranking_that_finds_nothing_is_still_one(
    finder: SimilarListingFinder, index: FakeIndex
) -> None:
    index.ranked = Neighbors([], "no item matches the filter", exact=True)
    for query in (ITEM, PHOTO):
        for ranking in (None, BLEND):
            found = await finder.find(query, SearchOptions(3, ranking=ranking), Deadline(60))
            assert found.ranking is BLEND
            assert found.neighbors.shortfall == "no item matches the filter"


async def test_item_of_a_catalogue_that_was_exchanged_meanwhile_is_ranked_as_that_one_is(
    finder: SimilarListingFinder,
    embedder: FakeEmbedder,
    index: FakeIndex,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await finder.find(ITEM, SearchOptions(3), Deadline(60))
    weight = replace(RANKING, vector_weight=0.5)
    embedder.served = model_with_features("new space", ranking=weight)
    await embedder.model(1)
    find = index.find

    async def exchanged(*arguments: object) -> Neighbors:
        index.serving = ServingCollection("listings-new", "new space", 4)
        return await find(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(index, "find", exchanged)
    assert (await finder.find(ITEM, SearchOptions(3), Deadline(60))).ranking is BLEND
    assert [rerank.vector_weight for rerank in index.reranks if rerank] == [0.25, 0.25, 0.5]


@pytest.mark.parametrize("ranking", [BLEND, FEATURES_ALONE, CATEGORY])
async def test_least_likeness_leaves_out_what_is_less_likely(
    finder: SimilarListingFinder, index: FakeIndex, ranking: RankingMethod
) -> None:
    every = await finder.find(PHOTO, SearchOptions(2, ranking=ranking), Deadline(60))
    first, second = likenesses(every)
    assert first is not None
    assert second is not None
    assert every.neighbors.shortfall == ""
    least = (first + second) / 2
    some = await finder.find(
        PHOTO, SearchOptions(2, ranking=ranking, min_likeness=least), Deadline(60)
    )
    assert likenesses(some) == [first]
    assert f"1 of the 2 nearest are at least {least:.0%} likely" in some.neighbors.shortfall
    none = await finder.find(PHOTO, SearchOptions(2, ranking=ranking, min_likeness=1), Deadline(60))
    assert likenesses(none) == []
    whole = await finder.find(
        PHOTO, SearchOptions(2, ranking=ranking, min_likeness=0), Deadline(60)
    )
    assert likenesses(whole) == [first, second]


async def test_index_is_asked_for_a_crowd_and_callers_get_what_they_want(
    finder: SimilarListingFinder, index: FakeIndex
) -> None:
    for options, asked in (
        (SearchOptions(1), 20),
        (SearchOptions(50), 50),
        (SearchOptions(1, every_photo=True), 40),
    ):
        found = await finder.find(PHOTO, options, Deadline(60))
        assert index.searched[-1][1].k == asked
        assert len(found.neighbors.hits) == min(2, options.k)


async def test_index_is_asked_for_no_more_than_is_wanted_where_nothing_was_calibrated(
    finder: SimilarListingFinder, embedder: FakeEmbedder, index: FakeIndex
) -> None:
    embedder.served = model()
    await finder.find(PHOTO, SearchOptions(1), Deadline(60))
    assert index.searched[-1][1].k == 1


@pytest.mark.parametrize("likeness", [0, 0.5, 1])
async def test_likeness_that_nobody_calibrated_cannot_be_asked_for(
    finder: SimilarListingFinder, embedder: FakeEmbedder, index: FakeIndex, likeness: float
) -> None:
    embedder.served = model()
    for ranking in (None, CATEGORY):
        options = SearchOptions(3, ranking=ranking, min_likeness=likeness)
        with pytest.raises(RankingUnavailableError) as caught:
            await finder.find(PHOTO, options, Deadline(60))
        assert caught.value.field == "min_likeness"
        assert "python -m training export" in caught.value.message
    embedder.served = model_with_features(ranking=replace(RANKING, blend=None))
    await embedder.model(1)
    with pytest.raises(RankingUnavailableError, match="'blend'"):
        await finder.find(ITEM, SearchOptions(3, min_likeness=likeness), Deadline(60))
    assert index.searched == []


async def test_errors_that_have_nothing_to_do_with_ranking_are_the_searchs_own(
    finder: SimilarListingFinder, index: FakeIndex
) -> None:
    index.error = ItemNotFoundError("no such item", resource=("item", "photo 7"))
    with pytest.raises(ItemNotFoundError):
        await finder.find(ITEM, SearchOptions(3), Deadline(60))
