"""A gateway and callers without tokens: one client over both faces, and what is no HTTP."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable

import grpc
import httpx
import pytest

from lookalike.errors import RateLimitedError
from lookalike.gateway.v1 import gateway_pb2 as pb
from lookalike.gateway.v1.gateway_pb2_grpc import GatewayServiceStub
from lookalike.status import from_rpc_error
from tests.conftest import StartService

NOBODY = "127.0.0.1:9"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_both_faces_take_from_one_share_and_name_the_client_alike(
    host: str, start_service: StartService, open_channel: Callable[[str], grpc.Channel]
) -> None:
    gateway = start_service("gateway", host=host, rate_limit=0.001, embedder=NOBODY, index=NOBODY)
    stub = GatewayServiceStub(open_channel(gateway.address))
    stub.GetStatus(pb.GetStatusRequest(), timeout=30)
    with pytest.raises(grpc.RpcError) as caught:
        stub.GetStatus(pb.GetStatusRequest(), timeout=30)
    error = from_rpc_error(caught.value)
    assert isinstance(error, RateLimitedError)
    assert f"'{host}' sends more" in error.message
    answer = httpx.get(f"http://{gateway.announced('serving http')}/v1/status")
    assert answer.status_code == 429
    assert f"'{host}' sends more" in answer.json()["detail"]
    lines = [json.loads(line) for line in gateway.log.read_text().splitlines()]
    assert {line["client"] for line in lines if line.get("client")} == {host}


def test_what_is_no_http_is_refused_without_a_line_for_each(start_service: StartService) -> None:
    gateway = start_service("gateway", embedder=NOBODY, index=NOBODY)
    http = gateway.announced("serving http")
    host, _, port = http.rpartition(":")
    for rubbish in (b"\0" * 100 + b"\r\n\r\n", b"GET / HTTP/1.1\r\nno header\r\n\r\n"):
        with socket.create_connection((host, int(port)), 30) as stranger:
            stranger.sendall(rubbish)
            assert b" 400 " in stranger.recv(1000).splitlines()[0]
    upgrade = {"Connection": "upgrade", "Upgrade": "h2c"}
    assert httpx.get(f"http://{http}/v1/status", headers=upgrade).status_code == 200
    assert "HTTP request received" not in gateway.log.read_text()
    assert "upgrade" not in gateway.log.read_text()
