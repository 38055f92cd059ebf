"""What photos, words and both together say of listings, calibrated: what reports are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

PHOTOS, WORDS, BOTH = "photos", "words", "words and photos"


@dataclass(frozen=True)
class Judged:
    """Listings and what is said of them, one row a listing.

    Attributes:
        classes: In the order of the logits.
        labels: Index of each true class, of shape (listings,).
        titles: Cleaned.
        pictures: File of one photo of each.
        logits: Calibrated, of shape (listings, classes), by `PHOTOS`, `WORDS` and `BOTH`.
    """

    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    titles: list[str]
    pictures: NDArray[np.str_]
    logits: dict[str, NDArray[np.float32]]

    def __len__(self) -> int:
        return len(self.labels)

    def right(self, way: str) -> NDArray[np.bool_]:
        """Returns where the first guess is right, of shape (listings,)."""
        found: NDArray[np.bool_] = self.logits[way].argmax(axis=1) == self.labels
        return found

    def shares(self, way: str) -> NDArray[np.float64]:
        """Returns the probability of each class, of shape (listings, classes)."""
        found: NDArray[np.float64] = softmax(self.logits[way].astype(np.float64), axis=1)
        return found

    def confidence(self, way: str) -> NDArray[np.float64]:
        """Returns the probability of each first guess, of shape (listings,)."""
        found: NDArray[np.float64] = self.shares(way).max(axis=1)
        return found
