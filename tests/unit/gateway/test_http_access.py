"""How a browser says who it is: the page's session, beside other applications' cookies."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from gateway.http.access import COOKIE
from lookalike.serving.access import Guard, TokenFile
from lookalike.serving.setting_files import SettingFile
from tests.http_face import Asked, open_face, problem

TOKEN = "a-token-that-may-read"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def guard(tmp_path: Path) -> Guard:
    file = tmp_path / "tokens"
    file.write_text(f"page read {hashlib.sha256(TOKEN.encode()).hexdigest()}\n")
    return Guard(TokenFile(SettingFile("TOKENS", file)))


@pytest.mark.parametrize(
    "cookies",
    [
        f"{COOKIE}={TOKEN}",
        f'prefs={{"a":1}}; {COOKIE}={TOKEN}',
        f"a b=c; {COOKIE}={TOKEN}; =; ;;",
        f"{COOKIE}={TOKEN}; päge=[1,2]",
    ],
)
async def test_cookies_of_other_applications_do_not_hide_ours(guard: Guard, cookies: str) -> None:
    async with open_face(Asked(), guard=guard) as client:
        headers = {b"Cookie": cookies.encode()}
        assert (await client.get("/v1/status", headers=headers)).status_code == 200


@pytest.mark.parametrize("cookies", [f"x{COOKIE}={TOKEN}", f"{COOKIE}=", f"prefs={COOKIE}={TOKEN}"])
async def test_another_cookie_is_no_session(guard: Guard, cookies: str) -> None:
    async with open_face(Asked(), guard=guard) as client:
        response = await client.get("/v1/status", headers={"Cookie": cookies})
        assert problem(response, 401, "UNAUTHENTICATED")


@pytest.mark.parametrize("token", ["☃", "guessed", " "])
async def test_what_is_no_token_is_not_kept(guard: Guard, token: str) -> None:
    async with open_face(Asked(), guard=guard) as client:
        body = json.dumps({"token": token})
        response = await client.post("/session", content=body, headers=JSON)
        assert problem(response, 401, "UNAUTHENTICATED")
        assert "set-cookie" not in response.headers


@pytest.mark.parametrize("token", ["☃", TOKEN])
async def test_where_there_are_no_tokens_nobody_signs_in(token: str) -> None:
    async with open_face(Asked()) as client:
        response = await client.post("/session", json={"token": token})
        assert "LOOKALIKE_GATEWAY_TOKENS" in problem(response, 404, "NO_TOKENS")
        assert "set-cookie" not in response.headers


async def test_two_headers_of_authorization_are_none(guard: Guard) -> None:
    good, bad = ("Authorization", f"Bearer {TOKEN}"), ("Authorization", "Bearer guessed")
    async with open_face(Asked(), guard=guard) as client:
        assert (await client.get("/v1/status", headers=[good])).status_code == 200
        for headers in ([good, bad], [bad, good], [good, good]):
            response = await client.get("/v1/status", headers=headers)
            assert problem(response, 401, "UNAUTHENTICATED")
