"""Features in a byte a value: near enough, and the same whichever way they are added."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from index_service.native.memory.features import (
    cosine_distances,
    quantised,
    query_of,
    restored,
)


def directions(count: int, dimension: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, dimension))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@pytest.mark.parametrize("dimension", [2, 128, 129, 1000, 4096])
def test_cosines_are_those_of_the_features_within_a_hundredth(dimension: int) -> None:
    rows = directions(200, dimension)
    values, scales = quantised(rows)
    assert (values.dtype, values.shape) == (np.int8, rows.shape)
    for row in rows[:5]:
        found = cosine_distances(values, scales, query_of(row * 7))
        np.testing.assert_allclose(found, 1 - rows @ row, atol=0.01)
        assert found.argmin() == np.flatnonzero((rows == row).all(axis=1))[0]


@pytest.mark.parametrize("dimension", [3, 128, 300])
def test_a_row_is_as_near_alone_as_among_others(dimension: int) -> None:
    rows = np.repeat(directions(37, dimension), 3, axis=0)
    values, scales = quantised(rows)
    query = query_of(directions(1, dimension, seed=9)[0])
    together = cosine_distances(values, scales, query)
    alone = [cosine_distances(values[i : i + 1], scales[i : i + 1], query)[0] for i in range(111)]
    assert together.tolist() == alone
    assert (together[::3] == together[1::3]).all()


def test_row_without_features_is_at_one() -> None:
    rows = np.stack([np.zeros(4, np.float32), np.ones(4, np.float32)])
    values, scales = quantised(rows)
    assert scales[0] == 0
    found = cosine_distances(values, scales, query_of(rows[1]))
    assert found[0] == 1
    assert found[1] == pytest.approx(0, abs=1e-6)


def test_restored_features_have_length_one() -> None:
    rows = directions(50, 128) * np.float32(12)
    kept = restored(*quantised(rows))
    np.testing.assert_allclose(np.linalg.norm(kept, axis=1), 1, rtol=1e-6)
    assert (np.abs(kept * 12 - rows) < 0.03).all()


@given(arrays.arrays(np.float32, (3, 5), elements=st.floats(-(2.0**127), 2.0**127, width=32)))
def test_any_finite_features_can_be_kept(rows: np.ndarray) -> None:
    values, scales = quantised(rows)
    assert np.isfinite(scales).all()
    assert ((scales == 0) == ~rows.any(axis=1)).all()
    for row in rows[rows.any(axis=1)]:
        found = cosine_distances(values, scales, query_of(row))
        assert np.isfinite(found).all()
        assert (found >= 0).all()
        assert (found <= 2).all()


def test_collection_without_features_has_none() -> None:
    values, scales = quantised(np.empty((3, 0), np.float32))
    assert values.shape == (3, 0)
    assert scales.tolist() == [0, 0, 0]
