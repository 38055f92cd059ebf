"""Assigns photos to the train, validation and test splits.

By listing, no listing and no file is in two splits. By image, photos are assigned one by one, as in
earlier work on such data: most test photos then have a sibling in the training split, which
flatters the figures.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from training.errors import TrainingError

SPLITS = ("train", "validation", "test")
SPLIT_BY = ("listing", "image")

Parts = tuple[int, int, int]
PARTS: Parts = (70, 15, 15)


def assign_splits(
    photos: pd.DataFrame, *, seed: int, by: str = "listing", parts: Parts = PARTS
) -> pd.Series:
    """Returns the split of each photo.

    Args:
        photos: Columns product_id and sha256.
        seed: Seed of the shuffle.
        by: `listing`: photos of one listing and copies of one file share a split; or `image`.
        parts: Shares of train, validation and test, of any sum.
    """
    check_rule(by, parts)
    if by == "listing":
        groups = _connected(photos["product_id"], photos["sha256"])
    else:
        groups = np.arange(len(photos))
    order = np.random.default_rng(seed).permutation(groups.max(initial=-1) + 1)
    ends = np.cumsum([round(part / sum(parts) * len(order)) for part in parts[:2]])
    side = np.empty(len(order), dtype=int)
    side[order] = np.searchsorted(ends, np.arange(len(order)), side="right")
    return pd.Series(np.array(SPLITS)[side[groups]], index=photos.index)


def check_rule(by: str, parts: Parts) -> None:
    """Raises TrainingError for an invalid rule or shares."""
    if by not in SPLIT_BY:
        raise TrainingError(f"split-by is {by}; it must be {' or '.join(SPLIT_BY)}")
    if min(parts) < 0 or parts[0] == 0:
        shown = "/".join(str(part) for part in parts)
        raise TrainingError(
            f"split is {shown}; its parts must be at least 0, and the first above 0, like 70/15/15"
        )


def _connected(*keys: pd.Series) -> np.ndarray:
    """Returns the group number of each row; rows that share any key share a group."""
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
