"""The port of metrics: its TLS, its tokens, and callers who never say a word."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from lookalike.errors import PermissionDeniedError, StartupError, UnauthenticatedError
from lookalike.serving import metrics_endpoint
from lookalike.serving.metrics_endpoint import MetricsEndpoint
from lookalike.serving.setting_files import SettingFile
from lookalike.serving.tls import ServerTLS
from tests.certificates import Authority

Serve = Callable[..., MetricsEndpoint]


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Gauge("answer", "To everything.", registry=registry).set(42)
    return registry


@pytest.fixture
def serve(registry: CollectorRegistry) -> Iterator[Serve]:
    endpoints: list[MetricsEndpoint] = []

    def serve(
        context: ssl.SSLContext | None = None, admit: metrics_endpoint.Admit | None = None
    ) -> MetricsEndpoint:
        endpoint = MetricsEndpoint(registry, "127.0.0.1", 0, "ECHO_", context=context, admit=admit)
        endpoint.bind()
        endpoint.start()
        endpoints.append(endpoint)
        return endpoint

    yield serve
    for endpoint in endpoints:
        endpoint.stop()


def tls(certificate: Path, key: Path) -> ServerTLS:
    return ServerTLS(SettingFile("CERTIFICATE", certificate), SettingFile("KEY", key))


def ask(
    connection: http.client.HTTPConnection, path: str = "/metrics", token: str = ""
) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    connection.request("GET", path, headers=headers)
    with connection.getresponse() as answer:
        status, words = answer.status, answer.read().decode()
    connection.close()
    return status, words


def plain(endpoint: MetricsEndpoint) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(endpoint.address, timeout=30)


def test_answers_its_path_and_no_other(serve: Serve) -> None:
    endpoint = serve()
    status, words = ask(plain(endpoint), "/metrics?name[]=answer")
    assert status == 200
    assert "answer 42.0" in words
    assert ask(plain(endpoint), "/")[0] == 404


def test_asks_for_a_token_where_it_is_told_to(serve: Serve) -> None:
    asked: list[tuple[str, str]] = []

    def admit(authorization: str, address: str) -> None:
        asked.append((authorization, address))
        if not authorization:
            raise UnauthenticatedError("a token is needed")
        if authorization != "Bearer good":
            raise PermissionDeniedError("not with this one")

    endpoint = serve(admit=admit)
    assert ask(plain(endpoint)) == (401, "a token is needed\n")
    assert ask(plain(endpoint), token="bad") == (403, "not with this one\n")
    assert ask(plain(endpoint), token="good")[0] == 200
    assert asked[-1] == ("Bearer good", "127.0.0.1")
    connection = plain(endpoint)
    connection.putrequest("GET", "/metrics")
    for token in ("good", "bad"):
        connection.putheader("Authorization", f"Bearer {token}")
    connection.endheaders()
    with connection.getresponse() as answer:
        assert answer.status == 403
    connection.close()
    assert asked[-1][0] == "Bearer good, Bearer bad"


def test_speaks_tls_with_the_newest_certificate(serve: Serve, tmp_path: Path) -> None:
    first, second = Authority(tmp_path / "first"), Authority(tmp_path / "second")
    certificate, key = first.issue("server")
    endpoint = serve(tls(certificate, key).context())

    def secure(authority: Authority) -> http.client.HTTPConnection:
        context = ssl.create_default_context(cafile=str(authority.roots))
        return http.client.HTTPSConnection(endpoint.address, timeout=30, context=context)

    assert ask(secure(first))[0] == 200
    renewed, its_key = second.issue("server")
    its_key.replace(key)
    renewed.replace(certificate)
    assert ask(secure(second))[0] == 200
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(secure(first))
    with pytest.raises((http.client.HTTPException, OSError)):
        ask(plain(endpoint))
    assert ask(secure(second))[0] == 200


def test_silent_callers_are_cut_off_and_hold_up_no_other(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = Authority(tmp_path).issue("server")
    monkeypatch.setattr(metrics_endpoint, "_PATIENCE_S", 0.2)
    endpoint = serve(tls(certificate, key).context())
    host, _, port = endpoint.address.rpartition(":")
    silent = [socket.create_connection((host, int(port)), 30) for _ in range(40)]
    for connection in silent:
        with connection:
            assert connection.recv(1) == b""
    context = ssl.create_default_context(cafile=str(tmp_path / "roots.pem"))
    secure = http.client.HTTPSConnection(endpoint.address, timeout=30, context=context)
    assert ask(secure)[0] == 200


def test_those_who_only_connect_keep_nobody_from_asking(serve: Serve) -> None:
    endpoint = serve()
    host, _, port = endpoint.address.rpartition(":")
    with contextlib.ExitStack() as silent:
        for _ in range(5):
            for _ in range(20):
                silent.enter_context(socket.create_connection((host, int(port)), 30))
            assert ask(plain(endpoint))[0] == 200


def test_whoever_has_asked_makes_way_for_nobody(serve: Serve, registry: CollectorRegistry) -> None:
    begun, go = threading.Event(), threading.Event()

    class Slow(Collector):
        def collect(self) -> Iterator[Metric]:
            begun.set()
            assert go.wait(30)
            yield from ()

    endpoint = serve()
    registry.register(Slow())
    host, _, port = endpoint.address.rpartition(":")
    with ThreadPoolExecutor(1) as pool, contextlib.ExitStack() as silent:
        asked = pool.submit(ask, plain(endpoint))
        assert begun.wait(30)
        for _ in range(40):
            silent.enter_context(socket.create_connection((host, int(port)), 30))
        assert ask(plain(endpoint), "/")[0] == 404, "all before it were accepted"
        go.set()
        assert asked.result(30)[0] == 200


def test_a_request_that_comes_byte_by_byte_is_cut_off_as_a_whole(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_endpoint, "_PATIENCE_S", 0.3)
    host, _, port = serve().address.rpartition(":")
    with socket.create_connection((host, int(port)), 30) as slow:
        slow.settimeout(0.05)
        slow.sendall(b"GET /metrics HTTP/1.1\r\nA: ")
        ended = False
        for _ in range(40):
            try:
                slow.sendall(b"a")
                ended = slow.recv(1) == b""
            except TimeoutError:
                continue
            except OSError:
                ended = True
            if ended:
                break
    assert ended


# The library leaves it to the collector to close what it could not wrap.
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
def test_callers_who_hang_up_before_tls_hold_up_no_other(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = Authority(tmp_path).issue("server")
    monkeypatch.setattr(metrics_endpoint, "_PAUSE_S", 30)
    endpoint = serve(tls(certificate, key).context())
    host, _, port = endpoint.address.rpartition(":")
    for _ in range(10):
        reset = socket.create_connection((host, int(port)), 30)
        reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        reset.close()
    context = ssl.create_default_context(cafile=str(tmp_path / "roots.pem"))
    secure = http.client.HTTPSConnection(endpoint.address, timeout=5, context=context)
    assert ask(secure)[0] == 200


def test_port_is_free_once_it_has_stopped(serve: Serve) -> None:
    endpoint = serve()
    endpoint.stop()
    with pytest.raises(OSError, match="refused"):
        ask(plain(endpoint))


def test_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        endpoint = MetricsEndpoint(CollectorRegistry(), "127.0.0.1", port, "ECHO_")
        with pytest.raises(StartupError, match="ECHO_METRICS_PORT") as caught:
            endpoint.bind()
    assert f"cannot listen on 127.0.0.1:{port}" in str(caught.value)
