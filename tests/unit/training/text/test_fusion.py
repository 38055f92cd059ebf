"""Photos, words or both are one model, calibrated in each of the three cases."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from training.calibration import calibration
from training.text.fusion import Fusion, fit_fusion

COUNT = 4000
CLASSES = 13


@pytest.fixture(scope="module")
def told() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits of photos that tell little, of words that tell more than they are sure of, labels."""
    dice = np.random.default_rng(7)
    labels = dice.integers(0, CLASSES, COUNT)
    truth = np.eye(CLASSES)[labels]

    def says(strength: float, sureness: float) -> np.ndarray:
        noise = dice.normal(0, 1, truth.shape)
        return (sureness * strength * (strength * truth + noise)).astype(np.float32)

    return says(1, 2), says(2, 0.5), labels


def test_each_case_is_calibrated(told: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    photos, words, labels = told
    half = COUNT // 2
    fusion = fit_fusion(photos[:half], words[:half], labels[:half])
    # Of logits with noise of a unit's deviation, these are the likelihood's.
    assert dataclasses.astuple(fusion) == pytest.approx((0.5, 2, 0.5, 2), rel=0.15)
    accuracies = []
    for logits in (
        fusion(photos[half:], None),
        fusion(None, words[half:]),
        fusion(photos[half:], words[half:]),
    ):
        assert calibration(logits, labels[half:]).error < 0.03
        accuracies.append((logits.argmax(axis=1) == labels[half:]).mean())
    assert accuracies == sorted(accuracies)


def test_what_both_say_alike_counts_less_together_than_alone(
    told: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    words, labels = told[1:]
    fusion = fit_fusion(words, words, labels)
    assert fusion.photos + fusion.words == pytest.approx(fusion.words_alone, rel=0.01)
    assert fusion.photos < 0.8 * fusion.photos_alone


def test_few_listings_told_right_make_nobody_sure_of_anything() -> None:
    labels = np.arange(52) % CLASSES
    right = np.eye(CLASSES, dtype=np.float32)[labels]
    fusion = fit_fusion(right, right, labels)
    for logits in (fusion(right, None), fusion(None, right), fusion(right, right)):
        sure = np.exp(logits[0]) / np.exp(logits[0]).sum()
        assert sure.max() == pytest.approx(1 - 12 / 13 / 54, abs=1e-3)


def test_a_fusion_is_four_numbers_of_json() -> None:
    fusion = Fusion(1.5, 0.5, 0.25, 2.0)
    again = Fusion(**json.loads(json.dumps(dataclasses.asdict(fusion))))
    assert again == fusion
    one = np.ones((1, CLASSES), np.float32)
    assert again(one, 2 * one).tolist() == [[4.25] * CLASSES]
    assert again(one, 2 * one).dtype == np.float32


def test_without_photos_and_words_nothing_is_told() -> None:
    with pytest.raises(ValueError, match="neither photos nor words"):
        Fusion(1, 1, 1, 1)(None, None)
