"""Limits of requests, and callers who leave or come from elsewhere."""

from __future__ import annotations

import asyncio
import logging
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from gateway.config import GatewaySettings
from gateway.http.access import HttpAccess
from gateway.http.app import create_app
from gateway.http.middleware import DISCARDED_BYTES, RequestMiddleware
from lookalike.serving.access import Guard, RateLimiter
from tests.http_face import Asked, open_face, problem, use_cases

PHOTO = b"a photo"
LIMIT = 1 << 16


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
async def client(asked: Asked) -> AsyncIterator[httpx.AsyncClient]:
    async with open_face(asked, max_message_bytes=LIMIT, max_image_bytes=2048) as client:
        yield client


async def test_body_above_the_limit_is_read_to_its_end_and_refused(
    client: httpx.AsyncClient,
) -> None:
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(20):
            sent += 1
            yield b"x" * 8192

    response = await client.post("/v1/classify", content=body())
    detail = problem(response, 413, "REQUEST_TOO_LARGE")
    assert "163,840 bytes; the limit is 65,536 (LOOKALIKE_GATEWAY_MAX_MESSAGE_BYTES)" in detail
    assert sent == 20


async def test_body_that_says_to_be_enormous_is_not_read(client: httpx.AsyncClient) -> None:
    headers = {"Content-Length": str(LIMIT + DISCARDED_BYTES + 1)}

    async def body() -> AsyncIterator[bytes]:
        pytest.fail("it was read")
        yield b""

    response = await client.post("/v1/classify", content=body(), headers=headers)
    assert problem(response, 413, "REQUEST_TOO_LARGE")


async def test_body_that_never_ends_is_given_up(asked: Asked) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.Event().wait()

    async with open_face(asked, default_timeout_s=0.05) as client:
        response = await client.post("/v1/classify", content=body())
    assert "1 bytes did" in problem(response, 408, "REQUEST_TIMEOUT")


async def test_more_bodies_than_may_be_held_are_refused_with_a_time(asked: Asked) -> None:
    asked.wait_for = asyncio.Event()
    async with open_face(asked, max_http_bodies=1) as client:
        first = asyncio.create_task(client.post("/v1/classify", files={"image": PHOTO}))
        await asked.started.wait()
        second = await client.post("/v1/classify", files={"image": PHOTO})
        assert "LOOKALIKE_GATEWAY_MAX_HTTP_BODIES" in problem(second, 429, "QUEUE_FULL")
        assert second.headers["retry-after"] == "1"
        assert (await client.get("/healthcheck")).status_code == 200
        asked.wait_for.set()
        assert (await first).status_code == 200
        assert (await client.post("/v1/embed", files={"image": PHOTO})).status_code == 200


async def test_a_client_above_its_rate_is_refused_with_a_time_and_one_line_in_the_log(
    asked: Asked, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_face(asked, guard=Guard(limiter=RateLimiter(1)), log_requests=False) as client:
        caplog.set_level(logging.INFO, "gateway")
        assert (await client.get("/v1/status")).status_code == 200
        second = await client.get("/v1/status")
        assert "sends more than 1 requests a second" in problem(second, 429, "RATE_LIMITED")
        assert second.headers["retry-after"] == "1"
        assert (await client.get("/healthcheck")).status_code == 200
    assert [(r.levelname, r.message) for r in caplog.records] == [("INFO", "request")]


async def test_work_for_a_caller_who_left_is_cancelled(
    asked: Asked, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    asked.wait_for = asyncio.Event()
    app = create_app(use_cases(asked), None, GatewaySettings())
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/classify",
        "raw_path": b"/v1/classify",
        "query_string": b"",
        "headers": [(b"content-type", b"image/jpeg"), (b"content-length", b"1")],
        "client": ("127.0.0.1", 1),
    }
    messages = [{"type": "http.request", "body": b"x", "more_body": False}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await asked.started.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        pytest.fail(f"answered {message}")

    await asyncio.wait_for(app(scope, receive, send), 5)
    assert asked.cancelled
    assert [r.status for r in caplog.records if r.message == "request"] == [499]  # type: ignore[attr-defined]


async def test_body_is_handed_on_and_not_held_beside_what_becomes_of_it() -> None:
    held: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["more_body"]:
            pass
        held.append(tracemalloc.get_traced_memory()[0])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def body() -> AsyncIterator[bytes]:
        for _ in range(16):
            yield bytes(1 << 20)

    around = RequestMiddleware(
        app,
        HttpAccess(Guard()),
        max_body_bytes=1 << 25,
        max_bodies=1,
        body_timeout_s=30,
        log_all=False,
    )
    transport = httpx.ASGITransport(app=around)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        tracemalloc.start()
        response = await client.post("/", content=body())
        tracemalloc.stop()
    assert response.status_code == 200
    assert held[0] < 4 << 20


async def test_every_answer_has_its_headers_and_a_line_in_the_log(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for path, given in (("/v1/status", "my-id"), ("/nowhere", "ü" * 3), ("/", "x" * 129)):
        response = await client.get(path, headers={"X-Request-Id": given.encode()})
        got = response.headers["x-request-id"]
        assert got == given if path == "/v1/status" else len(got) == 32
        assert "default-src 'self'" in response.headers["content-security-policy"]
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"
    lines = [record.__dict__ for record in caplog.records if record.message == "request"]
    assert [(line["path"], line["status"]) for line in lines] == [
        ("/v1/status", 200),
        ("/nowhere", 404),
        ("/", 200),
    ]


async def test_pages_of_other_sites_cannot_write(client: httpx.AsyncClient, asked: Asked) -> None:
    # A sibling's subdomain and another port are of the same site; nobody knows what comes next.
    for site in ("cross-site", "same-site", "something-new", ""):
        headers = {"Sec-Fetch-Site": site}
        response = await client.delete("/v1/listings/lamp", headers=headers)
        assert problem(response, 403, "CROSS_SITE_REQUEST", "sec-fetch-site")
    assert asked.deleted == []
    for headers in (
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://behind-a-proxy"},
        {},
    ):
        assert (await client.delete("/v1/listings/lamp", headers=headers)).status_code == 200


async def test_where_browsers_tell_no_site_the_origin_must_be_the_host(
    client: httpx.AsyncClient, asked: Asked
) -> None:
    for origin in ("http://elsewhere", "http://gateway:81", "null", "http://[", ""):
        headers = {"Origin": origin}
        response = await client.delete("/v1/listings/lamp", headers=headers)
        assert problem(response, 403, "CROSS_SITE_REQUEST", "origin")
        assert (await client.get("/v1/listings/lamp", headers=headers)).status_code == 200
    assert asked.deleted == []
    headers = {"Origin": "http://gateway"}
    assert (await client.delete("/v1/listings/lamp", headers=headers)).status_code == 200
