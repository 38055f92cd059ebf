"""Reads words: their vectors, and their categories alone or with photos."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.deadline import Deadline, LatencyWindow
from gateway.embedder import EmbedderUpstream
from gateway.listings import Classification, PhotoVector, Words
from gateway.models import Model, TextTower
from gateway.scores import scored
from lookalike.errors import UpstreamUnavailableError


@dataclass(frozen=True)
class ReadWords:
    """What the model makes of words.

    Attributes:
        vector: Their vectors, in the space of photos.
        classification: The categories by the words alone.
        tokens: How many tokens were read.
        truncated: Whether there were more.
    """

    vector: PhotoVector
    classification: Classification
    tokens: int
    truncated: bool


class Reader:
    """Reads words with the embedders' text tower."""

    def __init__(self, embedder: EmbedderUpstream) -> None:
        self._embedder = embedder

    async def read(
        self, words: Words, deadline: Deadline, *, later: LatencyWindow | None = None
    ) -> ReadWords:
        """Returns the words' vectors and categories.

        Args:
            words: What to read.
            deadline: The request's time.
            later: Latencies of the hop that follows; time for it is reserved.

        Raises:
            WordsUnavailableError: The model has no text tower.
            InvalidArgumentError: Nothing of the words can be read.
            DeadlineUnreachableError: Too little time is left.
        """
        with deadline.hop("embed"):
            kept_s = deadline.reserve_s(later) if later else 0.0
            allowed_s = deadline.allow_s("embed", self._embedder.text_latencies, kept_s)
            embedded = await self._embedder.read(words, allowed_s)
        deadline.record("decode", embedded.decode_ns)
        deadline.record("queue", embedded.queue_ns)
        deadline.record("inference", embedded.inference_ns)
        vector = embedded.vector
        model, tower = await self._tower(vector, deadline)
        classification = scored(model, [value / tower.temperature for value in vector.values])
        return ReadWords(vector, classification, embedded.tokens, embedded.truncated)

    async def fused(
        self, photos: PhotoVector, words: PhotoVector, deadline: Deadline
    ) -> Classification:
        """Returns the categories by the mean vector of photos and that of words together."""
        if photos.embedding_space != words.embedding_space:
            raise _changed()
        model, tower = await self._tower(words, deadline)
        both = zip(photos.values, words.values, strict=True)
        return scored(model, [tower.photos_weight * p + tower.words_weight * w for p, w in both])

    async def _tower(self, vector: PhotoVector, deadline: Deadline) -> tuple[Model, TextTower]:
        model = await self._embedder.model_of(vector.embedding_space, deadline)
        if model.text is None:  # a reload took the tower away, or brought it, under the same space
            model = await self._embedder.model(deadline.remaining_s)
        if model.text is None or model.embedding_space != vector.embedding_space:
            raise _changed()
        return model, model.text


def _changed() -> UpstreamUnavailableError:
    return UpstreamUnavailableError(
        "the embedders changed their model during the request; retry", retry_after_ms=100
    )
