"""Photos and words together: one small model of what both towers say, whichever of them spoke.

A sum of logits multiplies what both towers say (a product of experts, Hinton 2002). Each of the
three cases has weights of its own, fitted to the likelihood of validation listings: what was
calibrated alone is too sure of itself together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.calibration import likeliest_weights

Logits = NDArray[np.float32]


@dataclass(frozen=True)
class Fusion:
    """What logits are multiplied by, in each of the three cases.

    Attributes:
        photos_alone: Of a listing's photos, their mean, where it has no words.
        words_alone: Of its words, where it has no photo.
        photos: Of its photos, where it has both.
        words: Of its words, where it has both.
    """

    photos_alone: float
    words_alone: float
    photos: float
    words: float

    def __call__(self, photos: Logits | None, words: Logits | None) -> Logits:
        """Returns calibrated logits, of shape (listings, categories).

        Args:
            photos: The mean logits of each listing's photos; None without photos.
            words: The logits of its words; None without words.

        Raises:
            ValueError: There is neither.
        """
        if photos is not None and words is not None:
            return np.float32(self.photos) * photos + np.float32(self.words) * words
        if photos is not None:
            return np.float32(self.photos_alone) * photos
        if words is not None:
            return np.float32(self.words_alone) * words
        raise ValueError("there are neither photos nor words to tell a category by")


def fit_fusion(photos: Logits, words: Logits, labels: NDArray[np.int64]) -> Fusion:
    """Returns the weights of maximum likelihood; fit them on validation listings.

    Args:
        photos: float32 of shape (listings, categories).
        words: Likewise.
        labels: int of shape (listings,).
    """
    (photos_alone,), (words_alone,) = (
        likeliest_weights([photos], labels),
        likeliest_weights([words], labels),
    )
    return Fusion(photos_alone, words_alone, *likeliest_weights([photos, words], labels))
