"""What goes wrong is said as problem details."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from lookalike import errors
from tests.http_face import Asked, open_face, problem

PHOTO = b"a photo"
LIMIT = 1 << 16


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
async def client(asked: Asked) -> AsyncIterator[httpx.AsyncClient]:
    async with open_face(asked, max_message_bytes=LIMIT, max_image_bytes=2048) as client:
        yield client


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (errors.InvalidImageError("no photo", field="image"), 400, "INVALID_IMAGE"),
        (errors.ImageTooLargeError("large", field="image"), 413, "IMAGE_TOO_LARGE"),
        (errors.ItemNotFoundError("none", field="image"), 404, "ITEM_NOT_FOUND"),
        (errors.EmbeddingSpaceMismatchError("x", field="image"), 409, "EMBEDDING_SPACE_MISMATCH"),
        (errors.QueueFullError("full", field="image"), 429, "QUEUE_FULL"),
        (errors.StorageFullError("full", field="image"), 507, "STORAGE_FULL"),
        (errors.UpstreamUnavailableError("gone", field="image"), 503, "UPSTREAM_UNAVAILABLE"),
        (errors.NotSupportedError("no", field="image"), 501, "NOT_SUPPORTED"),
        (errors.StoreCorruptedError("bad", field="image"), 500, "STORE_CORRUPTED"),
    ],
)
async def test_error_of_a_use_case_keeps_reason_field_and_text(
    client: httpx.AsyncClient,
    asked: Asked,
    error: errors.LookalikeError,
    status: int,
    reason: str,
) -> None:
    asked.error = error
    response = await client.post("/v1/classify", files={"image": PHOTO})
    assert problem(response, status, reason, "image") == error.message


async def test_every_grpc_code_has_a_status_of_an_error(
    client: httpx.AsyncClient, asked: Asked
) -> None:
    for code in type(errors.InternalError.code):
        asked.error = errors.ForeignError("x", code=code)
        if code.name != "OK":
            response = await client.get("/v1/status")
            assert 400 <= response.status_code < 600
            assert response.json()["reason"] == code.name


async def test_metadata_resource_and_retry_are_told(
    client: httpx.AsyncClient, asked: Asked
) -> None:
    asked.error = errors.UpstreamUnavailableError(
        "gone", metadata={"upstream": "index"}, resource=("index", "i"), retry_after_ms=1200
    )
    response = await client.post("/v1/classify", files={"image": PHOTO})
    assert response.headers["retry-after"] == "2"
    assert response.json()["metadata"] == {
        "upstream": "index",
        "resource_type": "index",
        "resource_name": "i",
    }


async def test_unknown_exception_tells_nothing_of_itself(
    client: httpx.AsyncClient, asked: Asked, caplog: pytest.LogCaptureFixture
) -> None:
    asked.error = RuntimeError("a secret")
    response = await client.post("/v1/classify", files={"image": PHOTO})
    assert "secret" not in problem(response, 500, "INTERNAL")
    assert "a secret" in caplog.text


FORM = {"Content-Type": "multipart/form-data; boundary=b"}
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("path", "sent", "status", "reason", "field", "words"),
    [
        ("/v1/classify", {}, 400, "INVALID_ARGUMENT", "image", "0 photos were sent; send one"),
        (
            "/v1/embed",
            {"files": [("image", PHOTO), ("file", PHOTO)]},
            400,
            "INVALID_ARGUMENT",
            "image",
            "2 photos",
        ),
        (
            "/v1/classify",
            {"files": {"photo": PHOTO}},
            400,
            "INVALID_ARGUMENT",
            "photo",
            "no file part 'photo'; name it `image`",
        ),
        (
            "/v1/classify",
            {"data": {"image": "text"}, "files": {"file": PHOTO}},
            400,
            "INVALID_ARGUMENT",
            "image",
            "text field",
        ),
        (
            "/v1/classify",
            {"content": b"x" * 2049, "headers": {"Content-Type": "image/png"}},
            413,
            "IMAGE_TOO_LARGE",
            "image",
            "2,049 bytes; the limit is 2,048 (LOOKALIKE_GATEWAY_MAX_IMAGE_BYTES)",
        ),
        (
            "/v1/classify",
            {"content": PHOTO, "headers": {"Content-Type": "text/plain"}},
            415,
            "UNSUPPORTED_MEDIA_TYPE",
            "Content-Type",
            "'text/plain'; it must be one of multipart/form-data, image/*",
        ),
        (
            "/v1/classify",
            {"content": PHOTO},
            415,
            "UNSUPPORTED_MEDIA_TYPE",
            "Content-Type",
            "not given",
        ),
        (
            "/v1/classify",
            {"content": PHOTO, "headers": {"Content-Type": "application/xml"}},
            415,
            "UNSUPPORTED_MEDIA_TYPE",
            "Content-Type",
            "application/json",
        ),
        (
            "/v1/classify",
            {"content": b"broken", "headers": FORM},
            400,
            "INVALID_ARGUMENT",
            "",
            "cannot be read",
        ),
        (
            "/v1/classify",
            {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}},
            400,
            "INVALID_ARGUMENT",
            "",
            "cannot be read",
        ),
        ("/v1/similar", {}, 400, "INVALID_ARGUMENT", "image", "0 things to look for"),
        (
            "/v1/similar",
            {"files": {"image": PHOTO}, "data": {"item_id": "x"}},
            400,
            "INVALID_ARGUMENT",
            "image",
            "2 things to look for",
        ),
        (
            "/v1/similar",
            {"content": b"{", "headers": {"Content-Type": "application/json"}},
            400,
            "INVALID_ARGUMENT",
            "",
            "not JSON",
        ),
        (
            "/v1/similar",
            {"content": b"[" * 5000, "headers": {"Content-Type": "application/json"}},
            400,
            "INVALID_ARGUMENT",
            "",
            "not JSON",
        ),
        ("/v1/similar", {"json": [1]}, 400, "INVALID_ARGUMENT", "", "not a JSON object"),
        (
            "/v1/similar",
            {"json": {"vector": ["x"]}},
            400,
            "INVALID_ARGUMENT",
            "vector.0",
            "(it is 'x')",
        ),
        (
            "/v1/similar",
            {"files": {"image": PHOTO}, "data": {"k": "many"}},
            400,
            "INVALID_ARGUMENT",
            "k",
            "valid integer",
        ),
        (
            "/v1/similar",
            {"files": {"image": PHOTO}, "params": {"min-price": "3"}},
            400,
            "INVALID_ARGUMENT",
            "min-price",
            "no field 'min-price'; there are category, min_price",
        ),
        (
            "/v1/similar",
            {"files": {"image": PHOTO}, "params": [("k", "3"), ("k", "4")]},
            400,
            "INVALID_ARGUMENT",
            "k",
            "given 2 times",
        ),
        (
            "/v1/listings",
            {"files": {"image": PHOTO}, "data": {"item_id": "x"}},
            400,
            "INVALID_ARGUMENT",
            "product_id",
            "Field required",
        ),
        (
            "/v1/classify",
            {"files": {"image": PHOTO}, "headers": {"X-Timeout-Ms": "soon"}},
            400,
            "INVALID_ARGUMENT",
            "X-Timeout-Ms",
            "'soon'",
        ),
        (
            "/v1/similar",
            {"json": {"category": [1] * 4097}},
            400,
            "INVALID_ARGUMENT",
            "category",
            "category has 4,097 entries; the limit is 4,096",
        ),
        (
            "/v1/similar",
            {"json": {"vector": [0] * 4097, "embedding_space": "s"}},
            400,
            "INVALID_ARGUMENT",
            "vector",
            "4,097 entries; the limit is 4,096",
        ),
        (
            "/v1/similar",
            {"content": b'{"category": ["tools", "\\ud800"]}', "headers": JSON},
            400,
            "INVALID_ARGUMENT",
            "category",
            "half of a surrogate pair",
        ),
        (
            "/v1/similar",
            {"content": b'{"item_id": "\\udfff"}', "headers": JSON},
            400,
            "INVALID_ARGUMENT",
            "item_id",
            "half of a surrogate pair",
        ),
        (
            "/v1/similar",
            {"content": b'{"\\ud800": 1}', "headers": JSON},
            400,
            "INVALID_ARGUMENT",
            "?",
            "no field '\\ud800'",
        ),
        (
            "/v1/classify",
            {"files": {"image": PHOTO}, "headers": {"X-Timeout-Ms": "9" * 5000}},
            400,
            "INVALID_ARGUMENT",
            "X-Timeout-Ms",
            "must be a number of milliseconds",
        ),
        (
            "/v1/similar",
            {"content": b'{"k": ' + b"1" * 5000 + b"}", "headers": JSON},
            400,
            "INVALID_ARGUMENT",
            "",
            "a number has thousands of digits",
        ),
        (
            "/v1/similar",
            {"content": b'"\xff"', "headers": JSON},
            400,
            "INVALID_ARGUMENT",
            "",
            "UTF-8",
        ),
        (
            "/v1/similar",
            {"json": {"item_id": "x", "k": True}},
            400,
            "INVALID_ARGUMENT",
            "k",
            "k is true; it is neither true nor false",
        ),
        (
            "/v1/classify",
            {"content": b'{"image": "\\ud800"}', "headers": JSON},
            400,
            "INVALID_ARGUMENT",
            "image",
            "which is not base64 (it has other letters)",
        ),
        (
            "/v1/classify",
            {
                "content": PHOTO,
                "headers": {"Content-Type": "image/jpeg", "Content-Encoding": "gzip"},
            },
            415,
            "UNSUPPORTED_MEDIA_TYPE",
            "Content-Encoding",
            "encoded with 'gzip'; send it as it is",
        ),
        ("/nowhere", {}, 404, "NOT_FOUND", "", "Not Found"),
        ("/static/%2e%2e/config.py", {}, 405, "METHOD_NOT_ALLOWED", "", "Method Not Allowed"),
        ("/healthcheck", {}, 405, "METHOD_NOT_ALLOWED", "", "Method Not Allowed"),
    ],
)
async def test_bad_request_is_told_what_is_wrong(
    client: httpx.AsyncClient,
    path: str,
    sent: dict[str, Any],
    *,
    status: int,
    reason: str,
    field: str,
    words: str,
) -> None:
    assert words in problem(await client.post(path, **sent), status, reason, field)


async def test_of_many_bad_values_five_are_told_and_of_large_ones_the_beginning(
    client: httpx.AsyncClient,
) -> None:
    response = await client.post("/v1/similar", json={"category": [1] * 4096})
    assert problem(response, 400, "INVALID_ARGUMENT", "category.0").count("valid string") == 5
    response = await client.post("/v1/similar", json={"k": "x" * 50_000})
    assert len(problem(response, 400, "INVALID_ARGUMENT", "k")) < 250


async def test_seventeen_photos_are_too_many(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/similar", files=[("image", PHOTO)] * 18)
    assert "Too many files" in problem(response, 400, "INVALID_ARGUMENT")


async def test_missing_listing_is_404(client: httpx.AsyncClient) -> None:
    assert problem(await client.get("/v1/listings/none"), 404, "ITEM_NOT_FOUND")


@pytest.mark.parametrize("path", ["/static/../config.py", "/static/%2e%2e/config.py", "/static/x"])
async def test_nothing_but_the_pages_files_is_served(client: httpx.AsyncClient, path: str) -> None:
    assert problem(await client.get(path), 404, "NOT_FOUND")
