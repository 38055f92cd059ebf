"""What the gateway knows of its upstreams, of the catalogue and of itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

import lookalike
from gateway.budget import Budget
from gateway.cache import CacheStatus, VectorCache
from gateway.embedder import EmbedderUpstream
from gateway.index import IndexUpstream
from gateway.lineage import Lineage
from lookalike.errors import CollectionNotFoundError, LookalikeError

# An upstream that hangs must not keep people from seeing that it does.
_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class EmbedderStatus:
    """The embedders as the gateway sees them; but for `target`, empty while none answers."""

    target: str
    ready: bool = False
    model_name: str = ""
    model_version: str = ""
    embedding_space: str = ""
    engine: str = ""
    precision: str = ""
    labels: Sequence[str] = ()
    dimension: int = 0


@dataclass(frozen=True)
class IndexStatus:
    """The index as the gateway sees it; but for names, empty while it does not answer."""

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


@dataclass(frozen=True)
class Status:
    """All of it, and why model and catalogue do not belong together, if so."""

    version: str
    embedder: EmbedderStatus
    index: IndexStatus
    cache: CacheStatus
    mismatch: str = ""


class StatusReporter:
    """Asks both upstreams; says what it can if they do not answer.

    Args:
        embedder: One of them.
        index: The other.
        lineage: Says whether they belong together.
        vectors: The gateway's cache.
    """

    def __init__(
        self,
        embedder: EmbedderUpstream,
        index: IndexUpstream,
        lineage: Lineage,
        vectors: VectorCache,
    ) -> None:
        self._embedder = embedder
        self._index = index
        self._lineage = lineage
        self._vectors = vectors

    async def status(self, budget: Budget) -> Status:
        """Returns the status; never fails for an upstream's sake."""
        timeout_s = min(_TIMEOUT_S, budget.remaining_s / 2)

        async def embedders() -> EmbedderStatus:
            with budget.hop("embed"):
                return await self._embedder_status(timeout_s)

        async def index() -> IndexStatus:
            with budget.hop("search"):
                return await self._index_status(timeout_s)

        embedder_status, index_status = await asyncio.gather(embedders(), index())
        return Status(
            lookalike.__version__,
            embedder_status,
            index_status,
            self._vectors.status,
            self._lineage.mismatch,
        )

    async def _embedder_status(self, timeout_s: float) -> EmbedderStatus:
        status = EmbedderStatus(self._embedder.target)
        try:
            model = await self._embedder.model(timeout_s)
        except LookalikeError:
            return status
        return replace(
            status,
            ready=True,
            model_name=model.name,
            model_version=model.version,
            embedding_space=model.embedding_space,
            engine=model.engine,
            precision=model.precision,
            labels=model.labels,
            dimension=model.dimension,
        )

    async def _index_status(self, timeout_s: float) -> IndexStatus:
        status = IndexStatus(self._index.target, self._index.collection)
        try:
            state, serving, (photos, listings) = await asyncio.gather(
                self._index.state(timeout_s), self._index.look(timeout_s), self._count(timeout_s)
            )
        except LookalikeError:
            return status
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
        )

    async def _count(self, timeout_s: float) -> tuple[int, int]:
        try:
            return await self._index.count(timeout_s)
        except CollectionNotFoundError:
            return 0, 0
