"""The client against real services: all it can do, and embedders that die under it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import aclosing
from multiprocessing import get_context

import numpy as np
import pytest

from lookalike import AsyncClient, CataloguePhoto, Client, Embedding, ListingFilter, Ranking
from lookalike.client import Ingested
from lookalike.errors import InvalidImageError, ItemNotFoundError
from lookalike.model.bundle import Bundle
from lookalike.serving.local_stack import LocalStack, ServiceProcess
from tests.conftest import DrawPhoto, StartService

MANY = ListingFilter(product_ids=["many"])


@pytest.fixture
def client(stack: LocalStack) -> Iterator[Client]:
    with Client(
        stack.address("gateway"), embedder=stack.address("embedder_service"), timeout=30
    ) as client:
        yield client


@pytest.fixture
def embedders(start_service: StartService, tiny_bundle: Bundle) -> list[ServiceProcess]:
    return [
        start_service("embedder_service", bundle=tiny_bundle.path, drain_timeout_s=3)
        for _ in range(2)
    ]


def test_listing_from_ingest_to_delete(client: Client, draw_photo: DrawPhoto) -> None:
    photo = draw_photo(8001)
    lamp = CataloguePhoto("client-1", "client", "c", "Lamp", 12.5, "here")
    written = client.ingest(lamp, photo)
    assert not written.replaced
    assert client.get(item_id="client-1")[0].title == "Lamp"

    found = client.similar(
        photo, k=1, where=ListingFilter(product_ids=["client"]), min_seq=written.seq
    )
    assert found.hits[0].photo.price == 12.5
    assert found.hits[0].distance == pytest.approx(0, abs=1e-6)
    assert found.classification == written.classification

    classified = client.classify(photo, include_vector=True)
    assert classified.scores == written.classification.scores
    assert classified.embedding is not None
    by_vector = client.similar(vector=classified.embedding, k=1, where=ListingFilter(["c"]))
    assert by_vector.hits[0].photo.item_id == "client-1"

    assert client.delete(product_id="client").deleted == 1
    with pytest.raises(ItemNotFoundError):
        client.get(product_id="client")


def test_prices_of_similar_listings_make_a_fair_one(client: Client, draw_photo: DrawPhoto) -> None:
    for number, price in enumerate((10.0, 12.0, 14.0, 0.0)):
        photo = CataloguePhoto(
            f"fair-{number}", f"fair-{number}", "fair", price=price, currency="CHF"
        )
        client.ingest(photo, draw_photo(8050 + number))
    try:
        assert client.get(item_id="fair-1")[0].currency == "CHF"
        found = client.similar(
            draw_photo(8051), where=ListingFilter(["fair"]), include_price=True, ranking="category"
        )
        assert found.ranking is Ranking.CATEGORY
        assert found.hits[0].photo.item_id == "fair-1"
        assert [hit.ranked_by for hit in found] == [hit.distance for hit in found]
        price = found.price
        assert price is not None
        assert (price.listings, price.currency) == (3, "CHF"), "a gift is no price"
        assert 10 <= price.low <= price.median <= price.high <= 14
    finally:
        for number in range(4):
            client.delete(item_id=f"fair-{number}")


def test_a_listing_is_classified_by_all_photos_that_can_be_used(
    client: Client, draw_photo: DrawPhoto
) -> None:
    photos = [draw_photo(8060), draw_photo(8061)]
    alone = [client.classify(photo) for photo in photos]
    whole = client.classify(photos)
    assert whole.photos is not None
    assert [one and one.category for one in whole.photos] == [one.category for one in alone]
    with pytest.raises(InvalidImageError):
        client.classify([photos[0], b"not a photo"])
    partial = client.classify([photos[0], b"not a photo"], allow_partial=True)
    assert partial.photos is not None
    assert partial.photos[1] is None
    assert partial.scores == alone[0].scores
    (failure,) = partial.failures
    assert failure.photo == 1
    assert isinstance(failure.error, InvalidImageError)


def test_gateways_vector_is_the_embedders(client: Client, draw_photo: DrawPhoto) -> None:
    photo = draw_photo(8002)
    through = client.classify(photo, include_vector=True).embedding
    assert through is not None
    straight = client.embed(photo)
    assert np.allclose(through, straight, atol=1e-4)
    assert through.embedding_space == straight.embedding_space


def test_many_are_ingested_listed_and_deleted(client: Client, draw_photo: DrawPhoto) -> None:
    pairs = [(CataloguePhoto(f"many-{n}", "many"), draw_photo(8100 + n)) for n in range(50)]
    bad = [(CataloguePhoto("many-bad", "many"), b"not a photo")]
    found = dict(client.ingest_many(pairs[:25] + bad + pairs[25:]))
    assert isinstance(found.pop("many-bad"), InvalidImageError)
    assert len(found) == 50
    assert all(isinstance(outcome, Ingested) for outcome in found.values())
    listed = [photo.item_id for photo in client.listings(MANY, page_size=7)]
    assert sorted(listed) == sorted(found)
    assert client.delete(product_id="many").deleted == 50


def test_status_tells_of_both_upstreams(client: Client) -> None:
    status = client.status()
    assert status.embedder.ready
    assert status.index.ready
    model = client.model()
    assert status.embedder.embedding_space == model.embedding_space
    assert status.embedder.labels == model.labels
    assert status.ranking is not None


async def test_async_client_answers_alike(stack: LocalStack, draw_photo: DrawPhoto) -> None:
    async with AsyncClient(
        stack.address("gateway"), embedder=stack.address("embedder_service"), timeout=30
    ) as client:
        photos = [draw_photo(8200 + number) for number in range(20)]
        one_by_one = await asyncio.gather(*(client.embed(photo) for photo in photos))
        async with aclosing(client.embed_many(enumerate(photos))) as found:
            async for number, outcome in found:
                assert isinstance(outcome, Embedding)
                assert np.allclose(outcome, one_by_one[number], atol=1e-4)


@pytest.mark.parametrize("kind", ["Client", "AsyncClient"])
def test_embedder_that_is_killed_loses_no_photo_and_doubles_none(
    embedders: list[ServiceProcess], draw_photo: DrawPhoto, kind: str
) -> None:
    photos = [draw_photo(number) for number in range(16)]
    target = ",".join(embedder.address for embedder in embedders)
    count, found = 600, list[int]()

    def note(number: int, outcome: object) -> None:
        assert isinstance(outcome, Embedding), outcome
        found.append(number)
        if len(found) == 150:
            embedders[1].kill()

    pairs = ((number, photos[number % 16]) for number in range(count))
    if kind == "Client":
        with Client(embedder=target, timeout=30) as client:
            for number, outcome in client.embed_many(pairs):
                note(number, outcome)
    else:

        async def run() -> None:
            async with AsyncClient(embedder=target, timeout=30) as client:
                async for number, outcome in client.embed_many(pairs):
                    note(number, outcome)

        asyncio.run(run())
    assert Counter(found) == Counter(range(count))


def test_embedder_that_stops_politely_loses_no_photo(
    embedders: list[ServiceProcess], draw_photo: DrawPhoto
) -> None:
    photo = draw_photo(1)
    target = ",".join(embedder.address for embedder in embedders)
    found = []
    with Client(embedder=target, timeout=30) as client:
        for number, outcome in client.embed_many((n, photo) for n in range(400)):
            assert isinstance(outcome, Embedding), outcome
            found.append(number)
            if len(found) == 100:
                assert embedders[0].stop() == 0
    assert Counter(found) == Counter(range(400))


def test_client_is_handed_to_a_spawned_process(client: Client) -> None:
    with get_context("spawn").Pool(1) as pool:
        assert pool.apply(Client.status, (client,)).version == client.status().version
