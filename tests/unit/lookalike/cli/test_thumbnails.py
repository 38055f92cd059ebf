"""Whom the token is sent to for thumbnails."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from lookalike.cli.console import UsageError
from lookalike.cli.thumbnails import Thumbnails


class Server:
    """Answers with what `moved` says, or with a few bytes; keeps the tokens that came."""

    def __init__(self) -> None:
        self.moved = ""
        self.tokens: list[str | None] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.tokens.append(self.headers.get("Authorization"))
                self.send_response(302 if outer.moved else 200)
                if outer.moved:
                    self.send_header("Location", outer.moved)
                self.end_headers()
                self.wfile.write(b"" if outer.moved else b"jpeg")

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def servers() -> Iterator[tuple[Server, Server]]:
    first, second = Server(), Server()
    yield first, second
    first.stop()
    second.stop()


@pytest.mark.parametrize(
    "url",
    ["http://shop.example:8080", "http://192.0.2.1", "http://[2001:db8::1]:80", "http://unix"],
)
def test_a_token_in_plaintext_for_another_machine_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="without encryption"):
        Thumbnails(url, "secret")
    Thumbnails(url)
    Thumbnails(url.replace("http:", "https:"), "secret")


@pytest.mark.parametrize("url", ["http://localhost:1", "http://127.0.0.1", "http://[::1]:8080"])
def test_a_token_for_this_machine_needs_no_encryption(url: str) -> None:
    Thumbnails(url, "secret")


def test_what_is_no_url_is_refused_in_one_line() -> None:
    with pytest.raises(UsageError, match="--http"):
        Thumbnails("http://[::1")


def test_a_token_is_not_sent_where_the_gateway_redirects_to(
    servers: tuple[Server, Server],
) -> None:
    gateway, elsewhere = servers
    gateway.moved = elsewhere.url + "/thumbnail"
    assert Thumbnails(gateway.url, "secret").find("p1") == b"jpeg"
    assert gateway.tokens == ["Bearer secret"]
    assert elsewhere.tokens == [None]


def test_a_proxy_is_not_asked_for_this_machine(
    servers: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway, proxy = servers
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.delenv("no_proxy", raising=False)
    assert Thumbnails(gateway.url, "secret").find("p1") == b"jpeg"
    assert not proxy.tokens
