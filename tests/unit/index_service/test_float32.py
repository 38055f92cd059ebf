"""Bounds of the error of float32."""

from __future__ import annotations

import math

import numpy as np
import pytest

from index_service.distances import comparable, distances
from index_service.ranking.float32 import exact_lower_bound, float32_distances
from index_service.records import Metric


@pytest.mark.parametrize("metric", Metric)
@pytest.mark.parametrize("dimension", [1, 13, 512])
def test_no_exact_distance_is_below_the_bound(metric: Metric, dimension: int) -> None:
    rng = np.random.default_rng(dimension)
    vectors = comparable((rng.normal(size=(500, dimension)) + 30).astype(np.float32), metric)
    for query in comparable(vectors[:20] + np.float32(1e-3), metric):
        rough = float32_distances(vectors, query, metric).astype(np.float64)
        exact = distances(vectors, query, metric)
        longest = float(np.linalg.norm(vectors, axis=1).max())
        for near, true in zip(rough.tolist(), exact.tolist(), strict=True):
            assert exact_lower_bound(query, longest, near, metric) <= true


def test_bound_of_no_rows_is_infinite_and_that_of_an_overflow_says_nothing() -> None:
    query = np.full(2, 1e19, np.float32)
    assert exact_lower_bound(query, 1.0, math.inf, Metric.SQUARED_L2) == math.inf
    assert exact_lower_bound(query, 1.0, 5.0, Metric.SQUARED_L2) == -math.inf
    assert exact_lower_bound(query, 1.0, -math.inf, Metric.SQUARED_L2) == -math.inf
