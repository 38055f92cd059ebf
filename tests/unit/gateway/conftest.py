"""Upstreams that answer from memory and remember what they were asked."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gateway.budget import Budget
from gateway.listings import Hit, Listing, Neighbors, PhotoVector, Written
from gateway.upstreams import EmbedderUpstream, IndexUpstream


class FakeEmbedder(EmbedderUpstream):
    """Gives every photo the same logits; `error` is raised instead."""

    def __init__(self) -> None:
        self.logits: Sequence[float] = (1.0, 3.0, 2.0)
        self.known = {"space": ("books", "clothes", "tools")}
        self.error: Exception | None = None
        self.embedded: list[tuple[bytes, Budget]] = []

    async def embed(self, image: bytes, budget: Budget) -> PhotoVector:
        self.embedded.append((image, budget))
        if self.error:
            raise self.error
        return PhotoVector(self.logits, "space")

    async def labels(self, embedding_space: str, budget: Budget) -> Sequence[str]:
        return self.known[embedding_space]


class FakeIndex(IndexUpstream):
    """Finds one listing; `error` is raised instead."""

    def __init__(self) -> None:
        self.neighbors = Neighbors([Hit(Listing("photo", "listing"), 0.5)], "", exact=True)
        self.error: Exception | None = None
        self.searched: list[tuple[PhotoVector | str, int, Budget]] = []
        self.written: list[tuple[Listing, PhotoVector, Budget]] = []

    async def find(self, query: PhotoVector | str, k: int, budget: Budget) -> Neighbors:
        self.searched.append((query, k, budget))
        if self.error:
            raise self.error
        return self.neighbors

    async def upsert(self, listing: Listing, vector: PhotoVector, budget: Budget) -> Written:
        if self.error:
            raise self.error
        replaced = any(listing.item_id == known.item_id for known, _, _ in self.written)
        self.written.append((listing, vector, budget))
        return Written(len(self.written), replaced)


@pytest.fixture
def embedder() -> FakeEmbedder:
    return FakeEmbedder()


@pytest.fixture
def index() -> FakeIndex:
    return FakeIndex()
