"""Calibration, against cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from training.calibration import BINS, calibration, fit_temperature


def calibrated(photos: int, categories: int = 4) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Logits, and labels drawn from the probabilities that these logits claim."""
    generator = np.random.default_rng(5)
    logits = generator.normal(scale=2, size=(photos, categories)).astype(np.float32)
    drawn = logits + generator.gumbel(size=logits.shape)  # the Gumbel-max trick
    return logits, drawn.argmax(axis=1)


def test_sure_and_always_right_is_no_error_and_always_wrong_is_all() -> None:
    sure = np.full((10, 3), -50, np.float32)
    sure[:, 1] = 50

    assert calibration(sure, np.ones(10, np.int64)).error == pytest.approx(0, abs=1e-6)
    assert calibration(sure, np.zeros(10, np.int64)).error == pytest.approx(1, abs=1e-6)


def test_the_error_is_the_mean_gap_weighted_by_photos() -> None:
    # Three photos at 0.9, of which one is right; one at 0.5 that is right.
    logits = np.log(np.array([[0.9, 0.1]] * 3 + [[0.5, 0.5]], np.float32))
    measured = calibration(logits, np.array([0, 1, 1, 0]))

    assert measured.error == pytest.approx((3 * (0.9 - 1 / 3) + 1 * (1 - 0.5)) / 4, abs=1e-5)
    assert measured.photos.sum() == 4
    assert np.isnan(measured.accuracy[measured.photos == 0]).all()
    assert len(measured.photos) == BINS


@pytest.mark.parametrize("factor", [0.25, 1.0, 4.0])
def test_the_temperature_found_undoes_too_much_and_too_little_confidence(factor: float) -> None:
    logits, labels = calibrated(20_000)
    temperature = fit_temperature(logits * factor, labels)

    assert temperature == pytest.approx(factor, rel=0.05)
    assert calibration(logits * factor, labels, temperature).error < 0.01


def test_without_a_photo_there_is_no_error() -> None:
    nothing = calibration(np.zeros((0, 3), np.float32), np.zeros(0, np.int64))

    assert nothing.error == 0
