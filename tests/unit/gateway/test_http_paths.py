"""HEAD, Allow, slashes at the end of a path, and ids in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import quote

import httpx
import pytest

from gateway.listings import ProductId
from tests.http_face import Asked, open_face, problem

PHOTO = b"a photo"


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
async def client(asked: Asked) -> AsyncIterator[httpx.AsyncClient]:
    async with open_face(asked) as client:
        yield client


@pytest.mark.parametrize(
    "path",
    [
        "/", "/docs", "/openapi.json", "/static/app.css", "/healthcheck", "/v1/listings",
        "/v1/listings/lamp", "/v1/listings/none", "/v1/items/lamp-1", "/v1/map", "/v1/status",
        "/v1/thumbnails/none", "/nowhere",
    ],
)  # fmt: skip
async def test_head_answers_as_get_without_the_body(client: httpx.AsyncClient, path: str) -> None:
    get, head = await client.get(path), await client.head(path)
    assert head.content == b""
    assert (head.status_code, head.headers["content-type"]) == (
        get.status_code, get.headers["content-type"],
    )  # fmt: skip
    if "timings_ms" not in get.text:  # those differ in length
        assert head.headers["content-length"] == get.headers["content-length"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/listings", "GET, HEAD, POST"),
        ("DELETE", "/v1/listings", "GET, HEAD, POST"),
        ("POST", "/v1/listings/lamp", "DELETE, GET, HEAD"),
        ("POST", "/v1/status", "GET, HEAD"),
        ("OPTIONS", "/v1/status", "GET, HEAD"),
        ("GET", "/v1/classify", "POST"),
        ("HEAD", "/v1/classify", "POST"),
        ("POST", "/", "GET, HEAD"),
        ("POST", "/static/app.css", "GET, HEAD"),
        ("BREW", "/v1/map", "GET, HEAD"),
    ],
)
async def test_method_that_a_path_lacks_is_refused_with_those_that_it_has(
    client: httpx.AsyncClient, method: str, path: str, allowed: str
) -> None:
    response = await client.request(method, path)
    assert (response.status_code, response.headers["allow"]) == (405, allowed)
    for each in allowed.split(", "):
        assert (await client.request(each, path)).status_code != 405


@pytest.mark.parametrize(
    "path", ["/v1/status/", "/v1/listings/", "/docs/", "/healthcheck/", "/v1/map/"]
)
async def test_slash_at_the_end_makes_no_difference(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 200


async def test_slash_at_the_end_makes_no_difference_to_photos(
    client: httpx.AsyncClient, asked: Asked
) -> None:
    assert (await client.post("/v1/classify/", files={"image": PHOTO})).status_code == 200
    assert asked.photos == [PHOTO]
    fields = {"item_id": "a", "product_id": "b"}
    response = await client.post("/v1/listings/", files={"image": PHOTO}, data=fields)
    assert response.status_code == 200


@pytest.mark.parametrize("path", ["/v1/status//", "/v1/", "/static/", "/static", "/nowhere/"])
async def test_path_of_nothing_is_404_and_never_redirected(
    client: httpx.AsyncClient, path: str
) -> None:
    problem(await client.get(f"http://gateway{path}"), 404, "NOT_FOUND")


@pytest.mark.parametrize(
    "product_id",
    [
        "a\nb",
        "a\n",
        "\n",
        "a\r\n",
        "a/b",
        "/a",
        "a/",
        "a//b",
        "%0A",
        "a?b#c",
        " ",
        "ü",
        "\0",
        "...",
    ],
)
async def test_id_of_any_characters_can_be_deleted_by_its_path(
    client: httpx.AsyncClient, asked: Asked, product_id: str
) -> None:
    response = await client.delete(f"/v1/listings/{quote(product_id, safe='')}")
    assert response.status_code == 200
    assert asked.deleted == [(ProductId(product_id), "")]


@pytest.mark.parametrize("k", [None, 0])
async def test_no_k_and_0_mean_the_same(
    client: httpx.AsyncClient, asked: Asked, k: int | None
) -> None:
    fields = {} if k is None else {"k": str(k)}
    assert (await client.post("/v1/similar", params={"item_id": "a", **fields})).status_code == 200
    ((_, options),) = asked.queries
    assert options.k == 0
