"""Which category is this photo?"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from gateway import cache
from gateway.budget import Budget, RecentTimes
from gateway.cache import VectorCache
from gateway.coalescing import Coalescer
from gateway.embedder import Embedded, EmbedderUpstream
from gateway.listings import CategoryScore, Classification, PhotoVector
from gateway.upstreams import is_out_of_time
from lookalike.errors import LookalikeError


@dataclass(frozen=True)
class EmbeddedPhoto:
    """A photo's vector, and whether it was known from the same bytes."""

    vector: PhotoVector
    cached: bool


@dataclass(frozen=True)
class ClassifiedPhoto:
    """A photo's vector, what it says of the category, and whether the vector was known."""

    vector: PhotoVector
    classification: Classification
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
        budget: Budget,
        *,
        later: RecentTimes | None = None,
        bulk: bool = False,
        digest: bytes | None = None,
    ) -> EmbeddedPhoto:
        """Returns the photo's vector.

        Args:
            image: Encoded photo.
            budget: The request's time.
            later: What the hop takes that comes after it; time for that is kept back.
            bulk: Whether photos that somebody waits for go first.
            digest: The photo's, by `cache.digest`, where it is known.

        Raises:
            DeadlineUnreachableError: There is not enough time for it.
        """
        photo = cache.digest(image) if digest is None else digest
        with budget.hop("embed"):
            known = self._vectors.get(self._embedder.embedding_space, photo)
            if known is not None:
                self._vectors.count(hit=True)
                return EmbeddedPhoto(known, cached=True)
            kept_s = budget.reserve_s(later) if later else 0.0
            allowed_s = budget.allow_s("embed", self._embedder.recent[bulk], kept_s)
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
                    fastest_s = self._embedder.recent[bulk].fastest_s
                    if not is_out_of_time(error) or left_s <= fastest_s:
                        raise
            embedded = await self._under_way.start(
                key, self._embed(image, photo, until - time.monotonic(), bulk)
            )
            budget.note("decode", embedded.decode_ns)
            budget.note("queue", embedded.queue_ns)
            budget.note("inference", embedded.inference_ns)
            return EmbeddedPhoto(embedded.vector, cached=False)

    async def classify(
        self,
        image: bytes,
        budget: Budget,
        *,
        later: RecentTimes | None = None,
        bulk: bool = False,
        digest: bytes | None = None,
    ) -> ClassifiedPhoto:
        """Returns the photo's vector and its categories; for arguments and errors see `embed`."""
        photo = await self.embed(image, budget, later=later, bulk=bulk, digest=digest)
        classification = await self.classification(photo.vector, budget)
        return ClassifiedPhoto(photo.vector, classification, photo.cached)

    async def classification(self, vector: PhotoVector, budget: Budget) -> Classification:
        """Returns the calibrated softmax over a photo's logits."""
        model = await self._embedder.model_of(vector.embedding_space, budget)
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
        self._vectors.keep(photo, embedded.vector)
        return embedded


def softmax(logits: Sequence[float]) -> list[float]:
    """Returns probabilities that add up to 1."""
    top = max(logits)  # so that no exponential overflows
    weights = [math.exp(logit - top) for logit in logits]
    total = math.fsum(weights)
    return [weight / total for weight in weights]
