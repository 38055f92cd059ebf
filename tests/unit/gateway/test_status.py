"""What the gateway says of itself: by what it ranks, and what is lacking for better."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.cache import VectorCache
from gateway.deadline import Deadline
from gateway.index_state import CollectionStats, ServingCollection
from gateway.listings import RankingMethod
from gateway.models import Model, Output
from gateway.ranking import Ranker
from gateway.space_guard import EmbeddingSpaceGuard
from gateway.status import EmbedderStatus, IndexStatus, StatusReporter
from lookalike.errors import UpstreamUnavailableError
from tests.gateway_models import READS, model, model_that_reads, model_with_features
from tests.gateways import FakeEmbedder, FakeIndex

NAME = "listings-space"
KEEPS = ServingCollection(NAME, "space", 4, finds_words=True)
WHOLE = CollectionStats(photos=50, photos_with_features=50, rows_with_features_in_memory=50)
AWAY = UpstreamUnavailableError("away")


@pytest.fixture
def reporter(
    embedder: FakeEmbedder,
    index: FakeIndex,
    space_guard: EmbeddingSpaceGuard,
    vectors: VectorCache,
    ranker: Ranker,
) -> StatusReporter:
    embedder.served = model_that_reads()
    index.leads_to, index.held = KEEPS, {NAME: WHOLE, "other": CollectionStats(9)}
    return StatusReporter(embedder, index, space_guard, vectors, ranker)


async def test_nothing_is_lacking_where_all_photos_have_features_and_somebody_fitted_the_rest(
    reporter: StatusReporter,
) -> None:
    told = await reporter.status(Deadline(60))
    assert (told.ranking, list(told.lacking)) == (RankingMethod.BLEND, [])
    assert (told.embedder.dimension, told.embedder.features_dimension) == (3, 4)
    assert told.index.photos_with_features == 50


LACKING: dict[str, tuple[Model, ServingCollection, CollectionStats, list[str]]] = {
    "features of the model": (
        model(text=READS),
        replace(KEEPS, features_dimension=0),
        CollectionStats(50),
        ["--outputs features:128"],
    ),
    "ranking of the bundle": (
        model_that_reads(ranking=None),
        KEEPS,
        WHOLE,
        ["python -m training export --data DIR --run RUN --out BUNDLE"],
    ),
    "features of the collection": (
        model_that_reads(),
        replace(KEEPS, features_dimension=0),
        CollectionStats(50),
        [f"'{NAME}' keeps no features: make one that does (lookalike reindex)"],
    ),
    "features of that length": (
        model_that_reads(features=Output("features", 64, "embedding")),
        KEEPS,
        WHOLE,
        ["features of 4 values, and the model's have 64"],
    ),
    "features of some photos": (
        model_that_reads(),
        KEEPS,
        replace(WHOLE, photos=12_345),
        [f"12,295 of 12,345 photos of collection '{NAME}' have no features", "lookalike reindex"],
    ),
    "text tower": (
        model_with_features(),
        KEEPS,
        WHOLE,
        ["reads no words", "train-text", "export --text RUN"],
    ),
    "words of the collection": (
        model_that_reads(),
        replace(KEEPS, finds_words=False),
        WHOLE,
        [f"'{NAME}' finds no words", "lookalike reindex"],
    ),
    "memory": (
        model_that_reads(),
        KEEPS,
        replace(WHOLE, rows_with_features_in_memory=20, most_candidates=300),
        ["features of 20 photos", "at most 300 candidates", "LOOKALIKE_INDEX_MAX_FEATURE_BYTES"],
    ),
}


BY_CATEGORY = {
    "features of the model",
    "ranking of the bundle",
    "features of the collection",
    "features of that length",
}


@pytest.mark.parametrize("lacks", LACKING)
async def test_what_is_lacking_is_said_with_what_adds_it(
    reporter: StatusReporter, embedder: FakeEmbedder, index: FakeIndex, lacks: str
) -> None:
    embedder.served, index.leads_to, held, words = LACKING[lacks]
    index.held = {NAME: held}
    told = await reporter.status(Deadline(60))
    (sentence,) = told.lacking
    assert [text for text in words if text not in sentence] == []
    by_features = lacks not in BY_CATEGORY
    assert (told.ranking is RankingMethod.BLEND) is by_features


async def test_all_that_is_lacking_is_said_at_once(
    reporter: StatusReporter, embedder: FakeEmbedder, index: FakeIndex
) -> None:
    embedder.served = model_that_reads(ranking=None)
    index.held = {NAME: CollectionStats(50, 20, 10, 300)}
    assert len((await reporter.status(Deadline(60))).lacking) == 3


async def test_index_of_before_is_told_of_once_it_is_known(
    reporter: StatusReporter, index: FakeIndex
) -> None:
    index.can_rank, index.held = False, {NAME: CollectionStats(50)}
    told = await reporter.status(Deadline(60))
    assert told.ranking is RankingMethod.CATEGORY
    (sentence,) = told.lacking
    assert "earlier version" in sentence


async def test_index_that_does_not_say_what_it_holds_lacks_nothing(
    reporter: StatusReporter, index: FakeIndex
) -> None:
    index.held = {}
    told = await reporter.status(Deadline(60))
    assert (list(told.lacking), told.index.photos_with_features) == ([], 0)


async def test_index_that_ranks_any_number_lacks_no_memory(
    reporter: StatusReporter, index: FakeIndex
) -> None:
    index.held = {NAME: replace(WHOLE, rows_with_features_in_memory=0, most_candidates=0)}
    assert list((await reporter.status(Deadline(60))).lacking) == []


async def test_catalogue_that_does_not_exist_yet_lacks_nothing(
    reporter: StatusReporter, index: FakeIndex
) -> None:
    index.leads_to, index.held = None, {}
    told = await reporter.status(Deadline(60))
    assert (told.ranking, list(told.lacking)) == (RankingMethod.CATEGORY, [])
    assert (told.index.ready, told.index.serving_collection) == (True, "")


async def test_what_the_catalogue_lacks_is_told_by_the_model_that_was_seen_last(
    reporter: StatusReporter, embedder: FakeEmbedder, index: FakeIndex
) -> None:
    await reporter.status(Deadline(60))
    embedder.error = AWAY
    index.leads_to = replace(KEEPS, features_dimension=0)
    told = await reporter.status(Deadline(60))
    assert ["keeps no features" in sentence for sentence in told.lacking] == [True]


async def test_status_tells_what_it_can_while_others_are_away(
    reporter: StatusReporter, embedder: FakeEmbedder, index: FakeIndex
) -> None:
    await reporter.status(Deadline(60))
    embedder.error = index.error = AWAY
    told = await reporter.status(Deadline(60))
    assert told.embedder == EmbedderStatus("embedder:1")
    assert told.index == IndexStatus("index:1", "listings")
    assert list(told.lacking) == []
    assert told.ranking is RankingMethod.BLEND, "searches by item will be, as far as is known"
