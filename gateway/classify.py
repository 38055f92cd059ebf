"""Classifies a photo, or a listing by its photos, its words or both."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway import cache, validation
from gateway.cache import VectorCache
from gateway.coalescing import Coalescer
from gateway.concurrent import together
from gateway.deadline import Deadline, LatencyWindow
from gateway.embedder import Embedded, EmbedderUpstream
from gateway.listings import Classification, PhotoVector, Words
from gateway.photos import EmbeddedPhoto, EmbeddedPhotos, PhotoFailure, embed_all
from gateway.reading import Reader, ReadWords
from gateway.scores import scored
from gateway.upstreams import is_out_of_time
from gateway.vectors import mean
from lookalike.errors import LookalikeError


@dataclass(frozen=True)
class ClassifiedPhoto:
    """A photo's vector and categories, and whether the cache had the vector."""

    vector: PhotoVector
    classification: Classification
    cached: bool = False


@dataclass(frozen=True)
class ClassifiedListing:
    """A listing's categories, by its photos, its words or both.

    Attributes:
        classification: The categories by all of them together.
        vector: The mean of the photos' vectors; None without photos.
        photos: The categories by each photo alone, in the order of the request; None for one that
            failed.
        failures: Photos that could not be used.
        cached: Whether the cache had the vectors of all others.
        words: What the words say by themselves; None without words.
    """

    classification: Classification
    vector: PhotoVector | None = None
    photos: Sequence[Classification | None] = ()
    failures: Sequence[PhotoFailure] = ()
    cached: bool = False
    words: ReadWords | None = None


class Classifier:
    """Embeds photos, through the cache, and classifies them and words by the model's logits."""

    def __init__(self, embedder: EmbedderUpstream, vectors: VectorCache, reader: Reader) -> None:
        self._embedder = embedder
        self._vectors = vectors
        self._reader = reader
        self._under_way: Coalescer[Embedded] = Coalescer()

    async def embed(
        self,
        image: bytes,
        deadline: Deadline,
        *,
        later: LatencyWindow | None = None,
        bulk: bool = False,
        digest: bytes | None = None,
    ) -> EmbeddedPhoto:
        """Returns the photo's vector.

        Args:
            image: Encoded photo.
            deadline: The request's time.
            later: Latencies of the hop that follows; time for it is reserved.
            bulk: Whether interactive photos go first.
            digest: The photo's `cache.digest`, if the caller has it already.

        Raises:
            DeadlineUnreachableError: Too little time is left.
        """
        photo = cache.digest(image) if digest is None else digest
        with deadline.hop("embed"):
            known = self._vectors.get(self._embedder.embedding_space, photo)
            if known is not None:
                self._vectors.count(hit=True)
                return EmbeddedPhoto(known, cached=True)
            kept_s = deadline.reserve_s(later) if later else 0.0
            allowed_s = deadline.allow_s("embed", self._embedder.latencies[bulk], kept_s)
            # An interactive photo must not wait for a bulk one.
            key = photo, bulk
            self._vectors.count(coalesced=self._under_way.under_way(key))
            until = time.monotonic() + allowed_s
            while self._under_way.under_way(key):
                left_s = until - time.monotonic()
                try:
                    embedded = await self._under_way.join(key, left_s)
                    return EmbeddedPhoto(embedded.vector, cached=True)
                except LookalikeError as error:
                    # Perhaps only the other caller's deadline passed: this one may have time left.
                    left_s = until - time.monotonic()
                    fastest_s = self._embedder.latencies[bulk].fastest_s
                    if not is_out_of_time(error) or left_s <= fastest_s:
                        raise
            embedded = await self._under_way.start(
                key, self._embed(image, photo, until - time.monotonic(), bulk)
            )
            deadline.record("decode", embedded.decode_ns)
            deadline.record("queue", embedded.queue_ns)
            deadline.record("inference", embedded.inference_ns)
            return EmbeddedPhoto(embedded.vector, cached=False)

    async def classify(
        self,
        image: bytes,
        deadline: Deadline,
        *,
        later: LatencyWindow | None = None,
        bulk: bool = False,
        digest: bytes | None = None,
    ) -> ClassifiedPhoto:
        """Returns the photo's vector and its categories; for arguments and errors see `embed`."""
        photo = await self.embed(image, deadline, later=later, bulk=bulk, digest=digest)
        classification = await self.classification(photo.vector, deadline)
        return ClassifiedPhoto(photo.vector, classification, photo.cached)

    async def embed_all(
        self,
        images: Sequence[bytes],
        deadline: Deadline,
        *,
        partial: bool,
        field: str,
        later: LatencyWindow | None = None,
    ) -> EmbeddedPhotos:
        """Embeds several photos of one thing; see `photos.embed_all` and `embed`."""

        async def embed(image: bytes) -> EmbeddedPhoto:
            return await self.embed(image, deadline, later=later)

        return await embed_all(embed, images, partial=partial, field=field)

    async def classify_listing(
        self,
        images: Sequence[bytes],
        deadline: Deadline,
        *,
        words: Words | None = None,
        partial: bool = False,
    ) -> ClassifiedListing:
        """Classifies a listing by all of its photos, its words, or both.

        Of photos alone the category is that of their mean vector. Since logits are
        log-probabilities up to a term that is the same for all categories, the result is the
        normalised geometric mean of the photos' probabilities. Words join it with the model's
        weights.

        Args:
            images: Encoded photos, at most 16.
            deadline: The request's time.
            words: Title and description, if any; photos or words are needed.
            partial: Whether to leave out photos that cannot be used.

        Raises:
            InvalidArgumentError: There are neither, or too many photos, or one cannot be used.
            WordsUnavailableError: There are words, and the model reads none.
        """
        validation.listing(images, words)
        if not words:
            return await self._by_photos(images, deadline, partial=partial)
        if not images:
            read = await self._reader.read(words, deadline)
            return ClassifiedListing(read.classification, words=read)
        by_photos, read = await together(
            self._by_photos(images, deadline, partial=partial), self._reader.read(words, deadline)
        )
        assert by_photos.vector is not None
        both = await self._reader.fused(by_photos.vector, read.vector, deadline)
        return replace(by_photos, classification=both, words=read)

    async def _by_photos(
        self, images: Sequence[bytes], deadline: Deadline, *, partial: bool
    ) -> ClassifiedListing:
        sent = await self.embed_all(images, deadline, partial=partial, field="images")
        vector = mean(sent.vectors)
        by_all = await self._by_several(vector, len(sent.vectors), deadline)
        photos = [
            await self.classification(photo.vector, deadline) if photo else None
            for photo in sent.photos
        ]
        return ClassifiedListing(by_all, vector, photos, sent.failures, sent.cached)

    async def _by_several(
        self, vector: PhotoVector, count: int, deadline: Deadline
    ) -> Classification:
        """Returns the calibrated softmax over the mean logits of so many photos."""
        model = await self._embedder.model_of(vector.embedding_space, deadline)
        if count == 1 or model.text is None:
            return await self.classification(vector, deadline)
        weight = model.text.photos_alone_weight
        return scored(model, [weight * logit for logit in vector.values])

    async def classification(self, vector: PhotoVector, deadline: Deadline) -> Classification:
        """Returns the calibrated softmax over a photo's logits."""
        model = await self._embedder.model_of(vector.embedding_space, deadline)
        return scored(model, [logit / model.temperature for logit in vector.values])

    async def _embed(self, image: bytes, photo: bytes, timeout_s: float, bulk: bool) -> Embedded:
        embedded = await self._embedder.embed(image, timeout_s, bulk=bulk)
        if embedded.complete:
            self._vectors.keep(photo, embedded.vector)
        return embedded
