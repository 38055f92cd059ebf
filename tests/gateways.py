"""Fakes for tests of the gateway: its upstreams as objects, and the services behind them."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Sequence
from typing import Any

from grpc import aio

from gateway.deadline import Deadline, LatencyWindow
from gateway.embedder import Embedded, EmbedderUpstream
from gateway.index import IndexUpstream
from gateway.index_state import CollectionStats, IndexState, ServingCollection
from gateway.items import NearPhoto, StoredPhoto
from gateway.listings import (
    Hit,
    ItemId,
    Neighbors,
    PhotoVector,
    Rerank,
    SearchOptions,
    Target,
    Words,
    Written,
)
from gateway.models import Model
from lookalike.catalogue.listings import CataloguePhoto, ListingFilter
from lookalike.errors import (
    ItemNotFoundError,
    LookalikeError,
)
from tests.gateway_models import FEATURES, model

Context = aio.ServicerContext[Any, Any]

EMBEDDER = "lookalike.embedder.v1.EmbedderService"
INDEX = "lookalike.index.v1.IndexService"
SPACE = "space-1"
VECTOR = PhotoVector((0.5, -2.0), SPACE)
LISTING = CataloguePhoto("photo", "listing", "tools", "A hammer", 0.0, "Basel")
LAMP = CataloguePhoto("lamp-1", "lamp", price=40.0)
FOUND = Neighbors([Hit(LAMP, 3.0, 0.25)], "", exact=False)


class FakeEmbedder(EmbedderUpstream):
    """Gives every photo the same logits, and features if the model that is served has some.

    `error` is raised instead, and those of single photos by their bytes; `gate` is waited for.
    """

    def __init__(self) -> None:
        self.target = "embedder:1"
        self.logits: Sequence[float] = (1.0, 3.0, 2.0)
        self.features: Sequence[float] = FEATURES
        self.complete = True
        self.served = model()
        self.asked_for_model = 0
        self._models = {}
        self.embedding_space = ""
        self.space_changed = lambda: None
        self.error: Exception | None = None
        self.errors: dict[bytes, Exception] = {}
        self.gate: asyncio.Event | None = None
        self.embedded: list[bytes] = []
        self.timeouts: list[float] = []
        self.bulk: list[bool] = []
        self.cancelled = 0
        self.latencies = {False: LatencyWindow(), True: LatencyWindow()}
        self.text_latencies = LatencyWindow()
        self.said: Sequence[float] = (2.0, 0.0, 4.0)  # logits of words
        self.meant: Sequence[float] = array("f", [0.0, 1.0, 0.0, 0.0])  # their features
        self.text_error: Exception | None = None
        self.words: list[Words] = []

    async def read(self, words: Words, timeout_s: float) -> Embedded:
        self.words.append(words)
        if error := self.text_error or self.error:
            raise error
        self.embedding_space = self.served.embedding_space
        features = self.meant if self.served.features else ()
        vector = PhotoVector(self.said, self.served.embedding_space, features)
        return Embedded(vector, 1, 2, 3, self.complete, tokens=5, truncated=True)

    async def embed(self, image: bytes, timeout_s: float, *, bulk: bool = False) -> Embedded:
        self.embedded.append(image)
        self.timeouts.append(timeout_s)
        self.bulk.append(bulk)
        if self.gate:
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        if error := self.errors.get(image) or self.error:
            raise error
        self.embedding_space = self.served.embedding_space
        features = self.features if self.served.features else ()
        vector = PhotoVector(self.logits, self.served.embedding_space, features)
        return Embedded(vector, 1, 2, 3, self.complete)

    @property
    def ready(self) -> bool:
        return self.error is None

    async def model(self, timeout_s: float) -> Model:
        self.asked_for_model += 1
        if self.error:
            raise self.error
        self._models[self.served.embedding_space] = self.served
        self._note_space(self.served.embedding_space)
        return self.served

    async def model_of(self, embedding_space: str, deadline: Deadline) -> Model:
        assert embedding_space == self.served.embedding_space
        self._models[embedding_space] = self.served
        return self.served


class FakeIndex(IndexUpstream):
    """Keeps photos in a dictionary and finds one listing; `error` is raised instead.

    Searches with `rerank` are answered with `ranked` if there is any, or fail with `rank_error`.
    """

    def __init__(self) -> None:
        self.target = "index:1"
        self.collection = "listings"
        self.leads_to: ServingCollection | None = ServingCollection("listings-space", "space")
        self.serving = None
        self.serving_changed = lambda: None
        self.read_latencies = LatencyWindow()
        self.can_rank = True
        self.refreshes = 0
        self.neighbors = Neighbors(
            [Hit(CataloguePhoto("photo", "listing"), 0.5, 0.5)], "", exact=True
        )
        self.ranked: Neighbors | None = None
        self.rank_error: LookalikeError | None = None
        self.reranks: list[Rerank | None] = []
        self.words: list[str] = []
        self.word_error: LookalikeError | None = None
        self.error: Exception | None = None
        self.write_error: Exception | None = None
        self.searched: list[tuple[ItemId | Sequence[PhotoVector], SearchOptions]] = []
        self.written: list[StoredPhoto] = []
        self.request_ids: list[str] = []
        self.kept: dict[str, StoredPhoto] = {}
        self.close_by: list[tuple[StoredPhoto, float]] = []
        self.close_by_features: dict[str, float] = {}
        self.looked_within: list[float] = []
        self.deleted: list[Target] = []
        self.read_only = False
        self.held: dict[str, CollectionStats] = {}

    def _check(self) -> None:
        if self.error:
            raise self.error

    async def find(
        self,
        query: ItemId | Sequence[PhotoVector],
        options: SearchOptions,
        deadline: Deadline,
        rerank: Rerank | None = None,
        words: str = "",
    ) -> Neighbors:
        self.searched.append((query, options))
        self.reranks.append(rerank)
        self.words.append(words)
        self._check()
        if words and self.word_error:
            raise self.word_error
        if rerank and self.rank_error:
            raise self.rank_error
        return self.ranked if rerank and self.ranked else self.neighbors

    async def near(
        self,
        vector: PhotoVector,
        deadline: Deadline,
        *,
        max_distance: float,
        limit: int,
        other_than: str,
        rerank: Rerank | None = None,
    ) -> list[NearPhoto]:
        self._check()
        self.looked_within.append(max_distance)
        self.reranks.append(rerank)
        if rerank and self.rank_error:
            raise self.rank_error
        written = [(stored, 0.0) for stored in self.kept.values()]
        near = [
            NearPhoto(stored, distance, self._sum(stored, distance, rerank))
            for stored, distance in [*self.close_by, *written]
            if stored.photo.product_id != other_than and distance <= max_distance
        ]
        return sorted(near, key=lambda each: each.ranked_by or 0.0)[:limit]

    def _sum(self, stored: StoredPhoto, distance: float, rerank: Rerank | None) -> float | None:
        if rerank is None:
            return None
        # As the index does it: without features, at 1.
        by_features = self.close_by_features.get(stored.photo.item_id, 1.0)
        return by_features + rerank.vector_weight * distance

    @property
    def ready(self) -> bool:
        return self.error is None

    async def get(self, item_id: str, deadline: Deadline) -> StoredPhoto:
        self._check()
        if item_id not in self.kept:
            raise ItemNotFoundError("no such item", resource=("item", item_id))
        return self.kept[item_id]

    async def page(
        self,
        listing_filter: ListingFilter,
        size: int,
        token: str,
        deadline: Deadline,
        *,
        vectors: bool = False,
    ) -> tuple[Sequence[StoredPhoto], str]:
        self._check()
        only = listing_filter.product_ids
        photos = [p for p in self.kept.values() if not only or p.photo.product_id in only]
        start = int(token or 0)
        following = str(start + size) if start + size < len(photos) else ""
        return photos[start : start + size], following

    async def upsert(
        self, stored: StoredPhoto, deadline: Deadline, request_id: str = ""
    ) -> Written:
        self._check()
        if self.write_error:
            raise self.write_error
        replaced = stored.photo.item_id in self.kept
        self.written.append(stored)
        self.request_ids.append(request_id)
        self.kept[stored.photo.item_id] = stored
        return Written(len(self.written), replaced)

    async def delete(self, target: Target, deadline: Deadline, request_id: str) -> tuple[int, int]:
        self._check()
        self.deleted.append(target)
        self.request_ids.append(request_id)
        return 1, 7

    async def refresh(self, timeout_s: float) -> ServingCollection | None:
        self.refreshes += 1
        self._check()
        self._note_serving(self.leads_to)
        return self.leads_to

    async def state(self, timeout_s: float) -> IndexState:
        self._check()
        return IndexState("native", self.read_only, 7, self.held)

    async def count(self, timeout_s: float) -> tuple[int, int]:
        self._check()
        return len(self.kept), len({stored.photo.product_id for stored in self.kept.values()})
