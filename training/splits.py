"""Which photos train, which choose, which judge. No listing and no file stands on two sides."""

from __future__ import annotations

import numpy as np
import pandas as pd

SPLITS = ("train", "validation", "test")


def assign_splits(
    photos: pd.DataFrame, *, seed: int, fractions: tuple[float, float, float] = (0.70, 0.15, 0.15)
) -> pd.Series:
    """Returns the split of each photo.

    Args:
        photos: Columns product_id and sha256. Photos with either in common share a split.
        seed: Of the shuffle.
        fractions: Shares of train, validation and test, of the groups; they add up to 1.
    """
    groups = _connected(photos["product_id"], photos["sha256"])
    order = np.random.default_rng(seed).permutation(groups.max(initial=-1) + 1)
    ends = np.cumsum([round(fraction * len(order)) for fraction in fractions[:2]])
    side = np.empty(len(order), dtype=int)
    side[order] = np.searchsorted(ends, np.arange(len(order)), side="right")
    return pd.Series(np.array(SPLITS)[side[groups]], index=photos.index)


def _connected(*keys: pd.Series) -> np.ndarray:
    """Returns the number of each row's group, where rows that share any key share a group."""
    parents: dict[tuple[int, str], tuple[int, str]] = {}

    def root(node: tuple[int, str]) -> tuple[int, str]:
        while parents.setdefault(node, node) != node:
            parents[node] = node = parents[parents[node]]
        return node

    rows = list(zip(*keys, strict=True))
    for row in rows:
        first, *others = enumerate(row)
        for other in others:
            parents[root(other)] = root(first)
    numbers: dict[tuple[int, str], int] = {}
    return np.array([numbers.setdefault(root((0, row[0])), len(numbers)) for row in rows], int)
