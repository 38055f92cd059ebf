"""Turns a model's logits into categories with probabilities."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gateway.listings import CategoryScore, Classification
from gateway.models import Model


def scored(model: Model, logits: Sequence[float]) -> Classification:
    """Returns the model's categories by the softmax over calibrated logits, most likely first."""
    scores = [
        CategoryScore(label, index, probability)
        for index, (label, probability) in enumerate(
            zip(model.labels, softmax(logits), strict=True)
        )
    ]
    scores.sort(key=lambda score: -score.probability)
    return Classification(scores, model.embedding_space)


def softmax(logits: Sequence[float]) -> list[float]:
    """Returns probabilities that add up to 1."""
    top = max(logits)  # prevents overflow
    weights = [math.exp(logit - top) for logit in logits]
    total = math.fsum(weights)
    return [weight / total for weight in weights]
