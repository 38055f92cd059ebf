"""Distances between vectors: exact ones in float64, and how far float32 can be from them."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from index_service.native.memory.columns import lengths
from index_service.records import Matrix, Metric

Distances = npt.NDArray[np.float64]

_FLOAT32 = np.finfo(np.float32)
_EPSILON, _TINY, _GREATEST = (float(x) for x in (_FLOAT32.eps, _FLOAT32.tiny, _FLOAT32.max))


def distances(vectors: Matrix, queries: Matrix, metric: Metric) -> Distances:
    """Returns squared L2, one minus the cosine (0 to 2), or the negative inner product.

    Args:
        vectors: float32 of shape (..., dimension).
        queries: float32 of a shape that broadcasts with it.
        metric: Which.
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


def float32_error(query: Matrix, longest: float, bound: float, metric: Metric) -> float:
    """Bounds by how much FAISS can overrate a row that is no farther than `bound`.

    A dot product of d terms errs by less than d·u·|x||y|, u being half of epsilon (Higham,
    Accuracy and Stability of Numerical Algorithms, 3.1). FAISS takes squared L2 of a batch from
    |x|² + |y|² − 2xy, which errs by about d·u·(|x| + |y|)²; and |x| is at most |y| + √distance.
    Doubled to be safe.

    Args:
        query: float32 (dimension,), comparable.
        longest: Length of the longest vector that it is compared with.
        bound: An exact distance.
        metric: Of the distance.
    """
    length = 1.0 if metric is Metric.COSINE else math.hypot(*query.tolist())
    if (length + longest) ** 2 > _GREATEST / 4:
        return math.inf  # float32 overflows: only a comparison of all rows will do
    unit = (len(query) + 4) * _EPSILON
    if metric is Metric.SQUARED_L2:
        error = unit * (2 * length + math.sqrt(max(bound, 0.0))) ** 2
    else:
        error = 4 * unit * length * longest  # 4: scaling to length 1 errs as well
    return error + len(query) * _TINY
