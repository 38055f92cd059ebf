"""Ingests a photo: embeds it, checks it for near duplicates and writes it to the index."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
from collections.abc import Awaitable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Protocol

from gateway import cache, validation
from gateway.classify import Classifier
from gateway.deadline import Deadline
from gateway.duplicates import DuplicateFinder
from gateway.index import IndexUpstream
from gateway.items import StoredPhoto
from gateway.listings import Classification, PhotoVector, Written
from gateway.space_guard import EmbeddingSpaceGuard
from lookalike.catalogue.listings import CataloguePhoto, NearDuplicate
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

# After these nothing was written; after any other error the photo may have been.
_REFUSALS = (InvalidArgumentError, EmbeddingSpaceMismatchError, ReadOnlyError, StorageFullError)
# Share of the remaining time that work on thumbnails may take.
_THUMBNAIL_SHARE = 0.5


class Thumbnails(Protocol):
    """A store of thumbnails."""

    async def keep(self, item_id: str, image: bytes) -> None:
        """Makes a photo's thumbnail and stores it, replacing one of the same id."""

    async def remove(self, item_ids: Sequence[str]) -> None:
        """Removes thumbnails; one that does not exist is no error."""


@dataclass(frozen=True)
class IngestedListing:
    """Result of an ingest: the write, the categories and the near duplicates.

    Attributes:
        cached: Whether the cache had the vector.
        degraded: What else could not be done, in words.
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
        classifier: Embeds and classifies.
        index: The catalogue.
        space_guard: Refuses photos that the catalogue could not take.
        duplicates: Finds near duplicates.
        thumbnails: Stores thumbnails; None if none are kept.
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
            photo: Its id and its listing's facts.
            image: The encoded photo.
            deadline: The request's time.
            request_id: The caller's key for retries; the same call again changes nothing.
            bulk: Whether interactive photos go first.

        Raises:
            NearDuplicateError: It looks like another listing's, and the policy is to refuse.
            EmbeddingSpaceMismatchError: The catalogue holds vectors of another model.
            LookalikeError: Any other error of an upstream.
        """
        photo = validation.photo(photo)
        validation.request_id(request_id)
        self._space_guard.check()
        known = await self._known(photo.item_id, deadline) if self._must_know(request_id) else None
        digest = cache.digest(image)
        request_sha256 = _digest(photo, digest) if request_id else ""
        if request_id and known is not None and known.request_id == request_id:
            return await self._again(known, image, request_sha256, request_id, deadline)
        embedded = await self._classifier.classify(
            image, deadline, later=self._index.read_latencies, bulk=bulk, digest=digest
        )
        sha256 = digest.hex()
        stored = StoredPhoto(photo, embedded.vector, sha256, request_id, request_sha256)
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
                self._space_guard.check_soon()
                raise
        return IngestedListing(written, embedded.classification, embedded.cached, degraded, near)

    def _lacks(self, vector: PhotoVector | None) -> str:
        """Returns a sentence if a photo lacks the features that its catalogue keeps, else nothing.

        This happens where the embedder did not report its model's outputs in time.
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
        self,
        known: StoredPhoto,
        image: bytes,
        request_sha256: str,
        request_id: str,
        deadline: Deadline,
    ) -> IngestedListing:
        """Sends the item as it was written: embedded anew, its vector could differ in a last digit.

        Stores the thumbnail again, which may be gone, or that of a later ingest that failed.
        """
        if known.request_sha256 != request_sha256:
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
        work = self._thumbnails.keep(item_id, image)
        failure = await attempt(work, deadline, "thumbnail not kept", item_id=item_id)
        return not failure, failure

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


async def attempt(work: Awaitable[None], deadline: Deadline, failure: str, **facts: object) -> str:
    """Does work on thumbnails, whose failure must not fail the request.

    Args:
        work: The work; may take half of the remaining time.
        deadline: The request's time.
        failure: What to say and log if it fails.
        facts: Further facts for the log.

    Returns:
        `failure` and the reason, or an empty text.
    """
    allowed_s = _THUMBNAIL_SHARE * deadline.remaining_s
    try:
        async with asyncio.timeout(allowed_s):
            await work
    except Exception as error:
        logger.warning(failure, extra=facts, exc_info=error)
        late = f"it took longer than the {allowed_s:.1f} s that it may take"
        return f"{failure}: {late if isinstance(error, TimeoutError) else error}"
    return ""


def _digest(photo: CataloguePhoto, image_digest: bytes) -> str:
    """Returns a digest of an ingest's arguments."""
    arguments = asdict(photo)
    for later in ("currency", "description"):
        if not arguments[later]:
            del arguments[later]  # as before the field existed: a retry may come after an update
    fields = json.dumps(arguments, sort_keys=True).encode()
    return hashlib.sha256(image_digest + fields).hexdigest()
