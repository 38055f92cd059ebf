"""Vectors of several photos of one thing."""

from __future__ import annotations

from array import array

import numpy as np
import pytest

from gateway.listings import PhotoVector
from gateway.vectors import compact, mean, mean_features
from lookalike.errors import UpstreamUnavailableError


def photo(values: tuple[float, ...], *features: float, space: str = "space") -> PhotoVector:
    return PhotoVector(values, space, compact(features))


def test_features_take_four_bytes_each_and_nothing_where_there_are_none() -> None:
    kept = compact([0.25] * 128)
    assert isinstance(kept, array)
    assert kept.itemsize * len(kept) == 512
    assert compact([]) == ()


def test_mean_of_vectors_is_that_of_each_value() -> None:
    found = mean([photo((1.0, 2.0), 1.0), photo((3.0, 6.0), 1.0)])
    assert (list(found.values), found.embedding_space) == ([2.0, 4.0], "space")
    alone = photo((1.0,), 0.5)
    assert mean([alone]) is alone


def test_vectors_of_two_models_have_no_mean() -> None:
    with pytest.raises(UpstreamUnavailableError) as caught:
        mean([photo((1.0,)), photo((1.0,), space="other")])
    assert caught.value.retry_after_ms


def test_mean_of_features_is_of_their_directions() -> None:
    long, short = photo((0.0,), 30.0, 0.0), photo((0.0,), 0.0, 0.2)
    assert list(mean_features([long, short])) == [0.5, 0.5]
    assert list(mean_features([long, photo((0.0,), 0.0, 0.0)])) == [0.5, 0.0]


def test_features_of_one_photo_are_sent_as_they_are() -> None:
    alone = photo((0.0,), 3.0, 4.0)
    assert mean_features([alone]) is alone.features


def test_photos_of_which_one_has_no_features_have_none_together() -> None:
    assert list(mean_features([photo((0.0,), 1.0), photo((0.0,))])) == []
    assert list(mean_features([photo((0.0,))])) == []


def test_mean_of_many_is_what_arithmetic_in_float64_gives() -> None:
    rows = np.random.default_rng(1).normal(size=(16, 128)).astype(np.float32)
    photos = [photo((0.0,), *row.tolist()) for row in rows]
    exact = rows.astype(np.float64)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    assert np.allclose(mean_features(photos), exact.mean(axis=0), atol=1e-7)
