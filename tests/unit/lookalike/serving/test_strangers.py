"""What a server says of its doors, and how it closes them."""

from __future__ import annotations

import json
import re
import ssl
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest

from lookalike.embedder.v1 import embedder_pb2 as pb
from lookalike.embedder.v1.embedder_pb2_grpc import EmbedderServiceStub
from lookalike.errors import LookalikeError, RateLimitedError, StartupError
from lookalike.serving.local_stack import ServiceProcess
from tests.certificates import Authority
from tests.echo_service import StartEcho
from tests.secured import TOKENS, write_tokens

OpenChannel = Callable[[str], grpc.Channel]
Refusal = Callable[[Callable[[], object]], LookalikeError]


def warnings(service: ServiceProcess) -> list[str]:
    lines = [json.loads(line) for line in service.log.read_text().splitlines()]
    return [line["event"] for line in lines if line["level"] == "warning"]


def test_a_server_that_lets_other_machines_in_says_so(start: StartEcho, tmp_path: Path) -> None:
    certificate, key = Authority(tmp_path / "tls").issue("server")
    assert warnings(start()) == []
    (said,) = warnings(start(host="0.0.0.0"))
    assert "without ECHO_TLS_CERTIFICATE and ECHO_TOKENS; --insecure says that it is" in said
    (said,) = warnings(start(host="0.0.0.0", tls_certificate=certificate, tls_key=key))
    assert "without ECHO_TOKENS;" in said
    assert warnings(start(host="0.0.0.0", insecure="true")) == []


def test_half_of_a_certificate_stops_the_start(start: StartEcho, tmp_path: Path) -> None:
    certificate = Authority(tmp_path / "tls").issue("server")[0]
    other = Authority(tmp_path / "other").issue("server")[1]
    both = "ECHO_TLS_CERTIFICATE and ECHO_TLS_KEY must both be set, since ECHO_"
    for settings, said in (
        ({"tls_certificate": certificate}, f"{both}TLS_CERTIFICATE is"),
        ({"tls_client_ca": certificate}, f"{both}TLS_CLIENT_CA is"),
        (
            {"tls_certificate": certificate, "tls_key": other},
            f"{other} (ECHO_TLS_KEY) is not the key of the certificate in {certificate} (ECHO_",
        ),
        (
            {"tls_certificate": certificate, "tls_key": tmp_path / "no"},
            f"{tmp_path / 'no'} (ECHO_TLS_KEY) cannot be read: No such file",
        ),
        ({"tokens": tmp_path / "no"}, f"{tmp_path / 'no'} (ECHO_TOKENS) cannot be read: No such"),
    ):
        with pytest.raises(StartupError) as caught:
            start(**settings)
        assert said in str(caught.value)


def test_calls_above_the_rate_are_refused_and_streams_wait(
    start: StartEcho, open_channel: OpenChannel, refusal: Refusal
) -> None:
    stub = EmbedderServiceStub(open_channel(start(rate_limit=20).address))
    # On a slow machine some more than 20.
    error = refusal(lambda: [stub.GetModel(pb.GetModelRequest()) for _ in range(1000)])
    assert isinstance(error, RateLimitedError)
    assert error.retry_after_ms
    time.sleep(error.retry_after_ms / 1e3 + 0.05)
    started = time.monotonic()
    requests = (pb.StreamEmbedImagesRequest(id=str(number)) for number in range(10))
    assert len(list(stub.StreamEmbedImages(requests, timeout=60))) == 10
    assert time.monotonic() - started > 9 / 20 - 0.1


def test_scrapes_are_no_calls_of_a_client(start: StartEcho, open_channel: OpenChannel) -> None:
    service = start(rate_limit=1, metrics_port=0)
    for _ in range(5):
        url = f"http://{service.announced('serving metrics')}/metrics"
        with urllib.request.urlopen(url, timeout=30) as answer:
            assert answer.status == 200
    EmbedderServiceStub(open_channel(service.address)).GetModel(pb.GetModelRequest())


def test_metrics_tell_when_the_certificate_ends_and_what_was_refused(
    start: StartEcho, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "tls")
    ends = datetime(2036, 5, 4, tzinfo=UTC)
    certificate, key = authority.issue("server", ends=ends)
    tokens = tmp_path / "tokens"
    write_tokens(tokens, TOKENS)
    service = start(metrics_port=0, tls_certificate=certificate, tls_key=key, tokens=tokens)
    request = urllib.request.Request(
        f"https://{service.announced('serving metrics')}/metrics",
        headers={"Authorization": f"Bearer {TOKENS['read']}"},
    )
    trust = ssl.create_default_context(cafile=str(authority.roots))

    def scrape() -> str:
        with urllib.request.urlopen(request, timeout=30, context=trust) as answer:
            return answer.read().decode()  # type: ignore[no-any-return]

    def wait_for(*lines: str) -> None:
        deadline = time.monotonic() + 30
        while not all(line in scrape() for line in lines):  # tokens are looked at once a second
            assert time.monotonic() < deadline
            time.sleep(0.1)

    refused = 'lookalike_renewal_refused{kind="%s"} %.1f\n'
    text = scrape()
    (told,) = re.findall(r"^lookalike_certificate_expiry_timestamp_seconds (.*)$", text, re.M)
    assert float(told) == ends.timestamp()
    assert refused % ("tokens", 0) in text
    assert refused % ("certificate", 0) in text
    good = key.read_bytes()
    tokens.write_text("")
    key.write_text("")
    wait_for(refused % ("tokens", 1), refused % ("certificate", 1))
    write_tokens(tokens, TOKENS)
    wait_for(refused % ("tokens", 0), refused % ("certificate", 1))
    key.write_bytes(good)
    wait_for(refused % ("certificate", 0))
