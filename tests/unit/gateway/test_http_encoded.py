"""Photos in JSON: base64 and data URLs."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from gateway.listings import Photos
from tests.http_face import Asked, open_face, problem

PHOTO = bytes(range(256)) + b"\xff\xfb\xef"  # in base64 with + and /, and padded
PLAIN = base64.b64encode(PHOTO).decode()


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
async def client(asked: Asked) -> AsyncIterator[httpx.AsyncClient]:
    async with open_face(asked, max_message_bytes=1 << 16, max_image_bytes=2048) as client:
        yield client


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.rstrip("="),
        base64.urlsafe_b64encode(PHOTO).decode(),
        base64.encodebytes(PHOTO).decode(),  # in lines, as the command base64 writes it
        f"data:image/jpeg;base64,{PLAIN}",
        f"data:;base64,{PLAIN}",
        f"DATA:image/jpeg;name=a.jpg;BASE64,{PLAIN}",
    ],
)
@pytest.mark.parametrize("path", ["/v1/classify", "/v1/embed", "/v1/similar", "/predict/category"])
async def test_photo_comes_as_base64_or_data_url(
    client: httpx.AsyncClient, asked: Asked, path: str, text: str
) -> None:
    response = await client.post(path, json={"image": text})
    assert response.status_code == 200, response.text
    query = asked.queries[0][0] if asked.queries else Photos(tuple(asked.photos))
    assert query == Photos((PHOTO,))


async def test_several_photos_and_fields_come_together(
    client: httpx.AsyncClient, asked: Asked
) -> None:
    sent = {"images": [PLAIN, f"data:image/png;base64,{PLAIN}"], "k": 3, "category": ["tools"]}
    response = await client.post("/v1/similar", json=sent)
    assert response.status_code == 200, response.text
    ((query, options),) = asked.queries
    assert (query, options.k, options.filter.categories) == (Photos((PHOTO,) * 2), 3, ("tools",))
    sent = {"images": [PLAIN, PLAIN], "allow_partial": True}
    assert (await client.post("/v1/classify", json=sent)).status_code == 200
    assert asked.partial == [True]


async def test_photo_is_ingested_from_json(client: httpx.AsyncClient, asked: Asked) -> None:
    sent = {"image": PLAIN, "item_id": "a", "product_id": "b", "price": 4.5}
    assert (await client.post("/v1/listings", json=sent)).status_code == 200
    ((photo, _),) = asked.listings
    assert (asked.photos, photo.item_id, photo.price) == ([PHOTO], "a", 4.5)


@pytest.mark.parametrize(
    ("sent", "status", "reason", "words"),
    [
        ({"image": "not base64!"}, 400, "INVALID_ARGUMENT", "image is 'not base64!', which is not"),
        ({"image": "https://x/a.jpg"}, 400, "INVALID_ARGUMENT", "addresses are not fetched"),
        ({"image": "data:image/svg+xml,%3Csvg"}, 400, "INVALID_ARGUMENT", "is not of base64"),
        ({"image": "data:image/png;base64"}, 400, "INVALID_ARGUMENT", "is not of base64"),
        ({"image": 7}, 400, "INVALID_ARGUMENT", "image is of type int"),
        ({"image": {"b64": PLAIN}}, 400, "INVALID_ARGUMENT", "image is of type dict"),
        ({"images": [PLAIN, "ü"]}, 400, "INVALID_ARGUMENT", "images[1] is 'ü', which is not"),
        ({"images": ["\ud800"]}, 400, "INVALID_ARGUMENT", "images[0] is"),
        ({"images": [PLAIN] * 17}, 400, "INVALID_ARGUMENT", "17 entries; it must have 1 to 16"),
        ({"images": []}, 400, "INVALID_ARGUMENT", "0 photos were sent"),
        ({}, 400, "INVALID_ARGUMENT", "0 photos were sent"),
        (
            {"image": base64.b64encode(b"a" * 2049).decode()},
            413,
            "IMAGE_TOO_LARGE",
            "2,049 bytes; the limit is 2,048 (LOOKALIKE_GATEWAY_MAX_IMAGE_BYTES)",
        ),
    ],
)
async def test_what_is_no_photo_is_refused(
    client: httpx.AsyncClient,
    asked: Asked,
    sent: dict[str, Any],
    *,
    status: int,
    reason: str,
    words: str,
) -> None:
    headers = {"Content-Type": "application/json"}
    response = await client.post("/v1/classify", content=json.dumps(sent), headers=headers)
    assert words in problem(response, status, reason, "image")
    assert not asked.photos


async def test_description_says_so(client: httpx.AsyncClient) -> None:
    described = (await client.get("/openapi.json")).json()
    for path in ("/v1/classify", "/v1/similar", "/v1/embed"):
        content = described["paths"][path]["post"]["requestBody"]["content"]
        properties = content["application/json"]["schema"]["properties"]
        assert properties["image"]["type"] == "string"
        assert ("images" in properties) == (path != "/v1/embed")
