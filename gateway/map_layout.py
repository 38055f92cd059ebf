"""Projects vectors onto a plane: by principal components, or by t-SNE so that near ones stay near.

Pure functions of arrays: the same arrays give the same places.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Single: TypeAlias = NDArray[np.float32]
Double: TypeAlias = NDArray[np.float64]

# With fewer photos, neighbourhoods mean little.
MIN_NEIGHBORS = 8
# How much the default output counts beside the features, as a share of its mean distance. Features
# tell items apart, and the default output tells categories apart. Of 2,000 photos that no training
# saw, a quarter keeps as many listings together as features alone (0.66 have their listing's other
# photo among the 5 nearest), and more categories (0.45 of the 5 nearest are of the same, not 0.42).
CATEGORY_SHARE = 0.25

_PERPLEXITY = 10.0
_NEIGHBORS = 20
_STEPS = 150
_EARLY_STEPS = 50
_EXAGGERATION = 12.0
_ROWS = 128  # so that a block of repulsions stays in a core's cache


def project(vectors: Double) -> tuple[Double, float]:
    """Lays vectors out by principal component analysis.

    Logits are centred photo by photo first, since their common level says nothing about the
    category.

    Args:
        vectors: Shape (photos, dimensions), at least one of each.

    Returns:
        Places of shape (photos, 2), each coordinate 0 to 1, and the share of the variance that
        they explain. The signs of the directions are fixed, so that one sample has one map.
    """
    levelled = vectors - vectors.mean(axis=1, keepdims=True)
    centred = levelled - levelled.mean(axis=0)
    # float64 and at most 2,000 × 13: an SVD of a millisecond or two.
    _, strengths, directions = np.linalg.svd(centred, full_matrices=False)
    axes = np.zeros((2, vectors.shape[1]))
    axes[: min(2, len(directions))] = directions[:2]
    signs = np.sign(axes[np.arange(2), np.abs(axes).argmax(axis=1)])
    places = centred @ (axes * np.where(signs == 0, 1, signs)[:, None]).T
    total = float((strengths**2).sum())
    return _in_square(places), float((strengths[:2] ** 2).sum()) / total if total else 0.0


def place_neighbors(features: Double, vectors: Double) -> tuple[Double, float]:
    """Lays photos out by t-SNE, so that photos that look alike are near each other.

    van der Maaten and Hinton, Visualizing Data using t-SNE, JMLR 9, 2008; only the nearest attract
    each other (van der Maaten, Accelerating t-SNE using Tree-Based Algorithms, JMLR 15, 2014), all
    repel each other. It starts from the principal components, which keeps categories in place and
    needs no random numbers (Kobak and Berens, The art of using t-SNE, Nature Communications 10,
    2019), with the learning rate of Belkina et al. (Automated optimized parameters, ibid.). 2,000
    photos take some 1.5 s of a core.

    Args:
        features: Shape (photos, dimensions), at least MIN_NEIGHBORS photos.
        vectors: Of the same photos, the model's default output.

    Returns:
        Places of shape (photos, 2), each coordinate 0 to 1, and the share of each photo's 10
        nearest that are among its 10 nearest on the plane.
    """
    distances = _distances(features, vectors)
    count = len(distances)
    near = _nearest(distances, min(_NEIGHBORS, count - 1))
    weights = _weights(np.take_along_axis(distances, near, axis=1).astype(np.float64))
    start, _ = project(vectors)
    spread = float(start[:, 0].std()) or 1.0
    places = _attract_and_repel(((start - 0.5) * 1e-4 / spread).astype(np.float32), near, weights)
    found = _nearest(_squared(places), min(10, count - 1))
    wanted = near[:, : found.shape[1]]
    kept = (found[:, :, None] == wanted[:, None, :]).any(axis=2).mean()
    return _in_square(places.astype(np.float64)), float(kept)


def _attract_and_repel(places: Single, near: NDArray[np.intp], weights: Double) -> Single:
    """Descends the gradient of t-SNE, with the gains and momenta of its authors."""
    count, neighbors = near.shape
    left, right = np.repeat(np.arange(count), neighbors), near.ravel()
    # An edge pulls at both of its ends.
    here, there = np.concatenate([left, right]), np.concatenate([right, left])
    pulls = np.tile(weights.ravel() / (2 * count), 2)
    velocity, gains = np.zeros_like(places), np.ones_like(places)
    for step in range(_STEPS):
        early = step < _EARLY_STEPS
        exaggeration, momentum = (_EXAGGERATION, 0.5) if early else (1.0, 0.8)
        apart = places[here] - places[there]
        pull = pulls / (1 + np.einsum("ij,ij->i", apart, apart))
        attraction = np.stack([np.bincount(here, pull * axis, count) for axis in apart.T], axis=1)
        gradient = 4 * (exaggeration * attraction - _repulsion(places)).astype(np.float32)
        gains = np.where(gradient * velocity > 0, gains * 0.8, gains + 0.2).clip(0.01)
        velocity = momentum * velocity - count / _EXAGGERATION * gains * gradient
        places = (places + velocity).astype(np.float32)
    return places


def _repulsion(places: Single) -> Single:
    """Returns the exact repulsion of each point by all others, a block of rows at a time."""
    pushed = np.empty_like(places)
    total = -float(len(places))  # leaves out each point's repulsion of itself
    for start in range(0, len(places), _ROWS):
        rows = slice(start, start + _ROWS)
        closeness = np.reciprocal(1 + _squared(places, rows))
        total += float(closeness.sum())
        closeness *= closeness
        pushed[rows] = places[rows] * closeness.sum(axis=1)[:, None] - closeness @ places
    return pushed / np.float32(max(total, 1e-12))


def _distances(features: Double, vectors: Double) -> Single:
    """Returns cosine distances of features plus weighted squared distances of vectors."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    units = (features / np.where(lengths == 0, 1, lengths)).astype(np.float32)
    apart = _squared((vectors - vectors.mean(axis=1, keepdims=True)).astype(np.float32))
    mean = float(apart.mean())
    if mean:
        apart *= CATEGORY_SHARE / mean
    apart += 1 - units @ units.T
    return np.maximum(apart, 0)


def _squared(points: Single, rows: slice = slice(None)) -> Single:
    """Returns the squared distances from some points to all points."""
    lengths = np.einsum("ij,ij->i", points, points)
    apart: Single = points[rows] @ (-2 * points.T)
    apart += lengths
    apart += lengths[rows, None]
    return np.maximum(apart, 0, out=apart)


def _nearest(distances: Single, count: int) -> NDArray[np.intp]:
    """Returns the indices of each row's nearest neighbours, nearest first, itself left out."""
    np.fill_diagonal(distances, np.inf)
    near = np.argpartition(distances, count - 1, axis=1)[:, :count]
    order = np.argsort(np.take_along_axis(distances, near, axis=1), axis=1, kind="stable")
    return np.take_along_axis(near, order, axis=1)


def _weights(distances: Double) -> Double:
    """Returns the weights of neighbours: rows that add up to 1, all of the same perplexity."""
    apart = distances - distances[:, :1]
    wanted = np.log(min(_PERPLEXITY, 0.5 * distances.shape[1]))
    low, high = np.zeros(len(apart)), np.full(len(apart), np.inf)
    sharpness = 1 / np.maximum(apart.mean(axis=1), 1e-9)
    for _ in range(40):
        weights = np.exp(-apart * sharpness[:, None])
        total = weights.sum(axis=1)
        entropy = np.log(total) + sharpness * (apart * weights).sum(axis=1) / total
        blunt = entropy > wanted
        low, high = np.where(blunt, sharpness, low), np.where(blunt, high, sharpness)
        sharpness = np.where(np.isinf(high), 2 * sharpness, (low + high) / 2)
    weights = np.exp(-apart * sharpness[:, None])
    shares: Double = weights / weights.sum(axis=1, keepdims=True)
    return shares


def _in_square(places: Double) -> Double:
    low = places.min(axis=0)
    # One scale for both, so that distances mean the same in every direction.
    span = float((places.max(axis=0) - low).max())
    middle = (places.max(axis=0) + low) / 2
    scaled: Double = (places - middle) / (span or 1.0) + 0.5
    return scaled
