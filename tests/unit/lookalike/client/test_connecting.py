"""TLS, tokens, and what a client may be told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from lookalike import TLS, Client
from lookalike.errors import (
    ImageTooLargeError,
    InvalidArgumentError,
    LookalikeError,
    UpstreamUnavailableError,
)
from lookalike.gateway.v1 import gateway_pb2 as pb
from tests.certificates import Authority
from tests.fake_services import FakeEmbedder, FakeGateway, Served, photos_until_all_have_some

Serve = Callable[..., Served]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@pytest.fixture
def stranger(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "stranger")


def test_tls_with_a_file_of_authorities(
    connect: Any, serve: Serve, gateway: FakeGateway, authority: Authority
) -> None:
    server = serve(gateway, credentials=authority.server("127.0.0.1"))
    for tls in (authority.roots, str(authority.roots), TLS(roots=authority.roots)):
        connect(server.address, tls=tls, token="secret").status()
    assert {seen["authorization"] for seen in gateway.metadata} == {"Bearer secret"}


def test_server_that_is_not_trusted_gets_no_call(
    connect: Any, serve: Serve, gateway: FakeGateway, authority: Authority, stranger: Authority
) -> None:
    server = serve(gateway, credentials=authority.server("127.0.0.1"))
    for tls in (True, False, stranger.roots):
        with pytest.raises(UpstreamUnavailableError, match=server.address):
            connect(server.address, tls=tls, retries=0).status()
    assert gateway.metadata == []


def test_servers_certificate_must_name_it(
    connect: Any, serve: Serve, gateway: FakeGateway, authority: Authority
) -> None:
    server = serve(gateway, credentials=authority.server("gateway.test"))
    with pytest.raises(UpstreamUnavailableError):
        connect(server.address, tls=authority.roots, retries=0).status()
    named = TLS(roots=authority.roots, server_name="gateway.test")
    connect(server.address, tls=named).status()


def test_mutual_tls(
    connect: Any, serve: Serve, gateway: FakeGateway, authority: Authority, stranger: Authority
) -> None:
    server = serve(gateway, credentials=authority.server("127.0.0.1", clients=authority))
    known = TLS(authority.roots, *authority.issue("mine", "client.test"))
    connect(server.address, tls=known).status()
    unknown = TLS(authority.roots, *stranger.issue("mine", "client.test"))
    for tls in (authority.roots, unknown):
        with pytest.raises(UpstreamUnavailableError):
            connect(server.address, tls=tls, retries=0).status()
    assert len(gateway.metadata) == 1


def test_streams_are_encrypted_and_carry_the_token_too(
    connect: Any, serve: Serve, authority: Authority
) -> None:
    embedders = FakeEmbedder(), FakeEmbedder()
    served = [serve(e, credentials=authority.server("127.0.0.1")) for e in embedders]
    target = ",".join(server.address for server in served)
    client = connect(embedder=target, tls=authority.roots, token="secret")
    found = dict(client.embed_many(photos_until_all_have_some(embedders)))
    assert len(found) >= 100
    assert not any(isinstance(outcome, Exception) for outcome in found.values())
    seen = [metadata for embedder in embedders for metadata in embedder.metadata]
    assert {metadata["authorization"] for metadata in seen} == {"Bearer secret"}


def test_missing_certificate_file_is_the_error_that_it_always_is(connect: Any) -> None:
    with pytest.raises(FileNotFoundError):
        connect(tls="/nowhere/roots.pem").status()


def test_token_that_is_a_function_is_asked_for_each_call(
    connect: Any, serve: Serve, gateway: FakeGateway
) -> None:
    tokens = iter(["first", "second"])
    client = connect(serve(gateway).address, token=lambda: next(tokens))
    client.status()
    client.status()
    seen = [metadata["authorization"] for metadata in gateway.metadata]
    assert seen == ["Bearer first", "Bearer second"]


def test_without_a_token_none_is_sent(connect: Any, serve: Serve, gateway: FakeGateway) -> None:
    connect(serve(gateway).address).status()
    assert "authorization" not in gateway.metadata[0]


@pytest.mark.parametrize(
    "arguments",
    [
        {"gateway": "shop.test:50050"},
        {"gateway": "dns:///shop.test:50050"},
        {"gateway": "10.0.0.1:50050"},
        {"embedder": "127.0.0.1:1,10.0.0.1:1"},
        {"embedder": "localhost.shop.test:1"},
    ],
)
def test_token_is_not_sent_to_other_machines_in_plaintext(arguments: dict[str, str]) -> None:
    with pytest.raises(InvalidArgumentError, match="without encryption"):
        Client(**arguments, token="secret")  # type: ignore[arg-type]
    Client(**arguments, token="secret", tls=True)  # type: ignore[arg-type]
    Client(**arguments, token="secret", insecure_token=True)  # type: ignore[arg-type]
    Client(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "target",
    ["127.0.0.1:1", "localhost:1", "[::1]:1", "dns:///localhost:1", "unix:/run/gateway.sock"],
)
def test_token_may_go_to_this_machine(target: str) -> None:
    Client(target, token="secret")


@pytest.mark.parametrize(
    "arguments",
    [
        {"timeout": 0},
        {"timeout": float("inf")},
        {"photo_timeout": -1},
        {"retries": 5},
        {"retries": -1},
        {"max_message_bytes": 0},
        {"embedder": "a.test:1,b.test:1"},
        {"embedder": "127.0.0.1:1,[::1]:1"},
    ],
)
def test_argument_that_makes_no_sense_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        Client(**arguments)
    name, value = next(iter(arguments.items()))
    assert name in str(caught.value) or str(value) in str(caught.value)


def test_error_in_a_token_function_is_the_callers(
    connect: Any, serve: Serve, gateway: FakeGateway
) -> None:
    def token() -> str:
        raise LookupError("no secret")

    with pytest.raises(LookupError, match="no secret"):
        connect(serve(gateway).address, token=token).status()


def test_embedder_that_is_not_ready_gets_nothing(connect: Any, serve: Serve) -> None:
    ready, loading = FakeEmbedder(), FakeEmbedder()
    served = [serve(ready), serve(loading)]
    served[1].set_ready(False)
    client = connect(embedder=",".join(server.address for server in served))
    assert len(list(client.embed_many((n, b"photo") for n in range(50)))) == 50
    assert (len(ready.received), loading.received) == (50, [])


def test_message_limit_is_both_ways(connect: Any, serve: Serve, gateway: FakeGateway) -> None:
    client = connect(serve(gateway).address, max_message_bytes=1000)
    scores = [pb.CategoryScore(category="x" * 2000)]
    gateway.answers["ClassifyImage"] = pb.ClassifyImageResponse(
        classification=pb.Classification(scores=scores)
    )
    with pytest.raises(LookalikeError) as caught:
        client.classify(b"x" * 900)
    assert caught.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("method", ["classify", "similar"])
def test_photos_that_are_too_large_together_are_refused_with_limit_and_value(
    connect: Any, serve: Serve, gateway: FakeGateway, method: str
) -> None:
    client = connect(serve(gateway).address, max_message_bytes=1000)
    with pytest.raises(ImageTooLargeError, match=r"has 12\d\d bytes; the limit is 1000") as caught:
        getattr(client, method)([b"x" * 600] * 2)
    assert "(max_message_bytes)" in caught.value.message
    assert gateway.requests == {}
