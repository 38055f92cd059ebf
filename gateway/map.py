"""Draws a map of the catalogue: a sample of its photos on a plane.

Photos with features are laid out by t-SNE, so that those that look alike are near each other; a
catalogue without features is laid out by the principal components of its vectors.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.catalogue import Catalogue
from gateway.deadline import Deadline
from gateway.listings import PhotoVector
from gateway.map_layout import MIN_NEIGHBORS, place_neighbors, project
from lookalike.catalogue.listings import CataloguePhoto
from lookalike.errors import CollectionNotFoundError, DeadlineExceededError, LookalikeError

SAMPLE = 2000
KEPT_S = 60.0


@dataclass(frozen=True)
class MapPoint:
    """A photo and its coordinates, each 0 to 1."""

    photo: CataloguePhoto
    x: float
    y: float


@dataclass(frozen=True)
class CatalogueMap:
    """A sample of photos laid out on a plane.

    Attributes:
        points: The photos.
        explained: Share of the vectors' variance that the plane shows; None if laid out by
            features.
        neighbors_kept: Share of each photo's 10 nearest that are among its 10 nearest on the plane;
            None if laid out by vectors.
        left_out: Photos left out because they have no features and the others do.
    """

    points: Sequence[MapPoint]
    explained: float | None = None
    neighbors_kept: float | None = None
    left_out: int = 0


EMPTY = CatalogueMap((), explained=0.0)


class MapBuilder:
    """Draws the map and caches it for a minute."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._drawing: asyncio.Task[CatalogueMap] | None = None
        self._map = EMPTY
        self._drawn_at = float("-inf")

    async def draw(self, deadline: Deadline) -> CatalogueMap:
        """Returns the map; it has no points while the catalogue is empty.

        Concurrent callers share one drawing. It goes on when they leave, since the next caller
        would have to begin it anew.

        Raises:
            DeadlineExceededError: Drawing takes longer than this request may.
        """
        try:
            async with asyncio.timeout(deadline.remaining_s):
                return await self._shared(deadline)
        except TimeoutError:
            raise DeadlineExceededError(
                "the map could not be drawn in the time of the request; it is being drawn on, "
                "so ask again"
            ) from None

    async def _shared(self, deadline: Deadline) -> CatalogueMap:
        while time.monotonic() - self._drawn_at > KEPT_S:
            drawing, mine = self._drawing, self._drawing is None
            if drawing is None:
                drawing = self._drawing = asyncio.create_task(self._draw(deadline))
                drawing.add_done_callback(self._finish)
            try:
                return await asyncio.shield(drawing)
            except LookalikeError:
                if mine:  # else another request's time was up, or an upstream may be back
                    raise
        return self._map

    def _finish(self, drawing: asyncio.Task[CatalogueMap]) -> None:
        self._drawing = None
        if drawing.cancelled() or drawing.exception():
            return
        self._map = drawing.result()
        # Cache no empty map: it costs nothing, and the catalogue may just be filling.
        self._drawn_at = time.monotonic() if self._map.points else float("-inf")

    async def _draw(self, deadline: Deadline) -> CatalogueMap:
        try:
            sample = await self._catalogue.vectors(SAMPLE, deadline)
        except CollectionNotFoundError:
            return EMPTY
        return await asyncio.to_thread(lay_out, sample) if sample else EMPTY


def lay_out(sample: Sequence[tuple[CataloguePhoto, PhotoVector]]) -> CatalogueMap:
    """Lays a sample out, which takes seconds of a core if photos have features.

    Uses features if most photos have them, leaving the others out; otherwise vectors.
    """
    with_features = [one for one in sample if len(one[1].features)]
    by_features = len(with_features) >= max(MIN_NEIGHBORS, len(sample) / 2)
    shown = with_features if by_features else sample
    vectors = np.array([vector.values for _, vector in shown], dtype=np.float64)
    if not by_features:
        places, explained = project(vectors)
        return CatalogueMap(_points(shown, places), explained=explained)
    features = np.array([vector.features for _, vector in shown], dtype=np.float64)
    places, kept = place_neighbors(features, vectors)
    return CatalogueMap(
        _points(shown, places), neighbors_kept=kept, left_out=len(sample) - len(shown)
    )


def _points(
    shown: Sequence[tuple[CataloguePhoto, PhotoVector]], places: NDArray[np.float64]
) -> list[MapPoint]:
    return [
        MapPoint(photo, float(x), float(y))
        for (photo, _), (x, y) in zip(shown, places, strict=True)
    ]
