"""Which category is this photo, or this listing?"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from gateway import cache, validation
from gateway.cache import VectorCache
from gateway.coalescing import Coalescer
from gateway.deadline import Deadline, LatencyWindow
from gateway.embedder import Embedded, EmbedderUpstream
from gateway.listings import CategoryScore, Classification, PhotoVector
from gateway.photos import EmbeddedPhoto, EmbeddedPhotos, PhotoFailure, embed_all
from gateway.upstreams import is_out_of_time
from gateway.vectors import mean
from lookalike.errors import LookalikeError


@dataclass(frozen=True)
class ClassifiedPhoto:
    """A photo's vector, what it says of the category, and whether the vector was known."""

    vector: PhotoVector
    classification: Classification
    cached: bool = False


@dataclass(frozen=True)
class ClassifiedListing:
    """What all photos of a listing say of its category.

    Attributes:
        vector: The mean of their vectors.
        classification: By that.
        photos: What each says by itself, in the order of the request; None for one that failed.
        failures: Photos that could not be used.
        cached: Whether the vectors of all others were known.
    """

    vector: PhotoVector
    classification: Classification
    photos: Sequence[Classification | None]
    failures: Sequence[PhotoFailure] = ()
    cached: bool = False


class Classifier:
    """Embeds photos, each only once if it can, and classifies them by the model's logits."""

    def __init__(self, embedder: EmbedderUpstream, vectors: VectorCache) -> None:
        self._embedder = embedder
        self._vectors = vectors
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
            later: What the hop takes that comes after it; time for that is kept back.
            bulk: Whether photos that somebody waits for go first.
            digest: The photo's, by `cache.digest`, where it is known.

        Raises:
            DeadlineUnreachableError: There is not enough time for it.
        """
        photo = cache.digest(image) if digest is None else digest
        with deadline.hop("embed"):
            known = self._vectors.get(self._embedder.embedding_space, photo)
            if known is not None:
                self._vectors.count(hit=True)
                return EmbeddedPhoto(known, cached=True)
            kept_s = deadline.reserve_s(later) if later else 0.0
            allowed_s = deadline.allow_s("embed", self._embedder.latencies[bulk], kept_s)
            # A photo that may wait must not keep one waiting that may not.
            key = photo, bulk
            self._vectors.count(coalesced=self._under_way.under_way(key))
            until = time.monotonic() + allowed_s
            while self._under_way.under_way(key):
                left_s = until - time.monotonic()
                try:
                    embedded = await self._under_way.join(key, left_s)
                    return EmbeddedPhoto(embedded.vector, cached=True)
                except LookalikeError as error:
                    # It may have been the other caller's time that was up, and not this one's.
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
        """Returns the vectors of photos of one thing; see `photos.embed_all` and `embed`."""

        async def embed(image: bytes) -> EmbeddedPhoto:
            return await self.embed(image, deadline, later=later)

        return await embed_all(embed, images, partial=partial, field=field)

    async def classify_listing(
        self, images: Sequence[bytes], deadline: Deadline, *, partial: bool = False
    ) -> ClassifiedListing:
        """Tells the category of a listing by all of its photos.

        It is that of their mean vector: since logits are logarithms of probabilities but for a
        term that is the same for all categories, that is the mean of the photos' logarithms of
        probabilities, made to add up to 1.

        Args:
            images: Encoded photos, 1 to 16.
            deadline: The request's time.
            partial: Whether photos that are at fault may be left out.

        Raises:
            InvalidArgumentError: There are too many, or a photo is at fault.
        """
        validation.images(images, "images")
        sent = await self.embed_all(images, deadline, partial=partial, field="images")
        vector = mean(sent.vectors)
        by_all = await self.classification(vector, deadline)
        photos = [
            await self.classification(photo.vector, deadline) if photo else None
            for photo in sent.photos
        ]
        return ClassifiedListing(vector, by_all, photos, sent.failures, sent.cached)

    async def classification(self, vector: PhotoVector, deadline: Deadline) -> Classification:
        """Returns the calibrated softmax over a photo's logits."""
        model = await self._embedder.model_of(vector.embedding_space, deadline)
        probabilities = softmax([logit / model.temperature for logit in vector.values])
        scores = [
            CategoryScore(label, index, probability)
            for index, (label, probability) in enumerate(
                zip(model.labels, probabilities, strict=True)
            )
        ]
        scores.sort(key=lambda score: -score.probability)
        return Classification(scores, vector.embedding_space)

    async def _embed(self, image: bytes, photo: bytes, timeout_s: float, bulk: bool) -> Embedded:
        embedded = await self._embedder.embed(image, timeout_s, bulk=bulk)
        if embedded.complete:
            self._vectors.keep(photo, embedded.vector)
        return embedded


def softmax(logits: Sequence[float]) -> list[float]:
    """Returns probabilities that add up to 1."""
    top = max(logits)  # so that no exponential overflows
    weights = [math.exp(logit - top) for logit in logits]
    total = math.fsum(weights)
    return [weight / total for weight in weights]
