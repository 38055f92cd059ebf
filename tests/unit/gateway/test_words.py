"""Listings are classified and found by words, alone and with photos; what is lacking is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.classify import Classifier
from gateway.deadline import Deadline
from gateway.listings import (
    ItemId,
    RankingMethod,
    SearchOptions,
    Words,
)
from gateway.scores import softmax
from gateway.search import SimilarListingFinder
from lookalike.errors import (
    DeadlineUnreachableError,
    InvalidArgumentError,
    LookalikeError,
    RankingUnavailableError,
    UpstreamUnavailableError,
    WordsUnavailableError,
)
from lookalike.limits import MAX_CANDIDATES
from tests.gateways import FOUND, FakeEmbedder, FakeIndex

BLEND, FEATURES_ALONE, CATEGORY, HYBRID, WORDS = RankingMethod
CHAIR = Words("green velvet armchair")
AWAY = UpstreamUnavailableError("the index is away")

pytestmark = pytest.mark.usefixtures("reads_words")


def probabilities(found: object) -> list[float]:
    scores = found.scores  # type: ignore[attr-defined]
    return [score.probability for score in sorted(scores, key=lambda score: score.index)]


async def test_words_alone_are_classified_by_their_own_temperature(classifier: Classifier) -> None:
    found = await classifier.classify_listing((), Deadline(60), words=CHAIR)
    assert probabilities(found.classification) == pytest.approx(softmax([1.0, 0.0, 2.0]))
    assert found.words is not None
    assert (found.words.tokens, found.words.truncated) == (5, True)
    assert found.words.classification == found.classification
    assert (found.vector, found.photos) == (None, ())


async def test_photos_and_words_are_fused_with_the_weights_of_the_model(
    classifier: Classifier, embedder: FakeEmbedder
) -> None:
    words = Words("Armchair", "Green velvet")
    found = await classifier.classify_listing((b"a", b"b"), Deadline(60), words=words)
    # logits of photos are 1, 3, 2, of words 2, 0, 4
    assert probabilities(found.classification) == pytest.approx(softmax([2.5, 1.5, 5.0]))
    assert found.words is not None
    assert probabilities(found.words.classification) == pytest.approx(softmax([1.0, 0.0, 2.0]))
    assert [probabilities(photo) for photo in found.photos] == [
        pytest.approx(softmax([1.0, 3.0, 2.0]))
    ] * 2
    assert embedder.words == [words]


async def test_photos_alone_are_as_before(classifier: Classifier, embedder: FakeEmbedder) -> None:
    found = await classifier.classify_listing((b"a",), Deadline(60), words=Words())
    assert found.words is None
    assert embedder.words == []
    assert probabilities(found.classification) == pytest.approx(softmax([1.0, 3.0, 2.0]))


async def test_several_photos_without_words_have_a_weight_of_their_own(
    classifier: Classifier,
) -> None:
    found = await classifier.classify_listing((b"a", b"b"), Deadline(60))
    assert probabilities(found.classification) == pytest.approx(softmax([0.75, 2.25, 1.5]))


async def test_neither_photos_nor_words_are_refused(classifier: Classifier) -> None:
    with pytest.raises(InvalidArgumentError, match="neither images nor title nor description"):
        await classifier.classify_listing((), Deadline(60), words=Words())


async def test_a_description_that_is_too_long_is_named(classifier: Classifier) -> None:
    with pytest.raises(InvalidArgumentError, match="description has 8193 characters") as caught:
        await classifier.classify_listing((), Deadline(60), words=Words("oak", "a" * 8193))
    assert caught.value.field == "description"


async def test_words_find_by_meaning_and_by_what_is_written(
    finder: SimilarListingFinder, index: FakeIndex
) -> None:
    found = await finder.find(CHAIR, SearchOptions(), Deadline(60))
    assert (found.ranking, found.neighbors, found.degraded) == (HYBRID, FOUND, "")
    assert found.classification is not None
    assert found.classification.scores[0].category == "tools"
    assert index.words == ["green velvet armchair"]
    ((query, _),) = index.searched
    assert isinstance(query, list)
    assert list(query[0].values) == [2.0, 0.0, 4.0]
    (rerank,) = index.reranks
    assert rerank is not None
    assert (rerank.candidates, rerank.vector_weight) == (MAX_CANDIDATES, 0.0)


async def test_without_a_text_tower_titles_and_descriptions_are_searched(
    finder: SimilarListingFinder, embedder: FakeEmbedder, index: FakeIndex
) -> None:
    embedder.text_error = WordsUnavailableError("the model has no text tower")
    found = await finder.find(CHAIR, SearchOptions(), Deadline(60))
    assert found.ranking is WORDS
    assert found.classification is None
    assert found.degraded == (
        "by the words of titles and descriptions alone: the model has no text tower"
    )
    assert index.searched[0][0] == []
    assert index.words == ["green velvet armchair"]


@pytest.mark.parametrize(
    "error",
    [UpstreamUnavailableError("the embedder is away")],
)
async def test_words_are_found_while_no_embedder_answers(
    finder: SimilarListingFinder, embedder: FakeEmbedder, error: LookalikeError
) -> None:
    embedder.text_error = error
    found = await finder.find(CHAIR, SearchOptions(), Deadline(60))
    assert (found.ranking, found.neighbors) == (WORDS, FOUND)
    assert "away" in found.degraded
    with pytest.raises(UpstreamUnavailableError):
        await finder.find(CHAIR, SearchOptions(ranking=HYBRID), Deadline(60))


@pytest.mark.parametrize("error", [AWAY, DeadlineUnreachableError("too late")])
@pytest.mark.parametrize("ranking", [None, HYBRID, WORDS, CATEGORY])
async def test_without_the_index_words_are_still_classified_if_that_will_do(
    finder: SimilarListingFinder,
    index: FakeIndex,
    ranking: RankingMethod | None,
    error: LookalikeError,
) -> None:
    index.error = error
    options = SearchOptions(ranking=ranking, include_price=True)
    with pytest.raises(type(error)):
        await finder.find(CHAIR, options, Deadline(60))
    found = await finder.find(CHAIR, replace(options, allow_partial=True), Deadline(60))
    assert found.classification is not None
    assert found.classification.scores[0].category == "tools"
    assert (list(found.neighbors.hits), found.neighbors.exact) == ([], False)
    assert found.degraded == f"no listings: {error.message}"
    assert found.neighbors.shortfall


@pytest.mark.parametrize("ranking", [None, WORDS])
async def test_without_index_and_embedder_nothing_is_left_to_say_of_words(
    finder: SimilarListingFinder,
    embedder: FakeEmbedder,
    index: FakeIndex,
    ranking: RankingMethod | None,
) -> None:
    index.error, embedder.text_error = AWAY, UpstreamUnavailableError("the embedder is away")
    with pytest.raises(UpstreamUnavailableError, match="the index is away"):
        await finder.find(CHAIR, SearchOptions(ranking=ranking, allow_partial=True), Deadline(60))


async def test_words_are_read_once_for_listings_and_their_price(
    finder: SimilarListingFinder, embedder: FakeEmbedder
) -> None:
    await finder.find(CHAIR, SearchOptions(include_price=True), Deadline(60))
    assert embedder.words == [CHAIR]


async def test_without_words_in_the_index_vectors_alone_are_searched(
    finder: SimilarListingFinder, index: FakeIndex
) -> None:
    index.word_error = WordsUnavailableError("the collection finds no words")
    found = await finder.find(CHAIR, SearchOptions(), Deadline(60))
    assert found.ranking is FEATURES_ALONE
    assert index.words == ["green velvet armchair", ""]
    with pytest.raises(RankingUnavailableError, match="finds no words"):
        await finder.find(CHAIR, SearchOptions(ranking=HYBRID), Deadline(60))


async def test_where_neither_can_do_anything_with_words_both_are_named(
    finder: SimilarListingFinder, embedder: FakeEmbedder, index: FakeIndex
) -> None:
    embedder.text_error = WordsUnavailableError("the model has no text tower")
    index.word_error = WordsUnavailableError("the collection finds no words")
    with pytest.raises(WordsUnavailableError, match="no text tower; the collection") as caught:
        await finder.find(CHAIR, SearchOptions(), Deadline(60))
    assert caught.value.field == "text"


@pytest.mark.parametrize(
    ("ranking", "words"),
    [(BLEND, [""]), (FEATURES_ALONE, [""]), (CATEGORY, [""]), (WORDS, [CHAIR.title])],
)
async def test_a_ranking_that_was_named_is_kept_to(
    finder: SimilarListingFinder,
    index: FakeIndex,
    ranking: RankingMethod,
    words: list[str],
) -> None:
    found = await finder.find(CHAIR, SearchOptions(ranking=ranking), Deadline(60))
    assert (found.ranking, index.words) == (ranking, words)
    assert (index.reranks[0] is not None) is (ranking in {BLEND, FEATURES_ALONE})


@pytest.mark.parametrize("ranking", [HYBRID, WORDS])
async def test_photos_are_not_ranked_by_words(
    finder: SimilarListingFinder, ranking: RankingMethod
) -> None:
    with pytest.raises(RankingUnavailableError, match="there are no words to look for"):
        await finder.find(ItemId("lamp-1"), SearchOptions(ranking=ranking), Deadline(60))


async def test_no_likeness_is_known_for_words(finder: SimilarListingFinder) -> None:
    with pytest.raises(RankingUnavailableError, match="none is known for words") as caught:
        await finder.find(CHAIR, SearchOptions(min_likeness=0.5), Deadline(60))
    assert caught.value.field == "min_likeness"


async def test_what_words_describe_has_a_price(finder: SimilarListingFinder) -> None:
    found = await finder.find(CHAIR, SearchOptions(include_price=True), Deadline(60))
    assert found.price is not None
    assert (found.price.median, found.price.coverage) == (40.0, 0)


@pytest.mark.parametrize(
    ("title", "words"), [(" ", "text is empty"), ("a" * 1025, "1025 characters; the limit is 1024")]
)
async def test_words_that_cannot_be_looked_for_are_refused(
    finder: SimilarListingFinder, title: str, words: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=words) as caught:
        await finder.find(Words(title), SearchOptions(), Deadline(60))
    assert caught.value.field == "text"


async def test_words_alone_are_at_no_distance(finder: SimilarListingFinder) -> None:
    with pytest.raises(InvalidArgumentError, match="max_distance is 5") as caught:
        await finder.find(CHAIR, SearchOptions(ranking=WORDS, max_distance=5), Deadline(60))
    assert caught.value.field == "max_distance"
