"""What the gateway knows of its upstreams, of the catalogue and of itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.budget import Budget


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
class CacheStatus:
    """What the cache of vectors holds, and how often it helped."""

    entries: int
    bytes: int
    max_bytes: int
    hits: int
    misses: int
    coalesced: int


@dataclass(frozen=True)
class Status:
    """All of it, and why model and catalogue do not belong together, if so."""

    version: str
    embedder: EmbedderStatus
    index: IndexStatus
    cache: CacheStatus
    mismatch: str = ""


class StatusReporter:
    """Asks both upstreams; says what it can if they do not answer."""

    async def status(self, budget: Budget) -> Status:
        """Returns the status; never fails for an upstream's sake."""
        raise NotImplementedError
