"""Upstreams that answer from memory, and servers for real ones to call."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.cache import VectorCache
from gateway.classify import Classifier
from gateway.embedder import EmbedderUpstream
from gateway.hedging import Hedger
from gateway.index import IndexUpstream
from gateway.index_state import ServingCollection
from gateway.ranking import Ranker
from gateway.reading import Reader
from gateway.search import SimilarListingFinder
from gateway.space_guard import EmbeddingSpaceGuard
from lookalike.channel import MAX_MESSAGE_BYTES
from lookalike.serving.health import HealthServicer
from tests.gateway_models import FEATURES, model_that_reads
from tests.gateways import EMBEDDER, FOUND, INDEX, FakeEmbedder, FakeIndex
from tests.upstream_services import FakeServices, fake_services, serving


@pytest.fixture
def embedder() -> FakeEmbedder:
    return FakeEmbedder()


@pytest.fixture
def index() -> FakeIndex:
    return FakeIndex()


@pytest.fixture
def reads_words(embedder: FakeEmbedder, index: FakeIndex) -> None:
    """Has the model read words, and the catalogue find `FOUND` by words and features."""
    embedder.served = model_that_reads()
    index.leads_to = ServingCollection("listings-space", "space", len(FEATURES), finds_words=True)
    index.neighbors = FOUND


@pytest.fixture
def vectors() -> VectorCache:
    return VectorCache(1 << 20)


@pytest.fixture
def reader(embedder: FakeEmbedder) -> Reader:
    return Reader(embedder)


@pytest.fixture
def classifier(embedder: FakeEmbedder, vectors: VectorCache, reader: Reader) -> Classifier:
    return Classifier(embedder, vectors, reader)


@pytest.fixture
def space_guard(embedder: FakeEmbedder, index: FakeIndex) -> EmbeddingSpaceGuard:
    return EmbeddingSpaceGuard(embedder, index, 60)


@pytest.fixture
def ranker(embedder: FakeEmbedder, index: FakeIndex) -> Ranker:
    return Ranker(embedder, index)


@pytest.fixture
def services() -> FakeServices:
    return fake_services()


@pytest.fixture
def health() -> HealthServicer:
    health = HealthServicer()
    health.set_ready(EMBEDDER, True)
    health.set_ready(INDEX, True)
    return health


@pytest.fixture
async def target(services: FakeServices, health: HealthServicer) -> AsyncIterator[str]:
    async with serving(services, health) as target:
        yield target


@pytest.fixture
async def called_embedder(target: str) -> AsyncIterator[EmbedderUpstream]:
    upstream = EmbedderUpstream(target, MAX_MESSAGE_BYTES, Hedger(0, 0))
    yield upstream
    await upstream.channel.close()


@pytest.fixture
async def called_index(target: str) -> AsyncIterator[IndexUpstream]:
    upstream = IndexUpstream(target, "listings", MAX_MESSAGE_BYTES)
    yield upstream
    await upstream.channel.close()


@pytest.fixture
def finder(
    classifier: Classifier,
    index: FakeIndex,
    space_guard: EmbeddingSpaceGuard,
    ranker: Ranker,
    reader: Reader,
) -> SimilarListingFinder:
    return SimilarListingFinder(classifier, index, space_guard, ranker, reader)
