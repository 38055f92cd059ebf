"""What each path takes and answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.listings import Hit, ItemId, Photos, PhotoVector, ProductId
from gateway.thumbnails import ThumbnailStore
from lookalike.catalogue.listings import CataloguePhoto, ListingFilter
from tests.http_face import LAMP, VECTOR, Asked, open_face, problem

PHOTO = b"a photo"


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
async def client(asked: Asked) -> AsyncIterator[httpx.AsyncClient]:
    async with open_face(asked) as client:
        yield client


@pytest.mark.parametrize(
    "sent",
    [
        {"files": {"image": ("photo.jpg", PHOTO)}},
        {"files": {"file": ("photo.jpg", PHOTO)}},
        {"content": PHOTO, "headers": {"Content-Type": "image/jpeg"}},
        {"content": PHOTO, "headers": {"Content-Type": "Image/HEIC; charset=x"}},
        {"content": PHOTO, "headers": {"Content-Type": "application/octet-stream"}},
    ],
)
@pytest.mark.parametrize("path", ["/v1/classify", "/v1/embed", "/v1/similar", "/predict/category"])
async def test_photo_comes_as_part_of_a_form_or_as_the_body(
    client: httpx.AsyncClient, asked: Asked, path: str, sent: dict[str, Any]
) -> None:
    response = await client.post(path, **sent)
    assert response.status_code == 200, response.text
    arrived = asked.photos or list(asked.queries[0][0].images)  # type: ignore[union-attr]
    assert arrived == [PHOTO]


async def test_classify_tells_all_categories(client: httpx.AsyncClient) -> None:
    body = (await client.post("/v1/classify", files={"image": PHOTO})).json()
    assert (body["category"], body["probability"], body["cached"]) == ("clothes", 0.7, True)
    assert body["scores"][0] == {"category": "clothes", "index": 1, "probability": 0.7}
    assert len(body["scores"]) == 3
    assert body["vector"] is None
    assert body["timings_ms"].keys() == {"embed", "search", "total"}


async def test_classify_returns_the_vector_on_demand(client: httpx.AsyncClient) -> None:
    asked = {"include_vector": "true"}
    body = (await client.post("/v1/classify", files={"image": PHOTO}, data=asked)).json()
    assert body["vector"] == list(VECTOR.values)


async def test_embed_tells_the_embedding_space(client: httpx.AsyncClient) -> None:
    body = (await client.post("/v1/embed", files={"image": PHOTO})).json()
    assert (body["vector"], body["embedding_space"]) == ([1.0, 3.0, 2.0], "space")


async def test_similar_answers_with_listings_and_their_thumbnails(
    client: httpx.AsyncClient, asked: Asked
) -> None:
    odd = CataloguePhoto("a/b ü", "p", has_thumbnail=True)
    asked.found = type(asked.found)([*asked.found.hits, Hit(odd, 1.5, 1.5)], "few", exact=True)
    body = (await client.post("/v1/similar", files={"image": PHOTO})).json()
    assert body["listings"][0] == {
        "item_id": "lamp-1",
        "product_id": "lamp",
        "category": "tools",
        "title": "Brass lamp",
        "description": "",
        "price": 12.5,
        "currency": "",
        "location": "Leeds",
        "thumbnail": "/v1/thumbnails/lamp-1",
        "near_duplicate": None,
        "likeness": None,
        "likeness_words": "",
        "distance": 0.5,
        "ranked_by": 0.5,
    }
    assert body["listings"][1]["thumbnail"] == "/v1/thumbnails/a%2Fb%20%C3%BC"
    assert (body["shortfall"], body["classification"]["category"]) == ("few", "clothes")


@pytest.mark.parametrize("where", ["query", "form"])
async def test_filters_come_in_the_query_or_in_the_form(
    client: httpx.AsyncClient, asked: Asked, where: str
) -> None:
    fields = {
        "k": "7",
        "category": ["tools", "books"],
        "min_price": "1.5",
        "max_price": "",  # as a form sends what nobody filled in
        "location": "Leeds",
        "exclude_product_id": "lamp",
        "max_distance": "4",
        "every_photo": "true",
        "near_duplicates": "true",
        "exact": "1",
        "min_seq": "3",
        "allow_partial": "true",
    }
    arguments: dict[str, Any] = {"params": fields} if where == "query" else {"data": fields}
    response = await client.post("/v1/similar", files={"image": PHOTO}, **arguments)
    assert response.status_code == 200, response.text
    _, options = asked.queries[0]
    assert options.filter == ListingFilter(
        categories=("tools", "books"),
        min_price=1.5,
        locations=("Leeds",),
        exclude_product_ids=("lamp",),
        near_duplicates=True,
    )
    assert (options.k, options.max_distance, options.every_photo) == (7, 4, True)
    assert (options.exact, options.min_seq, options.allow_partial) == (True, 3, True)


async def test_several_photos_are_one_query(client: httpx.AsyncClient, asked: Asked) -> None:
    files = [("image", ("1.jpg", b"one")), ("image", ("2.jpg", b"two"))]
    assert (await client.post("/v1/similar", files=files)).status_code == 200
    assert asked.queries[0][0] == Photos((b"one", b"two"))


@pytest.mark.parametrize(
    ("sent", "query"),
    [
        ({"params": {"item_id": "lamp-1"}}, ItemId("lamp-1")),
        ({"data": {"item_id": "lamp-1"}}, ItemId("lamp-1")),
        ({"json": {"item_id": "lamp-1", "k": 3, "category": "x"}}, ItemId("lamp-1")),
        (
            {"json": {"vector": [1, 2.5], "embedding_space": "s", "max_price": None}},
            PhotoVector((1.0, 2.5), "s"),
        ),
    ],
)
async def test_similar_takes_an_item_or_a_vector_too(
    client: httpx.AsyncClient, asked: Asked, sent: dict[str, Any], query: object
) -> None:
    response = await client.post("/v1/similar", **sent)
    assert response.status_code == 200, response.text
    assert asked.queries[0][0] == query
    assert response.json()["classification"] is None


async def test_ingest_hands_on_listing_photo_and_key(
    client: httpx.AsyncClient, asked: Asked
) -> None:
    fields = {"item_id": "i", "product_id": "p", "price": "3", "title": "T", "request_id": "r"}
    body = (await client.post("/v1/listings", data=fields, files={"image": PHOTO})).json()
    assert (body["item_id"], body["seq"], body["replaced"]) == ("i", 7, False)
    assert asked.listings == [(CataloguePhoto("i", "p", title="T", price=3.0), "r")]
    assert asked.photos == [PHOTO]


async def test_catalogue_is_read_and_deleted_from(client: httpx.AsyncClient, asked: Asked) -> None:
    params = {"category": "tools", "page_size": "5", "page_token": "t", "max_price": "9"}
    page = (await client.get("/v1/listings", params=params)).json()
    assert (page["photos"][0]["item_id"], page["next_page_token"]) == ("lamp-1", "next")
    assert asked.pages == [(ListingFilter(categories=("tools",), max_price=9.0), 5, "t")]
    photos = (await client.get("/v1/listings/lamp")).json()["photos"]
    assert [(p["item_id"], p["thumbnail"], p["price"]) for p in photos] == [
        ("lamp-1", "/v1/thumbnails/lamp-1", 12.5),
        ("lamp-2", None, None),
    ]
    assert (await client.get("/v1/listings/a%2Fb")).status_code == 200
    (photo,) = (await client.get("/v1/items/lamp-1")).json()["photos"][:1]
    assert (photo["item_id"], photo["product_id"]) == ("lamp-1", "lamp")
    problem(await client.get("/v1/items/none"), 404, "ITEM_NOT_FOUND")
    gone = (await client.delete("/v1/listings/lamp", params={"request_id": "r"})).json()
    assert (gone["deleted"], gone["seq"]) == (2, 9)
    assert asked.deleted == [(ProductId("lamp"), "r")]


async def test_status_tells_of_upstreams_and_limits(client: httpx.AsyncClient) -> None:
    body = (await client.get("/v1/status")).json()
    assert (body["embedder"]["model_name"], body["index"]["photos"]) == ("model", 3)
    assert body["limits"] == {"max_image_bytes": 12 << 20, "max_request_bytes": 16 << 20}
    assert (body["thumbnails"], body["mismatch"]) == (False, "")


async def test_map_is_drawn_once_for_many(client: httpx.AsyncClient, asked: Asked) -> None:
    assert (await client.get("/v1/map")).json()["points"] == []
    asked.catalogue = [
        (LAMP, PhotoVector((0.0, 1.0, 5.0), "s")),
        (CataloguePhoto("b", "b"), PhotoVector((3.0, 1.0, 0.0), "s")),
    ]
    first = (await client.get("/v1/map")).json()
    assert {point["item_id"] for point in first["points"]} == {"lamp-1", "b"}
    assert all(0 <= point["x"] <= 1 and 0 <= point["y"] <= 1 for point in first["points"])
    assert first["explained"] == pytest.approx(1)
    sampled = asked.sampled
    assert (await client.get("/v1/map")).json() == first
    assert asked.sampled == sampled


async def test_thumbnail_is_served_with_a_tag(
    asked: Asked, tmp_path: Path, draw_photo: Any
) -> None:
    store = ThumbnailStore(str(tmp_path))
    store.open()
    await store.keep("a/../b", draw_photo(1))
    async with open_face(asked, store) as client:
        response = await client.get("/v1/thumbnails/a%2F..%2Fb")
        assert response.headers["content-type"] == "image/webp"
        assert "max-age" in response.headers["cache-control"]
        assert response.content[8:12] == b"WEBP"
        again = {"If-None-Match": response.headers["etag"]}
        known = await client.get("/v1/thumbnails/a%2F..%2Fb", headers=again)
        assert (known.status_code, known.content) == (304, b"")
        missing = await client.get("/v1/thumbnails/none")
        assert (missing.status_code, missing.json()["reason"]) == (404, "THUMBNAIL_NOT_FOUND")
        assert (await client.get("/v1/status")).json()["thumbnails"] is True
    store.close()


async def test_thumbnail_is_not_waited_for_longer_than_the_caller_does(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ThumbnailStore(str(tmp_path))

    async def hang(item_id: str) -> bytes | None:
        await asyncio.Event().wait()
        return None

    monkeypatch.setattr(store, "read", hang)
    async with open_face(asked, store) as client:
        response = await client.get("/v1/thumbnails/a", headers={"X-Timeout-Ms": "10"})
    assert (response.status_code, response.json()["reason"]) == (504, "DEADLINE_EXCEEDED")


async def test_paths_of_earlier_systems_answer_as_they_did(
    client: httpx.AsyncClient, asked: Asked
) -> None:
    async def post(path: str, part: str = "image", **fields: str) -> Any:
        response = await client.post(path, files={part: PHOTO}, data=fields)
        assert response.status_code == 200, response.text
        return response.json()

    message = (await client.get("/healthcheck")).json()
    assert message.keys() == {"message"}
    assert await post("/predict/feature_embedding") == {"features": [1.0, 3.0, 2.0]}
    assert await post("/predict/category") == {"category_index": 1, "category": "clothes"}
    neighbours = await post("/predict/similar_images", text="ignored, as ever")
    assert neighbours == {"similar_index": [0], "image_labels": ["lamp-1"]}
    assert await post("/predict/image", "file", num_results="3") == {
        "category_index": 1,
        "category": "clothes",
        "image_ids": ["lamp-1"],
        "product_ids": ["lamp"],
        "Category": "clothes",
        "Probabilities": {"clothes": 0.7, "tools": 0.2, "books": 0.1},
    }
    assert await post("/predict/embedding", "file") == {"image_ids": ["lamp-1"]}
    assert [options.k for _, options in asked.queries] == [4, 3, 5]
    assert all(options.every_photo for _, options in asked.queries)


async def test_time_is_the_callers_or_the_default(client: httpx.AsyncClient, asked: Asked) -> None:
    await client.post("/v1/classify", files={"image": PHOTO})
    headers = {"X-Timeout-Ms": "1500"}
    await client.post("/v1/classify", files={"image": PHOTO}, headers=headers)
    default, given = asked.deadlines
    assert 20 < default.remaining_s <= 30
    assert 1 < given.remaining_s <= 1.5


async def test_description_covers_every_path_and_its_problems(client: httpx.AsyncClient) -> None:
    described = (await client.get("/openapi.json")).json()
    assert described["paths"].keys() == {
        "/v1/classify",
        "/v1/embed",
        "/v1/similar",
        "/v1/listings",
        "/v1/listings/{product_id}",
        "/v1/items/{item_id}",
        "/v1/thumbnails/{item_id}",
        "/v1/map",
        "/session",
        "/v1/status",
        "/healthcheck",
        "/predict/feature_embedding",
        "/predict/category",
        "/predict/similar_images",
        "/predict/image",
        "/predict/embedding",
        "/predict/text",
        "/predict/combined",
    }
    operations = [op for path in described["paths"].values() for op in path.values()]
    assert all({"4XX", "5XX"} <= op["responses"].keys() for op in operations)
    assert all("422" not in op["responses"] and op["summary"] for op in operations)
    body = described["paths"]["/v1/similar"]["post"]["requestBody"]["content"]
    assert body.keys() == {"multipart/form-data", "image/*", "application/json"}
    assert "reason" in described["components"]["schemas"]["Problem"]["properties"]
