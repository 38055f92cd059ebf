"""Compacts vectors, and computes means and mixes of several."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence

import numpy as np

from gateway.listings import PhotoVector
from lookalike.errors import UpstreamUnavailableError


def compact(features: Iterable[float]) -> Sequence[float]:
    """Returns features as an array of float32, four bytes each; an empty tuple for none."""
    return array("f", features) or ()


def least(vectors: Sequence[PhotoVector]) -> PhotoVector:
    """Returns a vector with features only if all of them have features."""
    return next((vector for vector in vectors if not vector.features), vectors[0])


def mean(vectors: Sequence[PhotoVector]) -> PhotoVector:
    """Returns the mean of vectors, without features, which `mean_features` returns.

    A single vector is returned as it is.

    Raises:
        UpstreamUnavailableError: The vectors come from several models.
    """
    if len(vectors) == 1:
        return vectors[0]
    if len({vector.embedding_space for vector in vectors}) > 1:
        raise UpstreamUnavailableError(
            "the embedders changed their model during the request; retry", retry_after_ms=100
        )
    columns = zip(*(vector.values for vector in vectors), strict=True)
    values = [math.fsum(column) / len(vectors) for column in columns]
    return PhotoVector(values, vectors[0].embedding_space)


def mean_features(vectors: Sequence[PhotoVector]) -> Sequence[float]:
    """Returns the mean of vectors' features, each scaled to length 1 first unless it is zero.

    The features of a single vector are returned as they are. Empty unless all have features.
    """
    rows = [vector.features for vector in vectors]
    if len(rows) == 1 or not all(rows):
        return rows[0] if all(rows) else ()
    matrix = np.array(rows, np.float64)
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    directions = matrix / np.where(lengths > 0, lengths, 1)
    return array("f", directions.mean(axis=0).astype(np.float32).tobytes())


def mixed(
    vectors: Sequence[PhotoVector], weights: Sequence[float], *, by_features: bool
) -> PhotoVector:
    """Returns one vector for things of which each leads towards it or away from it.

    Features are the weighted sum of directions, as in Marqo's weighted queries. The values are the
    weighted mean of what leads towards it, as they only choose candidates; where listings are
    ranked by them, that mean is moved away from what leads away (after Rocchio, 1971).

    Args:
        vectors: Of the things.
        weights: Of each; at least one is above 0.
        by_features: Whether listings are ranked by features, which all vectors must have then.

    Raises:
        UpstreamUnavailableError: The vectors come from several models.
    """
    mean(vectors)  # raises if models differ
    rows = np.array([vector.values for vector in vectors], np.float64)
    factors = np.array(weights, np.float64)
    towards = np.clip(factors, 0, None)
    values = towards @ rows / towards.sum()
    space = vectors[0].embedding_space
    if not by_features:
        away = np.clip(-factors, 0, None)
        return PhotoVector((values + away @ (values - rows) / towards.sum()).tolist(), space)
    matrix = np.array([vector.features for vector in vectors], np.float64)
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    direction = factors @ (matrix / np.where(lengths > 0, lengths, 1))
    return PhotoVector(values.tolist(), space, compact(direction.astype(np.float32).tolist()))
