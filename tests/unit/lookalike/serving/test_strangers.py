"""What a server says of its doors, and how it closes them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from lookalike.embedder.v1 import embedder_pb2 as pb
from lookalike.embedder.v1.embedder_pb2_grpc import EmbedderServiceStub
from lookalike.errors import LookalikeError, RateLimitedError, StartupError
from lookalike.serving.local_stack import ServiceProcess
from tests.certificates import Authority
from tests.echo_service import StartEcho

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
    certificate, key = Authority(tmp_path / "tls").issue("server")
    other = Authority(tmp_path / "other").issue("server")[1]
    for settings, said in (
        ({"tls_certificate": certificate}, "ECHO_TLS_CERTIFICATE and ECHO_TLS_KEY must both be"),
        ({"tls_client_ca": certificate}, "ECHO_TLS_CERTIFICATE and ECHO_TLS_KEY must both be"),
        ({"tls_certificate": certificate, "tls_key": other}, f"{certificate} and {other}"),
        ({"tls_certificate": certificate, "tls_key": tmp_path / "no"}, "No such file"),
        ({"tls_certificate": key, "tls_key": key}, "ECHO_TLS_"),
        ({"tokens": tmp_path / "no"}, "ECHO_TOKENS"),
    ):
        with pytest.raises(StartupError) as caught:
            start(**settings)
        assert said in str(caught.value)


def test_calls_above_the_rate_are_refused_and_streams_wait(
    start: StartEcho, open_channel: OpenChannel, refusal: Refusal
) -> None:
    stub = EmbedderServiceStub(open_channel(start(rate_limit=20).address))
    for _ in range(20):
        stub.GetModel(pb.GetModelRequest())
    errors = [refusal(lambda: stub.GetModel(pb.GetModelRequest())) for _ in range(1)]
    assert isinstance(errors[0], RateLimitedError)
    assert errors[0].retry_after_ms
    time.sleep(errors[0].retry_after_ms / 1e3 + 0.05)
    started = time.monotonic()
    requests = (pb.StreamEmbedImagesRequest(id=str(number)) for number in range(10))
    assert len(list(stub.StreamEmbedImages(requests, timeout=60))) == 10
    assert time.monotonic() - started > 9 / 20 - 0.1
