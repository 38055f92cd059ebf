"""What such a thing costs, asked for along with a search."""

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
    SearchOptions,
)
from gateway.search import SimilarListingFinder
from lookalike.catalogue.listings import CataloguePhoto, ListingFilter
from lookalike.errors import LookalikeError, QueueFullError, UpstreamUnavailableError
from tests.gateway_models import FEATURES, model_with_features
from tests.gateways import FakeEmbedder, FakeIndex

ITEM, PHOTO = ItemId("photo 7"), Photos((b"photo",))
VECTOR = PhotoVector((1.0, 3.0, 2.0), "space", FEATURES)
WANTED = SearchOptions(2, include_price=True)
FULL = QueueFullError("the index is busy")


def hits(*prices: float | None, currency: str = "GBP") -> Neighbors:
    found = [
        Hit(
            CataloguePhoto(f"i{n}", f"p{n}", price=price, currency=currency),
            float(n),
            (n + 1) / 100,
        )
        for n, price in enumerate(prices)
    ]
    return Neighbors(found, "", exact=True, candidates_ranked=200)


@pytest.fixture(autouse=True)
def prices(embedder: FakeEmbedder, index: FakeIndex) -> None:
    embedder.served = model_with_features()
    index.leads_to = ServingCollection("listings-space", "space", len(FEATURES))
    index.ranked = index.neighbors = hits(100, None, 120, 0, 110)


@pytest.mark.parametrize("query", [PHOTO, Photos((b"a", b"b")), ITEM, VECTOR])
async def test_price_comes_with_the_listings(finder: SimilarListingFinder, query: Query) -> None:
    found = await finder.find(query, WANTED, Deadline(60))
    assert found.price is not None
    assert (found.price.currency, found.price.listings, found.price.coverage) == ("GBP", 3, 0.8)
    assert found.price.low < found.price.median < found.price.high
    assert (found.ranking, found.degraded) == (RankingMethod.BLEND, "")


async def test_nearer_listings_count_more(finder: SimilarListingFinder, index: FakeIndex) -> None:
    found = await finder.find(ITEM, WANTED, Deadline(60))
    assert found.price is not None
    assert found.price.median == 110, "all three are likely"
    index.ranked = replace(
        hits(100, 900, 1000),
        hits=[hit._replace(ranked_by=hit.ranked_by * 20) for hit in hits(100, 900, 1000).hits],
    )
    found = await finder.find(ITEM, WANTED, Deadline(60))
    assert found.price is not None
    assert found.price.median == 100


async def test_price_is_of_more_listings_than_are_wanted_and_of_every_price(
    finder: SimilarListingFinder, index: FakeIndex
) -> None:
    only = ListingFilter(("tools",), 5, 50, ("Basel",), exclude_product_ids=("p",))
    options = SearchOptions(
        2,
        only,
        every_photo=True,
        max_distance=1,
        exact=True,
        min_seq=8,
        min_likeness=0.5,
        include_price=True,
    )
    await finder.find(ITEM, options, Deadline(60))
    (_, listings), (query, priced) = index.searched
    assert listings == replace(options, k=40)
    assert query == ITEM
    assert priced == SearchOptions(
        40,
        replace(only, min_price=priced.filter.min_price, max_price=None),
        exact=True,
        min_seq=8,
    )
    assert priced.filter.min_price is not None
    assert 0 < priced.filter.min_price < 0.01
    first, second = index.reranks
    assert first == second


async def test_price_is_not_asked_for_unless_wanted(
    finder: SimilarListingFinder, index: FakeIndex
) -> None:
    found = await finder.find(ITEM, SearchOptions(2), Deadline(60))
    assert (found.price, len(index.searched)) == (None, 1)


async def test_listings_without_prices_have_none(
    finder: SimilarListingFinder, index: FakeIndex
) -> None:
    index.ranked = hits(None, 0, None)
    assert (await finder.find(ITEM, WANTED, Deadline(60))).price is None


async def test_without_a_model_that_was_fitted_the_fifty_nearest_count_alike(
    finder: SimilarListingFinder, embedder: FakeEmbedder, index: FakeIndex
) -> None:
    embedder.served = model_with_features(ranking=None, price_range=None)
    index.neighbors = hits(*range(1, 12))
    found = await finder.find(ITEM, WANTED, Deadline(60))
    assert index.searched[1][1].k == 100
    assert found.price is not None
    assert (found.price.median, found.price.low, found.price.high) == (6, 2, 10)
    assert found.price.coverage == 0


async def test_price_that_cannot_be_told_does_not_take_the_listings_along(
    finder: SimilarListingFinder, index: FakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = index.find

    async def busy(query: object, options: SearchOptions, *more: object) -> Neighbors:
        if options.k == 40:
            raise FULL
        return await find(query, options, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(index, "find", busy)
    found = await finder.find(ITEM, WANTED, Deadline(60))
    assert (found.price, found.degraded) == (None, "no price: the index is busy")
    assert len(found.neighbors.hits) == 2


@pytest.mark.parametrize("error", [FULL, UpstreamUnavailableError("away")])
async def test_listings_that_cannot_be_told_are_an_error_or_left_out_as_without_a_price(
    finder: SimilarListingFinder, index: FakeIndex, error: LookalikeError
) -> None:
    await finder.find(PHOTO, SearchOptions(2), Deadline(60))
    index.error = error
    with pytest.raises(type(error)):
        await finder.find(PHOTO, WANTED, Deadline(60))
    if isinstance(error, UpstreamUnavailableError):
        found = await finder.find(PHOTO, replace(WANTED, allow_partial=True), Deadline(60))
        assert (found.price, found.degraded) == (None, "no listings: away")
        assert found.classification is not None
