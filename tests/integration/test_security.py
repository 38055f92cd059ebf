"""Strangers are kept out of every port, RPC and route, and those who may come in are not."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from gateway.http.access import COOKIE
from gateway.http.access import SCOPES as ROUTES
from lookalike import Client
from lookalike.client import CataloguePhoto, IndexClient
from lookalike.errors import LookalikeError, PermissionDeniedError, UnauthenticatedError
from lookalike.model.bundle import Bundle
from lookalike.status import from_rpc_error
from scripts.protos import buf
from tests.certificates import Authority
from tests.command_line import Run
from tests.command_line import runner as runner_of
from tests.conftest import StartService
from tests.logs import lines_for_people
from tests.secured import TOKENS, Secured, secured_services, write_tokens
from tests.waiting import until

SECURITY = Path(__file__).resolve().parents[2] / "docs/security.md"
SCOPES = ("read", "write", "admin")
# Nobody has to say who they are for these.
PUBLIC = {
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    "/inference.GRPCInferenceService/ServerLive",
    "/inference.GRPCInferenceService/ServerReady",
    "/inference.GRPCInferenceService/ModelReady",
}
# Of the index; on its admin port alone.
ADMIN = {"DeleteCollection", "DeleteAlias", "CreateSnapshot"}
HIDDEN = {("GET", path) for path in ("/", "/docs", "/favicon.ico", "/static/x", "/openapi.json")}


@pytest.fixture(scope="module")
def secured(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with secured_services(tiny_bundle, tmp_path_factory.mktemp("secured")) as secured:
        yield secured


@pytest.fixture
def http(secured: Secured) -> Iterator[httpx.Client]:
    context = ssl.create_default_context(cafile=secured.authority.roots)
    assert secured.tls.certificate
    context.load_cert_chain(secured.tls.certificate)
    with httpx.Client(base_url=secured.http, verify=context) as client:
        yield client


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner_of(capsys)


def rpcs(channel: grpc.Channel) -> Iterator[tuple[str, bool, bool]]:
    """Each RPC that a port answers: its name, and whether it streams requests and responses."""
    database = ProtoReflectionDescriptorDatabase(channel)
    pool = DescriptorPool(database)
    for service in database.get_services():
        for method in pool.FindServiceByName(service).methods:
            yield f"/{service}/{method.name}", method.client_streaming, method.server_streaming


def error_of(channel: grpc.Channel, rpc: tuple[str, bool, bool], token: str = "") -> LookalikeError:
    """What an empty request is answered with; a LookalikeError of OK if with a response."""
    method, streams_in, streams_out = rpc
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    kind = f"{'stream' if streams_in else 'unary'}_{'stream' if streams_out else 'unary'}"
    call = getattr(channel, kind)(method, lambda data: data, lambda data: data)
    request: Any = iter([b""]) if streams_in else b""
    try:
        answer = call(request, timeout=30, metadata=metadata)
        if streams_out:
            next(iter(answer), None)
            answer.cancel()
    except grpc.RpcError as error:
        return from_rpc_error(error)
    return LookalikeError("answered")


@pytest.mark.parametrize("port", ["embedder", "embedder admin", "index", "index admin", "gateway"])
def test_every_rpc_wants_a_token_and_takes_that_of_one_scope_alone(
    secured: Secured, port: str
) -> None:
    with secured.channel(secured.ports[port]) as channel:
        listed = list(rpcs(channel))
        assert len(listed) >= 4  # health and reflection are never alone
        for rpc in listed:
            method = rpc[0]
            if method in PUBLIC:
                continue
            assert isinstance(error_of(channel, rpc), UnauthenticatedError), method
            assert isinstance(error_of(channel, rpc, "guessed"), UnauthenticatedError), method
            errors = {scope: error_of(channel, rpc, TOKENS[scope]) for scope in SCOPES}
            refused = {s for s, e in errors.items() if isinstance(e, PermissionDeniedError)}
            if port == "index" and method.rpartition("/")[2] in ADMIN:
                assert refused == set(SCOPES), method
                assert "LOOKALIKE_INDEX_ADMIN_PORT" in errors["admin"].message
            else:
                assert len(refused) == 2, (method, refused)
            assert not any(isinstance(e, UnauthenticatedError) for e in errors.values()), method


def test_every_public_rpc_is_answered_without_a_token(secured: Secured) -> None:
    answered = set()
    for address in secured.ports.values():
        with secured.channel(address) as channel:
            for rpc in rpcs(channel):
                if rpc[0] in PUBLIC:
                    assert not isinstance(error_of(channel, rpc), UnauthenticatedError), rpc
                    answered.add(rpc[0])
    assert answered == PUBLIC


def routes(http: httpx.Client) -> set[tuple[str, str]]:
    """Each route that is described, and those that are not, with values for what is in braces."""
    described = http.get("/openapi.json").json()["paths"]
    found = {
        (method.upper(), path.replace("{product_id}", "x").replace("{item_id}", "x"))
        for path, methods in described.items()
        for method in methods
    }
    return found | HIDDEN


def test_every_route_wants_a_token_and_takes_that_of_one_scope_alone(http: httpx.Client) -> None:
    listed = routes(http)
    assert len(listed) == len(ROUTES)  # a route without a rule, or a rule without a route
    public = {("GET", "/healthcheck"), ("POST", "/session"), ("DELETE", "/session")} | HIDDEN
    for method, path in sorted(listed - public):
        without = http.request(method, path)
        assert without.status_code == 401, path
        assert without.headers["www-authenticate"] == "Bearer"
        assert without.json()["reason"] == "UNAUTHENTICATED"
        statuses = {
            scope: http.request(method, path, headers=bearer(scope)).status_code for scope in SCOPES
        }
        assert sorted(statuses.values()).count(403) == 2, (path, statuses)
        assert 401 not in statuses.values()
    for method, path in public - {("POST", "/session")}:
        assert http.request(method, path).status_code not in {401, 403}, path


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKENS[name]}"}


def test_metrics_want_a_token_that_may_read(secured: Secured, http: httpx.Client) -> None:
    for service in (secured.embedder, secured.index, secured.gateway):
        url = f"https://{service.announced('serving metrics')}/metrics"
        assert http.get(url).status_code == 401
        assert http.get(url, headers=bearer("write")).status_code == 403
        assert "grpc_server_call_started_total" in http.get(url, headers=bearer("read")).text


def test_a_path_without_a_rule_is_closed(http: httpx.Client) -> None:
    assert http.get("/no/such/path").status_code == 401
    assert http.get("/no/such/path", headers=bearer("read")).status_code == 403
    assert http.get("/no/such/path", headers=bearer("admin")).status_code == 404


def test_a_body_is_not_read_of_a_stranger(http: httpx.Client) -> None:
    taken = 0

    def body() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(1000):
            taken += 1
            yield bytes(1 << 16)

    with contextlib.suppress(httpx.WriteError):  # hung up on
        assert http.post("/v1/classify", content=body()).status_code == 401
    assert taken < 1000


def test_the_page_signs_in_by_a_cookie_that_scripts_cannot_read(http: httpx.Client) -> None:
    refused = http.post("/session", json={"token": "guessed"})
    assert (refused.status_code, refused.json()["reason"]) == (401, "UNAUTHENTICATED")
    assert http.get("/v1/status").status_code == 401
    kept = http.post("/session", json={"token": TOKENS["read"]}).headers["set-cookie"]
    assert kept.startswith(f"{COOKIE}=")
    assert {"HttpOnly", "SameSite=strict", "Secure"} <= {part.strip() for part in kept.split(";")}
    assert http.get("/v1/status").status_code == 200
    assert http.delete("/v1/listings/x").status_code == 403
    http.delete("/session")
    assert http.get("/v1/status").status_code == 401


def test_nobody_is_heard_without_a_certificate_or_in_plaintext(secured: Secured) -> None:
    roots = secured.authority.roots.read_bytes()
    for address in secured.ports.values():
        for channel in (
            grpc.secure_channel(address, grpc.ssl_channel_credentials(roots)),
            grpc.insecure_channel(address),
        ):
            with channel, pytest.raises(grpc.FutureTimeoutError):
                grpc.channel_ready_future(channel).result(timeout=0.5)
    trust = ssl.create_default_context(cafile=secured.authority.roots)
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{secured.http}/healthcheck", verify=trust)
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{secured.http.replace('https', 'http')}/healthcheck")


def test_the_health_port_answers_without_tls_and_nothing_else(secured: Secured) -> None:
    for service in (secured.embedder, secured.index, secured.gateway):
        with grpc.insecure_channel(service.announced("serving health")) as channel:
            answer = HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=30)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
            error = error_of(channel, ("/lookalike.index.v1.IndexService/GetIndex", False, False))
            assert error.code is grpc.StatusCode.UNIMPLEMENTED


def test_sdk_and_command_line_come_in_with_certificate_and_token(
    secured: Secured, run: Run, draw_photo: Callable[..., bytes], tmp_path: Path
) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(draw_photo(1))
    with Client(
        secured.gateway.address,
        embedder=secured.embedder.address,
        tls=secured.tls,
        token=TOKENS["all"],
    ) as client:
        client.ingest(CataloguePhoto("photo-1", "listing-1"), photo)
        assert client.similar(photo, k=1).hits
        assert len(list(client.embed_many((n, photo) for n in range(3)))) == 3
    with (
        Client(secured.gateway.address, tls=secured.tls, token=TOKENS["read"]) as reader,
        pytest.raises(PermissionDeniedError, match="needs a token of scope write"),
    ):
        reader.ingest(CataloguePhoto("photo-2", "listing-2"), photo)
    trust = ("--ca", secured.authority.roots, "--cert", secured.tls.certificate)
    asked = ("similar", photo, "-k", 1, "--gateway", secured.gateway.address, *trust)
    ended = run(*asked, "--json", "--token", TOKENS["read"])
    assert ended.code == 0, ended.err
    assert "photo-1" in ended.out
    sheet = ("--sheet", tmp_path / "sheet.png", "--http", secured.http)
    assert run(*asked, *sheet, "--token", TOKENS["read"]).code == 0
    refused = run(*asked)
    assert refused.code == 1
    assert "needs a token of scope read" in refused.err
    with IndexClient(secured.ports["index admin"], tls=secured.tls, token=TOKENS["all"]) as index:
        assert index.create_snapshot()


@pytest.mark.skipif(shutil.which("npm") is None, reason="buf comes from npm, which is not on PATH")
def test_the_documents_lines_work_as_pasted(secured: Secured, tmp_path: Path) -> None:
    (block,) = re.findall(r"```sh\n(curl -s --cacert .*?)```", SECURITY.read_text(), re.DOTALL)
    for place, address in {
        "127.0.0.1:8080": secured.http.removeprefix("https://"),
        "127.0.0.1:50050": secured.gateway.address,
    }.items():
        assert place in block
        block = block.replace(place, address)
    certificate, key = secured.authority.issue("client", "client.test")
    files = {
        "roots.pem": secured.authority.roots.read_bytes(),
        "client.pem": certificate.read_bytes(),
        "client.key": key.read_bytes(),
        "client-and-key.pem": certificate.read_bytes() + key.read_bytes(),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    paths = [str(buf().parent), str(Path(sys.executable).parent), os.environ["PATH"]]
    environment = {
        **os.environ,
        "PATH": os.pathsep.join(paths),
        "TOKEN": TOKENS["read"],
        "LOOKALIKE_GATEWAY": secured.gateway.address,
    }
    ran = subprocess.run(
        ["bash", "-ec", block],
        env=environment,
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert ran.stdout.count("embedding_space") >= 1  # over HTTP
    assert ran.stdout.count("embeddingSpace") >= 1  # of buf curl
    assert "│ gateway" in ran.stdout  # of the command line


def test_tokens_and_certificates_are_taken_up_while_calls_go_on(
    secured: Secured, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    with secured_services(tiny_bundle, tmp_path) as own:
        with Client(own.gateway.address, tls=own.tls, token="later") as client:
            with pytest.raises(UnauthenticatedError, match="not known"):
                client.status()
            write_tokens(own.tokens, {**TOKENS, "read": "later"})
            until(lambda: not raises(client.status))
        # Another authority altogether: who trusts it alone is served, and who trusted the old one
        # is not.
        from tests.certificates import Authority

        other = Authority(tmp_path / "other")
        certificate, key = other.issue("server")
        client_file = other.issue_in_one("client", "client.test")
        from lookalike.client import TLS

        theirs = TLS(other.roots, client_file, client_file)
        both = own.authority.roots.read_bytes() + other.roots.read_bytes()
        own.authority.roots.write_bytes(both)
        for old, new in zip(own.authority.issue("server"), (certificate, key), strict=True):
            old.write_bytes(new.read_bytes())

        def served() -> bool:
            with Client(own.gateway.address, tls=theirs, token=TOKENS["all"]) as client:
                return not raises(client.status)

        until(served)
        with Client(own.gateway.address, tls=theirs, token=TOKENS["all"]) as client:
            until(lambda: client.status().embedder.ready and client.status().index.ready)
        assert "certificate replaced" in own.logs


def test_logs_name_clients_and_keep_their_secrets(secured: Secured) -> None:
    with secured.channel(secured.gateway.address) as channel:
        rpc = ("/lookalike.gateway.v1.GatewayService/GetStatus", False, False)
        error_of(channel, rpc, TOKENS["read"])
        error_of(channel, rpc, "a-guess-that-must-not-be-kept")
    lines = [json.loads(line) for line in secured.gateway.log.read_text().splitlines()]
    assert any(line.get("client") == "read" for line in lines)
    said = secured.logs
    for secret in (*TOKENS.values(), "a-guess-that-must-not-be-kept"):
        assert secret not in said
    assert "PRIVATE KEY" not in said


def raises(call: Callable[[], object]) -> bool:
    try:
        call()
    except LookalikeError:
        return True
    return False


@pytest.mark.parametrize("module", ["gateway", "index_service"])
def test_handshakes_of_strangers_leave_no_line_of_another_format(
    module: str, start_service: StartService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GRPC_VERBOSITY", raising=False)  # services of the tests inherit it
    certificate, key = Authority(tmp_path).issue("server")
    data = {"data_dir": tmp_path / "index"} if module == "index_service" else {}
    service = start_service(module, tls_certificate=certificate, tls_key=key, **data)
    host, _, port = service.address.partition(":")
    with socket.create_connection((host, int(port)), 10) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
        while stranger.recv(100):
            pass
    service.stop()
    assert lines_for_people(service.log) == []
