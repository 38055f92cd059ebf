"""Exact distances between vectors, in float64, and the lengths that cosines need."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from index_service.records import Matrix, Metric

Distances: TypeAlias = npt.NDArray[np.float64]


def distances(vectors: Matrix, queries: Matrix, metric: Metric) -> Distances:
    """Returns squared L2, one minus the cosine (0 to 2), or the negative inner product.

    Args:
        vectors: float32 of shape (..., dimension).
        queries: float32 of a shape that broadcasts with it.
        metric: How distance is measured.
    """
    rows, target = vectors.astype(np.float64), queries.astype(np.float64)
    # `sum` adds every row in the same order, so equal vectors are at equal distances; neither
    # `einsum` nor a matrix product promises that.
    if metric is Metric.SQUARED_L2:
        rows -= target
        np.square(rows, out=rows)
        squared: Distances = rows.sum(axis=-1)
        return squared
    products: Distances = (rows * target).sum(axis=-1)
    if metric is Metric.INNER_PRODUCT:
        return -products
    return np.clip(1 - products / (lengths(rows) * lengths(target)), 0, 2)


def comparable(vectors: Matrix, metric: Metric) -> Matrix:
    """Returns the vectors, scaled to length 1 for the cosine, which is then an inner product."""
    if metric is not Metric.COSINE:
        return vectors
    return (vectors / lengths(vectors)[..., None]).astype(np.float32)


def lengths(vectors: npt.NDArray[np.float32 | np.float64]) -> npt.NDArray[np.float64]:
    """Returns the Euclidean lengths along the last axis; float32 would overflow in the squares."""
    found: npt.NDArray[np.float64] = np.sqrt(np.square(vectors.astype(np.float64)).sum(axis=-1))
    return found
