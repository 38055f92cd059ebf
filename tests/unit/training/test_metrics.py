"""Figures of a classification, against ones worked out by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from training.metrics import classification_metrics, listing_metrics

CATEGORIES = ("lamps", "sofas", "rugs", "ovens")


def logits_ranking(*rankings: tuple[int, ...]) -> np.ndarray:
    """Logits by which each photo's categories come in that order."""
    logits = np.zeros((len(rankings), len(CATEGORIES)), np.float32)
    for photo, ranking in enumerate(rankings):
        logits[photo, list(ranking)] = np.arange(len(CATEGORIES), 0, -1)
    return logits


def test_figures_are_those_worked_out_by_hand() -> None:
    logits = logits_ranking((0, 1, 2, 3), (0, 1, 2, 3), (1, 0, 2, 3), (1, 2, 3, 0), (0, 1, 2, 3))
    labels = np.array([0, 0, 0, 1, 1])  # right, right, second, right, second
    metrics = classification_metrics(logits, labels, CATEGORIES)

    assert metrics["photos"] == 5
    assert metrics["accuracy"] == pytest.approx(3 / 5)
    assert metrics["accuracy_top3"] == 1
    assert metrics["per_class"]["lamps"] == {
        "precision": pytest.approx(2 / 3),
        "recall": pytest.approx(2 / 3),
        "f1": pytest.approx(2 / 3),
        "photos": 3,
    }
    assert metrics["per_class"]["sofas"] == {
        "precision": pytest.approx(1 / 2),
        "recall": pytest.approx(1 / 2),
        "f1": pytest.approx(1 / 2),
        "photos": 2,
    }


def test_precision_is_of_the_guesses_and_recall_of_the_photos() -> None:
    logits = logits_ranking((0, 1, 2, 3), (0, 1, 2, 3), (0, 1, 2, 3), (0, 1, 2, 3))
    row = classification_metrics(logits, np.array([0, 1, 1, 1]), CATEGORIES)["per_class"]["lamps"]

    assert (row["precision"], row["recall"]) == (0.25, 1)
    assert row["f1"] == pytest.approx(2 * 0.25 * 1 / 1.25)


def test_the_fourth_place_is_not_among_the_first_three() -> None:
    logits = logits_ranking((1, 2, 3, 0), (1, 2, 0, 3))
    metrics = classification_metrics(logits, np.array([0, 0]), CATEGORIES)

    assert (metrics["accuracy"], metrics["accuracy_top3"]) == (0, 0.5)


def test_a_category_without_photos_or_guesses_has_zeros() -> None:
    metrics = classification_metrics(logits_ranking((0, 1, 2, 3)), np.array([0]), CATEGORIES)

    assert list(metrics["per_class"]) == list(CATEGORIES)
    assert metrics["per_class"]["ovens"] == {"precision": 0, "recall": 0, "f1": 0, "photos": 0}


def test_of_equal_logits_the_first_category_counts() -> None:
    metrics = classification_metrics(np.zeros((4, 4), np.float32), np.arange(4), CATEGORIES)

    assert (metrics["accuracy"], metrics["accuracy_top3"]) == (0.25, 0.75)


def test_figures_can_be_written_as_json() -> None:
    metrics = classification_metrics(logits_ranking((0, 1, 2, 3)), np.array([1]), CATEGORIES)

    assert json.loads(json.dumps(metrics)) == metrics


def test_photos_of_a_listing_are_guessed_together() -> None:
    # a: one photo is sure of lamps, two are a little for sofas; b: a photo, wrong.
    logits = np.array([[9, 0], [0, 1], [0, 0.5], [4, 0]], np.float32)
    labels, listings = np.array([0, 0, 0, 1]), np.array(["a", "a", "a", "b"])

    assert listing_metrics(logits, labels, listings) == {"listings": 2, "accuracy": 0.5}
