"""Every call in docs/index.md, in its order, on an empty index."""

from __future__ import annotations

import re
from pathlib import Path

import grpc
from google.protobuf import json_format

from lookalike.index.v1 import index_pb2 as pb
from lookalike.index.v1.index_pb2_grpc import IndexServiceStub
from tests.conftest import StartService

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "index.md"
CALL = r"^call (\w+) <<(?:'JSON'\n(.*?)\nJSON|< '([^']*)')$"


def test_calls_of_the_document_are_answered(start_service: StartService, tmp_path: Path) -> None:
    service = start_service("index_service", data_dir=tmp_path / "data")
    calls = re.findall(CALL, DOCUMENT.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(calls) == DOCUMENT.read_text(encoding="utf-8").count("\ncall ") > 8
    with grpc.insecure_channel(service.address) as channel:
        stub = IndexServiceStub(channel)
        for rpc, here_document, here_string in calls:
            request = json_format.Parse(
                here_document or here_string, getattr(pb, f"{rpc}Request")()
            )
            answer = getattr(stub, rpc)(request, timeout=30)
            assert answer.ByteSize(), f"{rpc} answers nothing"
