"""Every call in docs/gateway.md, in its order, on an empty catalogue."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf import json_format

from lookalike.gateway.v1 import gateway_pb2 as pb
from lookalike.model.bundle import Bundle
from tests.running_gateway import TIMEOUT_S, Services

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "gateway.md"
CALL = r"^call (\w+) <<(?:JSON\n(.*?)\nJSON|< '([^']*)')$"


@pytest.fixture(scope="session")
def tiny_bundle(reading_bundle: Bundle) -> Bundle:
    """The services' bundle: here one that reads words, as the document's does."""
    return reading_bundle


def test_calls_of_the_document_are_answered(
    services: Services, draw_photo: Callable[..., bytes]
) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    calls = re.findall(CALL, text, re.DOTALL | re.MULTILINE)
    assert len(calls) == text.count("\ncall ") > 8
    photo = base64.b64encode(draw_photo(1)).decode()
    # The document's services have a catalogue.
    services.ingest("known", draw_photo(2))
    for rpc, here_document, here_string in calls:
        body = re.sub(r"\$\(photo [\w-]+\)", photo, here_document) or here_string
        request = json_format.Parse(body, getattr(pb, f"{rpc}Request")())
        answer = getattr(services.stub, rpc)(request, timeout=TIMEOUT_S)
        assert json.loads(json_format.MessageToJson(answer)), f"{rpc} answers nothing"
