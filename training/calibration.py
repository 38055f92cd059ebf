"""Whether a confidence of 80 % is right four times in five, and what makes it so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp, softmax

BINS = 15


@dataclass(frozen=True)
class Calibration:
    """Photos, or pairs of them, grouped by what was said of them; arrays have one value a bin."""

    confidence: NDArray[np.float64]  # mean confidence, NaN for a bin without photos
    accuracy: NDArray[np.float64]  # share that was right, NaN likewise
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
        temperature: What logits are divided by.
    """
    probabilities = softmax(logits.astype(np.float64) / temperature, axis=1)
    top = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    return reliability(top, right)


def reliability(said: NDArray[np.float64], right: NDArray[np.bool_]) -> Calibration:
    """Measures how far what was said to be likely is right as often, in 15 bins of equal width.

    Args:
        said: Probabilities, of shape (any number,).
        right: What came true, of the same shape.
    """
    bins = np.minimum((said * BINS).astype(int), BINS - 1)
    photos = np.bincount(bins, minlength=BINS)
    with np.errstate(invalid="ignore"):  # 0/0: a bin without photos
        confidence = np.bincount(bins, said, BINS) / photos
        accuracy = np.bincount(bins, right, BINS) / photos
    gaps = np.nan_to_num(np.abs(confidence - accuracy)) * photos
    return Calibration(confidence, accuracy, photos, float(gaps.sum() / max(1, photos.sum())))


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Returns the temperature under which the labels are likeliest; fit it on validation photos."""
    scores = logits.astype(np.float64)
    chosen = scores[np.arange(len(labels)), labels]

    def surprise(log_temperature: float) -> float:
        factor = np.exp(-log_temperature)
        return float((logsumexp(scores * factor, axis=1) - chosen * factor).mean())

    return float(np.exp(minimize_scalar(surprise, bounds=(-3, 3), method="bounded").x))
