"""Which category is this photo?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.budget import Budget
from gateway.listings import CategoryScore, Classification, PhotoVector
from gateway.upstreams import EmbedderUpstream


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
    """Classifies photos by the model's logits."""

    def __init__(self, embedder: EmbedderUpstream) -> None:
        self._embedder = embedder

    async def embed(self, image: bytes, budget: Budget) -> EmbeddedPhoto:
        """Returns the photo's vector."""
        raise NotImplementedError

    async def classify(self, image: bytes, budget: Budget) -> ClassifiedPhoto:
        """Returns the photo's vector and the softmax over its 13 logits."""
        vector = await self._embedder.embed(image, budget)
        labels = await self._embedder.labels(vector.embedding_space, budget)
        scores = [
            CategoryScore(label, index, probability)
            for index, (label, probability) in enumerate(
                zip(labels, softmax(vector.values), strict=True)
            )
        ]
        scores.sort(key=lambda score: -score.probability)
        return ClassifiedPhoto(vector, Classification(scores, vector.embedding_space))


def softmax(logits: Sequence[float]) -> list[float]:
    """Returns probabilities that add up to 1."""
    top = max(logits)  # so that no exponential overflows
    weights = [math.exp(logit - top) for logit in logits]
    total = math.fsum(weights)
    return [weight / total for weight in weights]
