"""From logits to categories with probabilities."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.budget import Budget
from gateway.classify import Classifier, softmax
from lookalike.errors import InvalidImageError


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
    embedder: Any,
) -> None:
    photo = await Classifier(embedder).classify(b"photo", Budget(60))
    scores = photo.classification.scores
    assert [(score.category, score.index) for score in scores] == [
        ("clothes", 1),
        ("tools", 2),
        ("books", 0),
    ]
    assert [score.probability for score in scores] == sorted(softmax((1, 3, 2)), reverse=True)


async def test_categories_equally_likely_keep_the_order_of_the_labels(embedder: Any) -> None:
    embedder.logits = (0.0, 0.0, 0.0)
    photo = await Classifier(embedder).classify(b"photo", Budget(60))
    scores = photo.classification.scores
    assert [(score.category, score.index) for score in scores] == [
        ("books", 0),
        ("clothes", 1),
        ("tools", 2),
    ]
    assert [score.probability for score in scores] == pytest.approx([1 / 3] * 3)


async def test_photo_comes_with_its_vector_and_both_name_its_embedding_space(embedder: Any) -> None:
    budget = Budget(60)
    photo = await Classifier(embedder).classify(b"photo", budget)
    assert photo.vector.values == embedder.logits
    assert photo.vector.embedding_space == photo.classification.embedding_space == "space"
    assert embedder.embedded == [(b"photo", budget)]


@pytest.mark.parametrize("labels", [("books", "clothes"), ("books", "clothes", "tools", "toys")])
async def test_labels_that_do_not_fit_the_vector_are_not_guessed_at(
    embedder: Any, labels: tuple[str, ...]
) -> None:
    embedder.known = {"space": labels}
    with pytest.raises(ValueError, match="zip"):
        await Classifier(embedder).classify(b"photo", Budget(60))


async def test_what_the_embedder_refuses_is_not_classified(embedder: Any) -> None:
    embedder.error = InvalidImageError("image is empty (0 bytes)", field="image")
    with pytest.raises(InvalidImageError) as caught:
        await Classifier(embedder).classify(b"", Budget(60))
    assert caught.value is embedder.error
