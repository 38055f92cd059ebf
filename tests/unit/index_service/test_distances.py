"""Vectors as they are compared."""

from __future__ import annotations

import numpy as np
import pytest

from index_service.distances import comparable
from index_service.records import Metric


@pytest.mark.parametrize("scale", [2.0**-140, 1.0, 2.0**124])
def test_vectors_for_the_cosine_have_length_1_however_long_they_were(scale: float) -> None:
    vectors = (np.array([[3, 4], [-1, 0]]) * scale).astype(np.float32)
    expected = np.array([[0.6, 0.8], [-1.0, 0.0]])
    np.testing.assert_allclose(comparable(vectors, Metric.COSINE), expected, rtol=1e-6)
    assert comparable(vectors, Metric.SQUARED_L2) is vectors
    assert comparable(vectors[0], Metric.COSINE).shape == (2,)
