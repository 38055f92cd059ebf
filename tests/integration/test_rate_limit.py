"""A client without a token is one client, whichever face of the gateway it calls."""

from __future__ import annotations

import json
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
