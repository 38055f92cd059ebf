"""From photos to vectors, each embedded once; from logits to categories with probabilities."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cache import VectorCache
from gateway.classify import ClassifiedPhoto, Classifier
from gateway.deadline import Deadline, LatencyWindow
from gateway.scores import softmax
from lookalike.errors import (
    DeadlineExceededError,
    DeadlineUnreachableError,
    InvalidImageError,
    UpstreamUnavailableError,
)
from tests.gateway_models import model
from tests.gateways import FakeEmbedder


@given(st.lists(st.floats(-1e4, 1e4, width=16), min_size=1, max_size=20))
def test_softmax_is_a_distribution_in_the_order_of_the_logits(logits: list[float]) -> None:
    probabilities = softmax(logits)
    assert all(0 <= probability <= 1 for probability in probabilities)
    assert math.fsum(probabilities) == pytest.approx(1)
    ranked = sorted(zip(logits, probabilities, strict=True))
    assert [probability for _, probability in ranked] == sorted(probabilities)


def test_softmax_takes_exponentials_relative_to_their_sum() -> None:
    assert softmax([0, math.log(3)]) == pytest.approx([0.25, 0.75])
    assert softmax([5000, 5000 + math.log(3)]) == pytest.approx([0.25, 0.75])
    assert softmax([-7]) == [1]


async def test_categories_come_most_likely_first_with_their_place_among_the_labels(
    classifier: Classifier,
) -> None:
    photo = await classifier.classify(b"photo", Deadline(60))
    scores = photo.classification.scores
    assert [(score.category, score.index) for score in scores] == [
        ("clothes", 1),
        ("tools", 2),
        ("books", 0),
    ]
    assert [score.probability for score in scores] == sorted(softmax((1, 3, 2)), reverse=True)


async def test_equal_logits_are_equally_likely_and_keep_the_labels_order(
    classifier: Classifier, embedder: FakeEmbedder
) -> None:
    embedder.logits = (5.0, 5.0, 5.0)
    scores = (await classifier.classify(b"photo", Deadline(60))).classification.scores
    assert [(score.category, score.index) for score in scores] == [
        ("books", 0),
        ("clothes", 1),
        ("tools", 2),
    ]
    assert [score.probability for score in scores] == pytest.approx([1 / 3] * 3)


async def test_probabilities_are_calibrated_by_the_models_temperature(
    classifier: Classifier, embedder: FakeEmbedder
) -> None:
    embedder.served = model(temperature=2.0)
    scores = (await classifier.classify(b"photo", Deadline(60))).classification.scores
    expected = sorted(softmax((0.5, 1.5, 1.0)), reverse=True)
    assert [score.probability for score in scores] == pytest.approx(expected)


async def test_photo_comes_with_its_vector_and_both_name_its_embedding_space(
    classifier: Classifier, embedder: FakeEmbedder
) -> None:
    photo = await classifier.classify(b"photo", Deadline(60))
    assert photo.vector.values == embedder.logits
    assert photo.vector.embedding_space == photo.classification.embedding_space == "space"
    assert embedder.embedded == [b"photo"]


@pytest.mark.parametrize("labels", [("books", "clothes"), ("books", "clothes", "tools", "toys")])
async def test_labels_that_do_not_fit_the_vector_are_not_guessed_at(
    classifier: Classifier, embedder: FakeEmbedder, labels: tuple[str, ...]
) -> None:
    embedder.served = replace(embedder.served, labels=labels)
    with pytest.raises(ValueError, match="zip"):
        await classifier.classify(b"photo", Deadline(60))


async def test_what_the_embedder_refuses_is_not_classified_and_not_remembered(
    classifier: Classifier, embedder: FakeEmbedder
) -> None:
    embedder.error = InvalidImageError("image is empty (0 bytes)", field="image")
    for _ in range(2):
        with pytest.raises(InvalidImageError) as caught:
            await classifier.classify(b"", Deadline(60))
        assert caught.value is embedder.error
    embedder.error = None
    assert not (await classifier.classify(b"", Deadline(60))).cached
    assert len(embedder.embedded) == 3


async def test_photo_that_is_known_is_not_embedded_again(
    classifier: Classifier, embedder: FakeEmbedder, vectors: VectorCache
) -> None:
    first = await classifier.classify(b"photo", Deadline(60))
    deadline = Deadline(60)
    second = await classifier.classify(b"photo", deadline)
    assert (first.cached, second.cached) == (False, True)
    assert first.vector == second.vector
    assert len(embedder.embedded) == 1
    assert deadline.spent_ns("decode") == 0, "nothing was decoded for it"
    assert (vectors.status.misses, vectors.status.hits) == (1, 1)


async def test_vector_of_a_model_that_is_served_no_more_is_not_used(
    classifier: Classifier, embedder: FakeEmbedder
) -> None:
    await classifier.classify(b"photo", Deadline(60))
    embedder.served = model("another space")
    await classifier.classify(b"other photo", Deadline(60))  # tells that the space is another
    photo = await classifier.classify(b"photo", Deadline(60))
    assert (photo.cached, photo.vector.embedding_space) == (False, "another space")


async def test_time_that_the_embedder_tells_is_kept(classifier: Classifier) -> None:
    deadline = Deadline(60)
    await classifier.embed(b"photo", deadline)
    assert [deadline.spent_ns(hop) for hop in ("decode", "queue", "inference")] == [1, 2, 3]
    assert deadline.spent_ns("embed") > 0


async def test_time_for_the_search_is_kept_back(
    classifier: Classifier, embedder: FakeEmbedder
) -> None:
    searches = LatencyWindow()
    searches.add(5)
    await classifier.embed(b"photo", Deadline(60), later=searches)
    assert 49 < embedder.timeouts[0] <= 50


async def test_photo_without_time_for_it_never_reaches_the_embedder(
    classifier: Classifier, embedder: FakeEmbedder
) -> None:
    embedder.latencies[False].add(10)
    with pytest.raises(DeadlineUnreachableError):
        await classifier.classify(b"photo", Deadline(9))
    assert embedder.embedded == []


async def test_photo_is_not_refused_for_what_those_took_that_may_wait(
    classifier: Classifier, embedder: FakeEmbedder
) -> None:
    embedder.latencies[True].add(10)
    await classifier.classify(b"photo", Deadline(9))
    with pytest.raises(DeadlineUnreachableError):
        await classifier.classify(b"other photo", Deadline(9), bulk=True)
    assert embedder.bulk == [False]


async def waiting(
    classifier: Classifier, embedder: FakeEmbedder, *deadlines: Deadline
) -> list[asyncio.Task[ClassifiedPhoto]]:
    """Callers with the same photo, of whom the first has the embedder working."""
    embedder.gate = asyncio.Event()
    tasks = [asyncio.create_task(classifier.classify(b"photo", deadline)) for deadline in deadlines]
    for _ in range(3):
        await asyncio.sleep(0)  # lets each come as far as it can
    assert len(embedder.embedded) == 1
    return tasks


async def test_identical_photos_at_once_are_embedded_once(
    classifier: Classifier, embedder: FakeEmbedder, vectors: VectorCache
) -> None:
    tasks = await waiting(classifier, embedder, *(Deadline(60) for _ in range(5)))
    assert embedder.gate
    embedder.gate.set()
    photos = await asyncio.gather(*tasks)
    assert [photo.cached for photo in photos] == [False, True, True, True, True]
    assert len({photo.vector.values for photo in photos}) == 1
    assert len(embedder.embedded) == 1
    assert (vectors.status.misses, vectors.status.coalesced) == (1, 4)


async def test_error_is_every_waiting_callers_own(
    classifier: Classifier, embedder: FakeEmbedder
) -> None:
    embedder.error = UpstreamUnavailableError("away")
    tasks = await waiting(classifier, embedder, Deadline(60), Deadline(60))
    assert embedder.gate
    embedder.gate.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert outcomes == [embedder.error] * 2


async def test_caller_who_leaves_takes_nothing_from_the_others(
    classifier: Classifier, embedder: FakeEmbedder
) -> None:
    leader, follower = await waiting(classifier, embedder, Deadline(60), Deadline(60))
    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leader
    assert embedder.cancelled == 0
    assert embedder.gate
    embedder.gate.set()
    assert (await follower).vector.values == embedder.logits
    assert len(embedder.embedded) == 1


async def test_last_caller_who_leaves_ends_the_work(
    classifier: Classifier, embedder: FakeEmbedder
) -> None:
    tasks = await waiting(classifier, embedder, Deadline(60), Deadline(60))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0)
    assert embedder.cancelled == 1
    assert embedder.gate
    embedder.gate.set()
    assert not (await classifier.classify(b"photo", Deadline(60))).cached


async def test_caller_with_more_time_tries_again_when_the_firsts_is_up(
    classifier: Classifier, embedder: FakeEmbedder
) -> None:
    embedder.error = DeadlineUnreachableError("too late")
    leader, follower = await waiting(classifier, embedder, Deadline(60), Deadline(60))
    gate, embedder.gate = embedder.gate, None
    assert gate
    gate.set()
    with pytest.raises(DeadlineUnreachableError):
        await leader
    with pytest.raises(DeadlineUnreachableError):
        await follower
    assert len(embedder.embedded) == 2


async def test_caller_with_less_time_does_not_wait_for_another(
    classifier: Classifier, embedder: FakeEmbedder
) -> None:
    leader, follower = await waiting(classifier, embedder, Deadline(60), Deadline(0.01))
    with pytest.raises(DeadlineExceededError):
        await follower
    assert embedder.gate
    embedder.gate.set()
    assert (await leader).classification


async def test_photo_that_may_wait_keeps_none_waiting_that_may_not(
    classifier: Classifier, embedder: FakeEmbedder
) -> None:
    embedder.gate = asyncio.Event()
    tasks = [
        asyncio.create_task(classifier.embed(b"photo", Deadline(60), bulk=bulk))
        for bulk in (True, False)
    ]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    embedder.gate.set()
    await asyncio.gather(*tasks)
    assert embedder.bulk == [True, False]
