"""Makes one vector to look for of several examples. Does not know where their vectors come from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from index_service.distances import comparable
from index_service.records import Matrix, Metric
from lookalike.errors import InvalidArgumentError, NonFiniteVectorError

_NOTHING_LEFT = 1e-6


def moved(
    positives: Sequence[Matrix], negatives: Sequence[Matrix], metric: Metric, path: str
) -> Matrix:
    """Returns the positives' mean, moved away from that of the negatives by their difference.

    After Rocchio, 1971.

    Args:
        positives: At least one, float32 of shape (dimension,) each.
        negatives: Likewise, or none.
        metric: For the cosine each first has length 1.
        path: Of the examples in the request, for the error message.

    Raises:
        NonFiniteVectorError: float32 cannot hold what comes out.
        InvalidArgumentError: That has no direction, and the metric is the cosine.
    """
    mean = _mean(positives, metric)
    if negatives:
        mean = 2 * mean - _mean(negatives, metric)
    if not (np.abs(mean) <= np.finfo(np.float32).max).all():
        raise NonFiniteVectorError(f"{path} lead to a vector that float32 cannot hold", field=path)
    # Of vectors of length 1: what is left below that is what float32 rounded off.
    if metric is Metric.COSINE and np.abs(mean).max() < _NOTHING_LEFT:
        raise InvalidArgumentError(f"{path} cancel out: what is left has no direction", field=path)
    return mean.astype(np.float32)


def _mean(vectors: Sequence[Matrix], metric: Metric) -> npt.NDArray[np.float64]:
    mean: npt.NDArray[np.float64] = comparable(np.stack(vectors), metric).mean(
        axis=0, dtype=np.float64
    )
    return mean
