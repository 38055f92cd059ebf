"""Every call in docs/gateway.md, in its order."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path

import grpc
from google.protobuf import json_format

from lookalike.gateway.v1 import gateway_pb2 as pb
from lookalike.gateway.v1.gateway_pb2_grpc import GatewayServiceStub
from lookalike.serving.local_stack import LocalStack
from tests.running_gateway import TIMEOUT_S

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "gateway.md"
CALL = r"^call (\w+) <<(?:JSON\n(.*?)\nJSON|< '([^']*)')$"


def test_calls_of_the_document_are_answered(
    reading_stack: LocalStack,
    open_channel: Callable[[str], grpc.Channel],
    draw_photo: Callable[..., bytes],
) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    calls = re.findall(CALL, text, re.DOTALL | re.MULTILINE)
    assert len(calls) == text.count("\ncall ") > 8
    photo = base64.b64encode(draw_photo(1)).decode()
    # The document's services have a catalogue.
    stub = GatewayServiceStub(open_channel(reading_stack.address("gateway")))
    known = pb.CataloguePhoto(item_id="known", product_id="listing of known")
    stub.IngestListing(pb.IngestListingRequest(photo=known, image=draw_photo(2)))
    for rpc, here_document, here_string in calls:
        body = re.sub(r"\$\(photo [\w-]+\)", photo, here_document) or here_string
        request = json_format.Parse(body, getattr(pb, f"{rpc}Request")())
        answer = getattr(stub, rpc)(request, timeout=TIMEOUT_S)
        assert json.loads(json_format.MessageToJson(answer)), f"{rpc} answers nothing"
