"""Calibration of confidences: expected calibration error and temperature scaling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

BINS = 15


@dataclass(frozen=True)
class Calibration:
    """Predictions grouped by confidence; arrays have one value per bin."""

    confidence: NDArray[np.float64]  # mean confidence, NaN for a bin without photos
    accuracy: NDArray[np.float64]  # share of correct predictions, NaN for an empty bin
    photos: NDArray[np.int64]
    error: float  # expected calibration error, 0 to 1


def calibration(
    logits: NDArray[np.float32], labels: NDArray[np.int64], temperature: float = 1.0
) -> Calibration:
    """Measures the expected calibration error in 15 bins of equal width.

    As in Guo et al. 2017, "On Calibration of Modern Neural Networks" (arXiv:1706.04599).

    Args:
        logits: float32 of shape (photos, categories).
        labels: int of shape (photos,).
        temperature: Divides the logits.
    """
    probabilities = softmax(logits.astype(np.float64) / temperature, axis=1)
    top = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    return reliability(top, right)


def reliability(said: NDArray[np.float64], right: NDArray[np.bool_]) -> Calibration:
    """Compares predicted probabilities with observed frequencies, in 15 bins of equal width.

    Args:
        said: Predicted probabilities, of shape (predictions,).
        right: Outcomes, of the same shape.
    """
    bins = np.minimum((said * BINS).astype(int), BINS - 1)
    photos = np.bincount(bins, minlength=BINS)
    with np.errstate(invalid="ignore"):  # 0/0: a bin without photos
        confidence = np.bincount(bins, said, BINS) / photos
        accuracy = np.bincount(bins, right, BINS) / photos
    gaps = np.nan_to_num(np.abs(confidence - accuracy)) * photos
    return Calibration(confidence, accuracy, photos, float(gaps.sum() / max(1, photos.sum())))


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Returns the temperature of maximum likelihood; fit it on validation photos."""
    (weight,) = likeliest_weights([logits], labels)
    return 1 / weight


def likeliest_weights(
    logits: Sequence[NDArray[np.float32]], labels: NDArray[np.int64]
) -> list[float]:
    """Returns the positive factors of several logits whose sum is the likeliest.

    One label in n + 2 is taken for a guess (Platt, 1999, there of two classes): a few listings
    that are all told right would otherwise make the model sure of anything.

    Args:
        logits: Each float32 of shape (n, categories).
        labels: int of shape (n,).
    """
    rows = np.arange(len(labels))
    known = np.stack(logits).astype(np.float64)
    guessed = 1 / (len(labels) + 2)

    def surprise(logs: NDArray[np.float64]) -> float:
        scores = np.tensordot(np.exp(logs), known, axes=1)
        told = (1 - guessed) * scores[rows, labels] + guessed * scores.mean(axis=1)
        return float((logsumexp(scores, axis=1) - told).mean())

    count = len(logits)
    found = minimize(surprise, np.zeros(count), method="L-BFGS-B", bounds=[(-4, 3)] * count).x
    return np.exp(found).tolist()  # type: ignore[no-any-return]
