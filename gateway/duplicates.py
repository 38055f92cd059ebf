"""Finds photos of other listings that are the same or nearly, and applies the policy for them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from enum import StrEnum

from gateway.deadline import Deadline
from gateway.index import IndexUpstream
from gateway.items import NearPhoto, StoredPhoto
from gateway.listings import Rerank
from gateway.ranking import Ranker
from lookalike.catalogue.listings import CataloguePhoto, NearDuplicate, NearDuplicateKind
from lookalike.errors import (
    CollectionNotFoundError,
    DeadlineExceededError,
    NearDuplicateError,
    RankingUnavailableError,
)

MAX_REPORTED = 10
# More than are reported: of the nearest, some may be merely near, or of the same listing.
_MOST_CANDIDATES = 100
# The same photo's vector differs slightly between batch sizes, and in int8. The hash decides; this
# only sets how far to search, relative to the vector's squared length.
_TOLERANCE = 1e-3
# The index places a photo without features at a cosine distance of exactly 1.
_UNKNOWN, _ROUNDING = 1.0, 1e-6


class NearDuplicatePolicy(StrEnum):
    """What ingest does with a photo that looks like another listing's."""

    OFF = "off"
    FLAG = "flag"
    LINK = "link"
    REFUSE = "refuse"


class DuplicateFinder:
    """Looks for photos of other listings that are the same, or nearly.

    Args:
        index: The catalogue.
        policy: What to do with a near duplicate.
        max_distance: Greatest distance of a photo that is nearly the same; 0 for identical bytes
            alone.
        ranker: Plans the ranking by both outputs; None lets the distance decide alone.
        nearness: How near photos must be by both outputs, as a share of the usual distance of a
            search's crowd; 1 lets the distance decide alone.
    """

    def __init__(
        self,
        index: IndexUpstream,
        policy: NearDuplicatePolicy,
        max_distance: float,
        ranker: Ranker | None = None,
        nearness: float = 1.0,
    ) -> None:
        self._index = index
        self._policy = policy
        self._max_distance = max_distance
        self._ranker = ranker
        self._nearness = nearness
        self._locks: dict[str, _PhotoLock] = {}

    @asynccontextmanager
    async def lock_photo(self, sha256: str, deadline: Deadline) -> AsyncIterator[None]:
        """Serialises ingests of the same photo, so that each sees those before it.

        Raises:
            DeadlineExceededError: Those before it took all of the request's time.
        """
        if self._policy is NearDuplicatePolicy.OFF:
            yield
            return
        held = self._locks.setdefault(sha256, _PhotoLock())
        held.users += 1
        try:
            try:
                async with asyncio.timeout(deadline.remaining_s):
                    await held.lock.acquire()
            except TimeoutError:
                raise DeadlineExceededError(
                    "other ingests of the same photo took all of the time; set a later deadline"
                ) from None
            try:
                yield
            finally:
                held.lock.release()
        finally:
            held.users -= 1
            if not held.users:
                del self._locks[sha256]

    async def judge(
        self, stored: StoredPhoto, deadline: Deadline
    ) -> tuple[CataloguePhoto, Sequence[NearDuplicate]]:
        """Returns the photo, marked if the policy says so, and its near duplicates.

        Raises:
            NearDuplicateError: There is one, and the policy is to refuse.
        """
        photo = stored.photo
        if self._policy is NearDuplicatePolicy.OFF:
            return photo, ()
        found = await self._find(stored, deadline)
        if not found:
            return photo, ()
        if self._policy is NearDuplicatePolicy.REFUSE:
            raise _refusal(found[0])
        linked = self._policy is NearDuplicatePolicy.LINK
        found = [replace(near, linked=linked) for near in found]
        return replace(photo, near_duplicate=found[0]), found

    async def _find(self, stored: StoredPhoto, deadline: Deadline) -> list[NearDuplicate]:
        nearness = await self._nearness_of(stored, deadline)
        try:
            candidates = await self._near(stored, nearness, deadline)
        except CollectionNotFoundError:
            return []  # the catalogue is empty
        nearest: dict[str, NearDuplicate] = {}
        for other in candidates:
            near = self._compared(stored, other, nearness)
            # One photo a listing: identical bytes first, then the nearest.
            product_id = other.stored.photo.product_id
            known = nearest.get(product_id)
            if near and (known is None or _order(near) < _order(known)):
                nearest[product_id] = near
        return sorted(nearest.values(), key=_order)[:MAX_REPORTED]

    async def _nearness_of(self, stored: StoredPhoto, deadline: Deadline) -> _Nearness | None:
        """Returns the test by both outputs, if model and catalogue allow it."""
        if self._ranker is None or not self._max_distance or self._nearness >= 1:
            return None
        assert stored.vector is not None
        await self._ranker.learn(deadline)
        plan = self._ranker.blend(stored.vector)
        if plan is None or plan.rerank is None or plan.curve is None:
            return None
        return _Nearness(plan.rerank, self._nearness * plan.curve.crowd)

    async def _near(
        self, stored: StoredPhoto, nearness: _Nearness | None, deadline: Deadline
    ) -> list[NearPhoto]:
        vector = stored.vector
        assert vector is not None
        tolerance = _TOLERANCE * max(1.0, math.fsum(v * v for v in vector.values))
        farthest = max(tolerance, self._max_distance)

        async def near(max_distance: float, rerank: Rerank | None = None) -> list[NearPhoto]:
            return await self._index.near(
                vector,
                deadline,
                max_distance=max_distance,
                limit=_MOST_CANDIDATES,
                other_than=stored.photo.product_id,
                rerank=rerank,
            )

        if nearness is None:
            return await near(farthest)
        try:
            found = await near(farthest, nearness.rerank)
        except RankingUnavailableError:
            return await near(farthest)
        if len(found) == _MOST_CANDIDATES:
            # A photo of the same bytes, but without features, may rank behind all of these.
            found += await near(tolerance)
        return found

    def _compared(
        self, stored: StoredPhoto, other: NearPhoto, nearness: _Nearness | None
    ) -> NearDuplicate | None:
        photo, distance = other.stored.photo, other.distance
        if photo.item_id == stored.photo.item_id:
            return None  # the photo itself, which moves to another listing
        if other.stored.sha256 == stored.sha256:
            kind = NearDuplicateKind.IDENTICAL
        elif self._max_distance and distance <= self._max_distance:
            if nearness and not nearness.holds(other):
                return None
            kind = NearDuplicateKind.SIMILAR
        else:
            return None
        return NearDuplicate(photo.item_id, photo.product_id, kind, distance)


@dataclass(frozen=True)
class _Nearness:
    """Tests photos that are near by vector by both outputs of the model, which tells more.

    Attributes:
        rerank: How the index ranks by both.
        farthest: Greatest distance by that ranking.
    """

    rerank: Rerank
    farthest: float

    def holds(self, other: NearPhoto) -> bool:
        """Whether a photo is near enough, or has no features to test."""
        if other.ranked_by is None:
            return True
        by_features = other.ranked_by - self.rerank.vector_weight * other.distance
        unknown = math.isclose(by_features, _UNKNOWN, abs_tol=_ROUNDING)
        return unknown or other.ranked_by <= self.farthest


class _PhotoLock:
    """Serialises ingests of one photo; `users` counts those that hold it or wait for it."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0


def _order(near: NearDuplicate) -> tuple[bool, float]:
    return near.kind is not NearDuplicateKind.IDENTICAL, near.distance


def _refusal(near: NearDuplicate) -> NearDuplicateError:
    same = near.kind is NearDuplicateKind.IDENTICAL
    return NearDuplicateError(
        f"the photo is {'the same as' if same else 'nearly the same as'} photo '{near.item_id}' "
        f"of listing '{near.product_id}' (distance {near.distance:g}); nothing was written "
        "(LOOKALIKE_GATEWAY_NEAR_DUPLICATE_POLICY)",
        field="image",
        metadata={
            "item_id": near.item_id,
            "product_id": near.product_id,
            "distance": repr(near.distance),
        },
        resource=("item", near.item_id),
    )
