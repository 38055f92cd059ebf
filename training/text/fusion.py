"""Photos and words together: a weighted sum of their logits.

A sum of logits multiplies what both towers say (a product of experts, Hinton 2002). Both weights
are fitted to the likelihood of validation listings, which calibrates the sum too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

Logits = NDArray[np.float32]


@dataclass(frozen=True)
class Fusion:
    """What logits count; 1 / temperature for one tower alone.

    Attributes:
        photos: The mean logits of a listing's photos.
        words: The logits of its words.
    """

    photos: float
    words: float

    def __call__(self, photos: Logits, words: Logits) -> Logits:
        """Returns calibrated logits of both, of shape (listings, categories)."""
        both: Logits = (self.photos * photos + self.words * words).astype(np.float32)
        return both


def fit_fusion(photos: Logits, words: Logits, labels: NDArray[np.int64]) -> Fusion:
    """Returns the weights of maximum likelihood; fit them on validation listings.

    Args:
        photos: float32 of shape (listings, categories).
        words: Likewise.
        labels: int of shape (listings,).
    """
    rows = np.arange(len(labels))

    def surprise(logs: NDArray[np.float64]) -> float:
        scores = np.exp(logs[0]) * photos.astype(np.float64) + np.exp(logs[1]) * words
        return float((logsumexp(scores, axis=1) - scores[rows, labels]).mean())

    found = minimize(surprise, np.zeros(2), method="L-BFGS-B", bounds=[(-4, 3)] * 2).x
    return Fusion(float(np.exp(found[0])), float(np.exp(found[1])))
