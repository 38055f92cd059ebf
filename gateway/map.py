"""A map of the catalogue: a sample of its photos, laid out on a plane by their vectors.

Knows nothing of HTTP. The layout is the first two principal components: what tells photos apart
most, and the same for the same sample. Vectors of logits are centred photo by photo first, since
their common level says nothing of the category.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.budget import Budget
from gateway.catalogue import Catalogue
from gateway.listings import Listing
from lookalike.errors import CollectionNotFoundError

SAMPLE = 2000
KEPT_S = 60.0


@dataclass(frozen=True)
class MapPoint:
    """A photo and its place, each coordinate 0 to 1."""

    listing: Listing
    x: float
    y: float


@dataclass(frozen=True)
class MapOfCatalogue:
    """The places of a sample, and how much of what tells its vectors apart they show, 0 to 1."""

    points: Sequence[MapPoint]
    explained: float


class Cartographer:
    """Draws the map, and keeps it for a minute."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._lock = asyncio.Lock()  # those who ask at the same time wait for one drawing
        self._map = MapOfCatalogue((), 0.0)
        self._drawn_at = float("-inf")

    async def draw(self, budget: Budget) -> MapOfCatalogue:
        """Returns the map; without points while the catalogue has none."""
        async with self._lock:
            if time.monotonic() - self._drawn_at > KEPT_S:
                self._map = await self._draw(budget)
                # An empty catalogue is being filled, and an empty map is drawn at once.
                self._drawn_at = time.monotonic() if self._map.points else float("-inf")
        return self._map

    async def _draw(self, budget: Budget) -> MapOfCatalogue:
        try:
            sample = await self._catalogue.vectors(SAMPLE, budget)
        except CollectionNotFoundError:
            return MapOfCatalogue((), 0.0)
        if not sample:
            return MapOfCatalogue((), 0.0)
        vectors = np.array([vector.values for _, vector in sample], dtype=np.float64)
        places, explained = await asyncio.to_thread(project, vectors)
        return MapOfCatalogue(
            [
                MapPoint(listing, float(x), float(y))
                for (listing, _), (x, y) in zip(sample, places, strict=True)
            ],
            explained,
        )


def project(vectors: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Lays vectors out on a plane by principal component analysis.

    Args:
        vectors: Shape (photos, dimensions), at least one of each.

    Returns:
        Places of shape (photos, 2), each coordinate 0 to 1, and the share of the variance that
        they show. The directions' signs are fixed, so that one sample has one map.
    """
    levelled = vectors - vectors.mean(axis=1, keepdims=True)
    centred = levelled - levelled.mean(axis=0)
    # float64 and at most 2,000 × 13: an SVD of a millisecond or two.
    _, strengths, directions = np.linalg.svd(centred, full_matrices=False)
    axes = np.zeros((2, vectors.shape[1]))
    axes[: min(2, len(directions))] = directions[:2]
    signs = np.sign(axes[np.arange(2), np.abs(axes).argmax(axis=1)])
    places = centred @ (axes * np.where(signs == 0, 1, signs)[:, None]).T
    low = places.min(axis=0)
    # One scale for both, so that distances mean the same in every direction.
    span = float((places.max(axis=0) - low).max())
    middle = (places.max(axis=0) + low) / 2
    scaled = (places - middle) / (span or 1.0) + 0.5
    total = float((strengths**2).sum())
    return scaled, float((strengths[:2] ** 2).sum()) / total if total else 0.0
