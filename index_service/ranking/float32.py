"""Distances in float32, and bounds of how far they can be from the exact ones."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from index_service.records import Matrix, Metric

_FLOAT32 = np.finfo(np.float32)
_EPSILON, _TINY, _GREATEST = (float(x) for x in (_FLOAT32.eps, _FLOAT32.tiny, _FLOAT32.max))


def float32_distances(vectors: Matrix, query: Matrix, metric: Metric) -> npt.NDArray[np.float32]:
    """Returns distances computed by matrix products; NaN or infinite where float32 overflows.

    Args:
        vectors: float32 (n, dimension), comparable.
        query: float32 (dimension,), comparable.
        metric: Metric of the distances.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        products: npt.NDArray[np.float32] = vectors @ query
        if metric is not Metric.SQUARED_L2:
            return (1 if metric is Metric.COSINE else 0) - products
        products *= -2
        products += np.einsum("ij,ij->i", vectors, vectors)
        products += query @ query
        return products


def float32_error(query: Matrix, longest: float, distance: float, metric: Metric) -> float:
    """Bounds by how much float32 can overestimate the distance of a row at most `distance` away.

    A dot product of d terms errs by less than d·u·|x||y|, u being half of epsilon (Higham,
    Accuracy and Stability of Numerical Algorithms, 3.1). FAISS takes squared L2 of a batch from
    |x|² + |y|² − 2xy, which errs by about d·u·(|x| + |y|)²; and |x| is at most |y| + √distance.
    Doubled to be safe.

    Args:
        query: float32 (dimension,).
        longest: Length of the longest vector that it is compared with; 1 for the cosine.
        distance: An exact distance.
        metric: Metric of the distance.
    """
    length = 1.0 if metric is Metric.COSINE else math.hypot(*query.tolist())
    if (length + longest) ** 2 > _GREATEST / 4:
        return math.inf  # float32 overflows: only a comparison of all rows will do
    unit = (len(query) + 4) * _EPSILON
    if metric is Metric.SQUARED_L2:
        error = unit * (2 * length + math.sqrt(max(distance, 0.0))) ** 2
    else:
        error = 4 * unit * length * longest  # 4: scaling to length 1 errs as well
    return error + len(query) * _TINY


def exact_lower_bound(query: Matrix, longest: float, float32_bound: float, metric: Metric) -> float:
    """Returns a lower bound of the exact distances of rows, given one of their float32 distances.

    Args:
        query: float32 (dimension,).
        longest: Length of the longest of the rows; 1 for the cosine.
        float32_bound: No row is nearer than this by float32; infinite if there are no rows.
        metric: Metric of the distances.
    """
    if float32_bound == math.inf:
        return math.inf
    error = float32_error(query, longest, max(float32_bound, 0.0), metric)
    return float32_bound - error if error < math.inf else -math.inf
