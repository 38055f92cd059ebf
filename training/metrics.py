"""Classification metrics from logits and labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def classification_metrics(
    logits: NDArray[np.float32], labels: NDArray[np.int64], categories: Sequence[str]
) -> dict[str, Any]:
    """Returns top-1 and top-3 accuracy, and precision, recall and F1 of each category.

    Args:
        logits: float32 of shape (photos, categories).
        labels: int of shape (photos,).
        categories: Names in the order of the logits.
    """
    ranked = np.argsort(-logits, axis=1, kind="stable")
    predicted = ranked[:, 0]
    per_class = {}
    for index, category in enumerate(categories):
        hits = int(((predicted == index) & (labels == index)).sum())
        guesses, photos = int((predicted == index).sum()), int((labels == index).sum())
        per_class[category] = {
            "precision": _ratio(hits, guesses),
            "recall": _ratio(hits, photos),
            "f1": _ratio(2 * hits, guesses + photos),
            "photos": photos,
        }
    return {
        "photos": len(labels),
        "accuracy": float((predicted == labels).mean()),
        "accuracy_top3": float((ranked[:, :3] == labels[:, None]).any(axis=1).mean()),
        "per_class": per_class,
    }


def listing_metrics(
    logits: NDArray[np.float32], labels: NDArray[np.int64], listings: NDArray[np.str_]
) -> dict[str, Any]:
    """Returns the accuracy of predictions from all photos of a listing together.

    Serving takes the category of the highest mean log-probability. That is also the one of the
    highest mean logit, whatever the temperature: a photo's normaliser is the same for all
    categories.

    Args:
        logits: float32 of shape (photos, categories).
        labels: int of shape (photos,), the same for photos of one listing.
        listings: The listing of each photo.
    """
    _, first, group = np.unique(listings, return_index=True, return_inverse=True)
    sums = np.zeros((len(first), logits.shape[1]))
    np.add.at(sums, group, logits)
    right = sums.argmax(axis=1) == labels[first]
    return {"listings": len(first), "accuracy": float(right.mean())}


def mean_by_listing(right: NDArray[np.bool_], listings: NDArray[np.str_]) -> float:
    """Returns the mean over listings of what holds of their photos, one by one.

    Args:
        right: Of each photo, of shape (photos,).
        listings: The listing of each photo.
    """
    _, group = np.unique(listings, return_inverse=True)
    return float((np.bincount(group, right) / np.bincount(group)).mean())


def _ratio(part: int, whole: int) -> float:
    """Returns part / whole; 0 if whole is 0."""
    return part / whole if whole else 0.0
