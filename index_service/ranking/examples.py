"""Combines positive and negative examples into one query vector."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from index_service.distances import comparable
from index_service.records import Matrix, Metric
from lookalike.errors import InvalidArgumentError, NonFiniteVectorError

_MIN_NORM = 1e-6


def rocchio(
    positives: Sequence[Matrix], negatives: Sequence[Matrix], metric: Metric, path: str
) -> Matrix:
    """Returns the mean of the positives plus its difference from the mean of the negatives.

    After Rocchio, 1971.

    Args:
        positives: At least one, float32 of shape (dimension,) each.
        negatives: Likewise, or none.
        metric: For the cosine each example is first scaled to length 1.
        path: Path of the examples in the request, for the error message.

    Raises:
        NonFiniteVectorError: The result does not fit into float32.
        InvalidArgumentError: The result has no direction, and the metric is the cosine.
    """
    mean = _mean(positives, metric)
    if negatives:
        mean = 2 * mean - _mean(negatives, metric)
    if not (np.abs(mean) <= np.finfo(np.float32).max).all():
        raise NonFiniteVectorError(f"{path} lead to a vector that float32 cannot hold", field=path)
    # The examples have length 1: anything smaller than this is rounding error of float32.
    if metric is Metric.COSINE and np.abs(mean).max() < _MIN_NORM:
        raise InvalidArgumentError(f"{path} cancel out: what is left has no direction", field=path)
    return mean.astype(np.float32)


def _mean(vectors: Sequence[Matrix], metric: Metric) -> npt.NDArray[np.float64]:
    mean: npt.NDArray[np.float64] = comparable(np.stack(vectors), metric).mean(
        axis=0, dtype=np.float64
    )
    return mean
