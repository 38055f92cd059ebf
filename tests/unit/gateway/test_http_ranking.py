"""Ranking, likeness, prices and several photos of a thing, as JSON."""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from gateway.listings import Hit, Neighbors, PhotoVector, RankingMethod, SearchOptions
from gateway.photos import PhotoFailure
from gateway.price import PricedListing, PriceEstimate
from lookalike.errors import (
    DimensionMismatchError,
    InvalidImageError,
    LookalikeError,
    RankingUnavailableError,
)
from tests.http_face import LAMP, Asked, open_face, problem

PHOTO = b"a photo"
TWO = [("image", ("1.jpg", b"one")), ("image", ("2.jpg", b"two"))]
FAILURE = PhotoFailure(1, InvalidImageError("no photo", field="image"))
TOLD = {"photo": 1, "reason": "INVALID_IMAGE", "detail": "no photo"}


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
async def client(asked: Asked) -> AsyncIterator[httpx.AsyncClient]:
    async with open_face(asked) as client:
        yield client


@pytest.mark.parametrize("ranking", list(RankingMethod))
async def test_search_says_how_it_is_to_be_ranked(
    client: httpx.AsyncClient, asked: Asked, ranking: RankingMethod
) -> None:
    fields = {"ranking": ranking.value, "min_likeness": "0.5", "include_price": "true"}
    response = await client.post("/v1/similar", files={"image": PHOTO}, data=fields)
    assert response.status_code == 200, response.text
    as_json = {"item_id": "lamp-1", "ranking": ranking.value, "min_likeness": 0}
    await client.post("/v1/similar", json=as_json)
    (_, first), (_, second) = asked.queries
    assert first == SearchOptions(ranking=ranking, min_likeness=0.5, include_price=True)
    assert second == SearchOptions(ranking=ranking, min_likeness=0)


async def test_listings_say_how_likely_they_are_the_same_item_also_in_words(
    client: httpx.AsyncClient, asked: Asked
) -> None:
    said = {
        0.97: "almost certainly the same item",
        0.5: "probably the same item",
        0.1: "possibly the same item",
        0.0: "another item",
        None: "",
    }
    pounds = replace(LAMP, currency="GBP")
    hits = [Hit(pounds, 2.0, 0.75, likeness) for likeness in said]
    asked.found = Neighbors(hits, "", exact=False, candidates_ranked=200)
    asked.ranking = RankingMethod.BLEND
    body = (await client.post("/v1/similar", files={"image": PHOTO})).json()
    listings = body["listings"]
    assert {each["likeness"]: each["likeness_words"] for each in listings} == said
    first = listings[0]
    assert (first["distance"], first["ranked_by"], first["currency"]) == (2, 0.75, "GBP")
    assert (body["ranking"], body["candidates_ranked"], body["exact"]) == ("blend", 200, False)
    assert (body["price"], body["failures"]) == (None, [])


async def test_price_is_an_object_that_names_what_was_left_out(
    client: httpx.AsyncClient, asked: Asked
) -> None:
    far = PricedListing("sofa-1", "sofa", 900, "GBP", 0.1)
    asked.price = PriceEstimate(100, 80, 120, 0.8, 7, "GBP", [far])
    body = (await client.post("/v1/similar", files={"image": PHOTO})).json()
    assert body["price"] == {
        "median": 100,
        "low": 80,
        "high": 120,
        "coverage": 0.8,
        "listings": 7,
        "currency": "GBP",
        "outliers": [{"item_id": "sofa-1", "product_id": "sofa", "price": 900}],
    }


async def test_photos_that_could_not_be_used_are_named(
    client: httpx.AsyncClient, asked: Asked
) -> None:
    asked.failures = [FAILURE]
    body = (await client.post("/v1/similar", files=TWO, data={"allow_partial": "1"})).json()
    assert body["failures"] == [TOLD]


async def test_several_photos_of_a_listing_are_classified_together(
    client: httpx.AsyncClient, asked: Asked
) -> None:
    asked.failures = [FAILURE]
    fields = {"allow_partial": "true", "include_vector": "true"}
    body = (await client.post("/v1/classify", files=TWO, data=fields)).json()
    assert (asked.photos, asked.partial) == ([b"one", b"two"], [True])
    assert (body["category"], body["vector"], body["failures"]) == ("clothes", [1, 3, 2], [TOLD])
    assert [photo and photo["category"] for photo in body["photos"]] == ["clothes", None]
    assert (await client.post("/v1/classify", files=TWO)).json()["vector"] is None
    assert asked.partial == [True, False]


async def test_one_photo_is_classified_as_ever(client: httpx.AsyncClient, asked: Asked) -> None:
    body = (await client.post("/v1/classify", files={"image": PHOTO})).json()
    assert (body["photos"], body["failures"], asked.partial) == (None, [], [])


async def test_embed_tells_features_where_the_model_has_some(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = (await client.post("/v1/embed", files={"image": PHOTO})).json()
    assert body["features"] == [0.5, 0.25]
    monkeypatch.setattr("tests.http_face.VECTOR", PhotoVector((1.0,), "space"))
    body = (await client.post("/v1/embed", files={"image": PHOTO})).json()
    assert body["features"] is None


async def test_vector_is_looked_near_with_its_features(
    client: httpx.AsyncClient, asked: Asked
) -> None:
    sent = {"vector": [1, 2.5], "embedding_space": "s", "features": [0.5, 0.25]}
    await client.post("/v1/similar", json=sent)
    assert asked.queries[0][0] == PhotoVector((1.0, 2.5), "s", array("f", [0.5, 0.25]))


async def test_currency_is_ingested_and_told(client: httpx.AsyncClient, asked: Asked) -> None:
    fields = {"item_id": "i", "product_id": "p", "price": "3", "currency": "GBP"}
    await client.post("/v1/listings", data=fields, files={"image": PHOTO})
    assert asked.listings[0][0].currency == "GBP"
    photos = (await client.get("/v1/listings/lamp")).json()["photos"]
    assert [photo["currency"] for photo in photos] == ["", ""]


async def test_status_says_by_what_is_ranked_and_what_is_lacking(
    client: httpx.AsyncClient,
) -> None:
    body = (await client.get("/v1/status")).json()
    assert (body["ranking"], body["lacking"]) == ("category", [])
    assert (body["embedder"]["features_dimension"], body["index"]["photos_with_features"]) == (0, 0)


@pytest.mark.parametrize(
    "path", ["/predict/similar_images", "/predict/image", "/predict/embedding"]
)
async def test_paths_of_earlier_systems_keep_the_order_by_vector(
    client: httpx.AsyncClient, asked: Asked, path: str
) -> None:
    await client.post(path, files={"image": PHOTO})
    assert asked.queries[0][1].ranking is RankingMethod.CATEGORY


@pytest.mark.parametrize(
    ("path", "sent", "field", "words"),
    [
        ("/v1/similar", {"params": {"item_id": "a", "ranking": "best"}}, "ranking", "'blend'"),
        ("/v1/similar", {"params": {"item_id": "a", "min_likeness": "80%"}}, "min_likeness", "80%"),
        (
            "/v1/similar",
            {"json": {"item_id": "a", "features": [1]}},
            "features",
            "without a vector",
        ),
        ("/v1/similar", {"params": {"item_id": "a", "include_price": "?"}}, "include_price", "?"),
        ("/v1/classify", {"files": TWO[:1] * 17}, "image", "17 entries; it must have 0 to 16"),
        ("/v1/classify", {"files": TWO[:1] * 18}, "", "Too many files"),
        ("/v1/embed", {"files": TWO}, "image", "2 photos were sent; send one"),
    ],
)
async def test_bad_input_is_told_what_is_wrong(
    client: httpx.AsyncClient, path: str, sent: dict[str, Any], field: str, words: str
) -> None:
    response = await client.post(path, **sent)
    assert words in problem(response, 400, "INVALID_ARGUMENT", field)


@pytest.mark.parametrize(
    ("error", "status", "field"),
    [
        (RankingUnavailableError("lookalike reindex", field="ranking"), 409, "ranking"),
        (RankingUnavailableError("no curve", field="min_likeness"), 409, "min_likeness"),
        (DimensionMismatchError("short", field="vector.features"), 400, "features"),
        (InvalidImageError("photo 2: no", field="images[1]"), 400, "image"),
        (InvalidImageError("photo 2: no", field="images.images[1]"), 400, "image"),
    ],
)
async def test_errors_name_the_field_as_it_is_called_here(
    client: httpx.AsyncClient, asked: Asked, error: LookalikeError, status: int, field: str
) -> None:
    asked.error = error
    response = await client.post("/v1/similar", files={"image": PHOTO})
    assert problem(response, status, error.reason, field) == error.message


async def test_description_is_true_of_photos_and_stands_by_itself(
    client: httpx.AsyncClient,
) -> None:
    described = (await client.get("/openapi.json")).json()
    bodies = {
        path: described["paths"][path]["post"]["requestBody"]
        for path in ("/v1/classify", "/v1/similar", "/v1/embed")
    }
    image = {
        path: body["content"]["multipart/form-data"]["schema"]["properties"]["image"]
        for path, body in bodies.items()
    }
    assert [image[path].get("maxItems") for path in image] == [16, 16, None]
    assert [body["required"] for body in bodies.values()] == [False, False, True]
    similar = bodies["/v1/similar"]["content"]["multipart/form-data"]["schema"]["properties"]
    assert similar["ranking"]["anyOf"][0]["enum"] == list(RankingMethod)
    schemas = described["components"]["schemas"]
    missing = {
        ref
        for ref in _references(described)
        if ref.removeprefix("#/components/schemas/") not in schemas
    }
    assert missing == set()


def _references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*map(_references, node.values()))
    return set().union(*map(_references, node)) if isinstance(node, list) else set()
