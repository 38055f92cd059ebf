"""Reports the status of the upstreams, the catalogue and the gateway."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import lookalike
from gateway import lacking
from gateway.cache import CacheStatus, VectorCache
from gateway.deadline import Deadline
from gateway.embedder import EmbedderUpstream
from gateway.index import IndexUpstream
from gateway.index_state import CollectionStats
from gateway.listings import RankingMethod
from gateway.models import Model
from gateway.queries import INDEX_TOO_OLD
from gateway.ranking import Ranker
from gateway.space_guard import EmbeddingSpaceGuard
from lookalike.errors import CollectionNotFoundError, LookalikeError

# An upstream that hangs must not delay the report that shows it.
_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class EmbedderStatus:
    """Status of the embedders; all but `target` is empty while none answers."""

    target: str
    ready: bool = False
    model_name: str = ""
    model_version: str = ""
    embedding_space: str = ""
    engine: str = ""
    precision: str = ""
    labels: Sequence[str] = ()
    dimension: int = 0
    features_dimension: int = 0
    text_encoder: str = ""


@dataclass(frozen=True)
class IndexStatus:
    """Status of the index; all but `target` and `collection` is empty while it does not answer."""

    target: str
    collection: str
    ready: bool = False
    backend: str = ""
    read_only: bool = False
    applied_seq: int = 0
    serving_collection: str = ""
    embedding_space: str = ""
    photos: int = 0
    listings: int = 0
    photos_with_features: int = 0
    finds_words: bool = False


@dataclass(frozen=True)
class Status:
    """Status of the gateway and its upstreams.

    Attributes:
        mismatch: Why the model cannot be used with the catalogue; empty if it can.
        ranking: The method where a caller does not name one.
        lacking: What model or catalogue lack for the best answers, a sentence each.
    """

    version: str
    embedder: EmbedderStatus
    index: IndexStatus
    cache: CacheStatus
    mismatch: str = ""
    ranking: RankingMethod = RankingMethod.CATEGORY
    lacking: Sequence[str] = ()


class StatusReporter:
    """Asks both upstreams, and reports what is known if they do not answer.

    Args:
        embedder: The embedders.
        index: The catalogue.
        space_guard: Compares their embedding spaces.
        vectors: The gateway's cache.
        ranker: Knows how listings are ranked.
    """

    def __init__(
        self,
        embedder: EmbedderUpstream,
        index: IndexUpstream,
        space_guard: EmbeddingSpaceGuard,
        vectors: VectorCache,
        ranker: Ranker,
    ) -> None:
        self._embedder = embedder
        self._index = index
        self._space_guard = space_guard
        self._vectors = vectors
        self._ranker = ranker

    async def status(self, deadline: Deadline) -> Status:
        """Returns the status; an upstream that fails makes no error."""
        timeout_s = min(_TIMEOUT_S, deadline.remaining_s / 2)

        async def embedders() -> Model | None:
            with deadline.hop("embed"), contextlib.suppress(LookalikeError):
                return await self._embedder.model(timeout_s)
            return None

        async def index() -> tuple[IndexStatus, CollectionStats | None]:
            with deadline.hop("search"):
                return await self._index_status(timeout_s)

        model, (index_status, held) = await asyncio.gather(embedders(), index())
        return Status(
            lookalike.__version__,
            _embedder_status(self._embedder.target, model),
            index_status,
            self._vectors.status,
            self._space_guard.mismatch,
            self._ranker.default,
            [sentence for sentence in self._lacking(model, held) if sentence],
        )

    def _lacking(self, model: Model | None, held: CollectionStats | None) -> Iterator[str]:
        if model:
            yield lacking.features_of_model(model)
            yield lacking.ranking_of_model(model)
            yield lacking.words_of_model(model)
        serving = self._index.serving
        if held is None or serving is None:
            return
        model = model or self._embedder.known_model(serving.embedding_space)
        # Missing features matter only if the model gives some.
        if model and model.features:
            yield lacking.features_of_collection(serving, model.features.dimension)
        yield lacking.words_of_collection(serving)
        if not self._index.can_rank:
            yield INDEX_TOO_OLD
        else:
            yield lacking.features_of_photos(serving, held)
            yield lacking.memory_of_index(serving, held)

    async def _index_status(self, timeout_s: float) -> tuple[IndexStatus, CollectionStats | None]:
        """Returns the status of the index and, if it answers, of the collection."""
        status = IndexStatus(self._index.target, self._index.collection)
        try:
            state, serving, (photos, listings) = await asyncio.gather(
                self._index.state(timeout_s), self._index.refresh(timeout_s), self._count(timeout_s)
            )
        except LookalikeError:
            return status, None
        held = state.held.get(serving.collection) if serving else None
        return replace(
            status,
            ready=True,
            backend=state.backend,
            read_only=state.read_only,
            applied_seq=state.applied_seq,
            serving_collection=serving.collection if serving else "",
            embedding_space=serving.embedding_space if serving else "",
            photos=photos,
            listings=listings,
            photos_with_features=held.photos_with_features if held else 0,
            finds_words=serving.finds_words if serving else False,
        ), held or CollectionStats()

    async def _count(self, timeout_s: float) -> tuple[int, int]:
        try:
            return await self._index.count(timeout_s)
        except CollectionNotFoundError:
            return 0, 0


def _embedder_status(target: str, model: Model | None) -> EmbedderStatus:
    if model is None:
        return EmbedderStatus(target)
    return EmbedderStatus(
        target,
        ready=True,
        model_name=model.name,
        model_version=model.version,
        embedding_space=model.embedding_space,
        engine=model.engine,
        precision=model.precision,
        labels=model.labels,
        dimension=model.dimension,
        features_dimension=model.features.dimension if model.features else 0,
        text_encoder=model.text.encoder if model.text else "",
    )
