"""A listing's photo into the catalogue."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Protocol

from gateway import cache, validation
from gateway.classify import Classifier
from gateway.deadline import Deadline
from gateway.duplicates import DuplicateFinder
from gateway.index import IndexUpstream
from gateway.items import StoredPhoto
from gateway.listings import CataloguePhoto, Classification, NearDuplicate, PhotoVector, Written
from gateway.space_guard import EmbeddingSpaceGuard
from lookalike.errors import (
    CollectionNotFoundError,
    EmbeddingSpaceMismatchError,
    InvalidArgumentError,
    ItemNotFoundError,
    ReadOnlyError,
    RequestIdReusedError,
    StorageFullError,
)

logger = logging.getLogger(__name__)

# With these nothing was written. After any other failure it may have been.
_REFUSALS = (InvalidArgumentError, EmbeddingSpaceMismatchError, ReadOnlyError, StorageFullError)
# Of the time that is left, what a thumbnail may take of it.
_THUMBNAIL_SHARE = 0.5


class Thumbnails(Protocol):
    """Small copies of the catalogue's photos."""

    async def keep(self, item_id: str, image: bytes) -> None:
        """Makes and keeps a photo's thumbnail, in the place of one of the same id."""

    async def remove(self, item_ids: Sequence[str]) -> None:
        """Removes thumbnails; those that are not there are no error."""


@dataclass(frozen=True)
class IngestedListing:
    """What was written, what the model makes of the photo, and which others look the same.

    Attributes:
        cached: Whether the vector was known.
        degraded: What could not be done besides, in words.
        near_duplicates: Photos of other listings, nearest first.
    """

    written: Written
    classification: Classification
    cached: bool = False
    degraded: str = ""
    near_duplicates: Sequence[NearDuplicate] = ()


class Ingester:
    """Embeds photos and writes them to the index.

    Args:
        classifier: Gives vectors and categories.
        index: The catalogue.
        space_guard: Says whether the two belong together.
        duplicates: Looks for photos of other listings that are the same.
        thumbnails: Keeps small copies; None keeps none.
    """

    def __init__(
        self,
        classifier: Classifier,
        index: IndexUpstream,
        space_guard: EmbeddingSpaceGuard,
        duplicates: DuplicateFinder,
        thumbnails: Thumbnails | None = None,
    ) -> None:
        self._classifier = classifier
        self._index = index
        self._space_guard = space_guard
        self._duplicates = duplicates
        self._thumbnails = thumbnails

    async def ingest(
        self,
        photo: CataloguePhoto,
        image: bytes,
        deadline: Deadline,
        request_id: str = "",
        *,
        bulk: bool = False,
    ) -> IngestedListing:
        """Adds a photo, or replaces the one of the same id; durable when this returns.

        Args:
            photo: What its listing says, and its id.
            image: The encoded photo.
            deadline: The request's time.
            request_id: The caller's key for retries; the same call again changes nothing.
            bulk: Whether photos that somebody waits for go first.

        Raises:
            NearDuplicateError: It looks like another listing's, and the policy is to refuse.
            EmbeddingSpaceMismatchError: The catalogue is of another model.
            LookalikeError: Whatever else an upstream says.
        """
        photo = validation.photo(photo)
        validation.request_id(request_id)
        self._space_guard.check()
        known = await self._known(photo.item_id, deadline) if self._must_know(request_id) else None
        digest = cache.digest(image)
        said = _digest(photo, digest) if request_id else ""
        if request_id and known is not None and known.request_id == request_id:
            return await self._again(known, image, said, request_id, deadline)
        embedded = await self._classifier.classify(
            image, deadline, later=self._index.read_latencies, bulk=bulk, digest=digest
        )
        sha256 = digest.hex()
        stored = StoredPhoto(photo, embedded.vector, sha256, request_id, said)
        async with self._duplicates.lock_photo(sha256, deadline):
            try:
                photo, near = await self._duplicates.judge(stored, deadline)
                kept, degraded = await self._keep_thumbnail(photo.item_id, image, deadline)
                stored = replace(stored, photo=replace(photo, has_thumbnail=kept))
                written = await self._write(
                    stored, deadline, request_id, new=kept and known is None
                )
                degraded = "; ".join(filter(None, (degraded, self._lacks(stored.vector))))
            except EmbeddingSpaceMismatchError:
                self._space_guard.look()
                raise
        return IngestedListing(written, embedded.classification, embedded.cached, degraded, near)

    def _lacks(self, vector: PhotoVector | None) -> str:
        """Says that a photo is without the features that its catalogue keeps; empty if it is not.

        So it is where the embedder did not tell in time what its model gives.
        """
        serving = self._index.serving
        if vector is None or vector.features or serving is None or not serving.features_dimension:
            return ""
        return "stored without features, by which it cannot be ranked: ingest it again"

    def _must_know(self, request_id: str) -> bool:
        return bool(request_id) or self._thumbnails is not None

    async def _known(self, item_id: str, deadline: Deadline) -> StoredPhoto | None:
        try:
            return await self._index.get(item_id, deadline)
        except (ItemNotFoundError, CollectionNotFoundError):
            return None

    async def _again(
        self, known: StoredPhoto, image: bytes, said: str, request_id: str, deadline: Deadline
    ) -> IngestedListing:
        """Sends what was written as it is: embedded anew, its vector may differ in a last digit.

        Keeps the thumbnail again, which may be gone or, if a later ingest failed, of that.
        """
        if known.request_sha256 != said:
            raise RequestIdReusedError(
                f"request_id '{request_id}' came before with other content; make a new one",
                field="request_id",
            )
        assert known.vector is not None
        classification = await self._classifier.classification(known.vector, deadline)
        written = await self._index.upsert(known, deadline, request_id)
        degraded = ""
        if known.photo.has_thumbnail:
            _, degraded = await self._keep_thumbnail(known.photo.item_id, image, deadline)
        near = known.photo.near_duplicate
        return IngestedListing(
            written,
            classification,
            cached=True,
            degraded=degraded,
            near_duplicates=[near] if near else [],
        )

    async def _keep_thumbnail(
        self, item_id: str, image: bytes, deadline: Deadline
    ) -> tuple[bool, str]:
        if self._thumbnails is None:
            return False, ""
        allowed_s = _THUMBNAIL_SHARE * deadline.remaining_s
        try:
            async with asyncio.timeout(allowed_s):
                await self._thumbnails.keep(item_id, image)
        except Exception as error:
            # The photo is worth more than its thumbnail.
            logger.warning("thumbnail not kept", extra={"item_id": item_id}, exc_info=error)
            late = f"it took longer than the {allowed_s:.1f} s that it may take"
            why = late if isinstance(error, TimeoutError) else str(error)
            return False, f"thumbnail not kept: {why}"
        return True, ""

    async def _write(
        self, stored: StoredPhoto, deadline: Deadline, request_id: str, *, new: bool
    ) -> Written:
        try:
            return await self._index.upsert(stored, deadline, request_id)
        except _REFUSALS:
            if new and self._thumbnails is not None:
                with contextlib.suppress(Exception):
                    async with asyncio.timeout(deadline.remaining_s):
                        await self._thumbnails.remove([stored.photo.item_id])
            raise


def _digest(photo: CataloguePhoto, image: bytes) -> str:
    """Returns a digest of all that an ingest says; of the image its own digest is enough."""
    said = asdict(photo)
    if not photo.currency:
        del said["currency"]  # as before there was any: a retry may come after an update
    fields = json.dumps(said, sort_keys=True).encode()
    return hashlib.sha256(image + fields).hexdigest()
