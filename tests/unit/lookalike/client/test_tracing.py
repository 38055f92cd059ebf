"""The caller's trace context goes along with its calls, where its process has one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from lookalike import trace_context
from tests.fake_services import FakeEmbedder, FakeGateway, Served
from tests.unit.lookalike.client.conftest import Connect

TRACE, SPAN = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def within_a_span() -> Iterator[None]:
    context = SpanContext(TRACE, SPAN, is_remote=False, trace_flags=TraceFlags(1))
    with trace.use_span(NonRecordingSpan(context)):
        yield


@pytest.mark.usefixtures("within_a_span")
def test_calls_and_streams_send_the_current_span(
    connect: Connect, serve: Callable[..., Served]
) -> None:
    gateway, embedder = FakeGateway(), FakeEmbedder()
    addresses = {"gateway": serve(gateway).address, "embedder": serve(embedder).address}
    client = connect(**addresses, token="secret")
    client.status()
    assert len(list(client.embed_many([("a", b"photo")]))) == 1
    for metadata in (*gateway.metadata, *embedder.metadata):
        assert metadata["traceparent"] == TRACEPARENT
        assert metadata["authorization"] == "Bearer secret"


def test_without_a_span_nothing_is_sent(connect: Connect, serve: Callable[..., Served]) -> None:
    gateway = FakeGateway()
    connect(serve(gateway).address).status()
    assert "traceparent" not in gateway.metadata[0]
    assert trace_context.headers() == ()


def test_process_that_does_not_use_opentelemetry_does_not_import_it() -> None:
    program = """
import sys
from lookalike import Client, trace_context
assert trace_context.headers() == ()
print(*[name for name in sys.modules if name.startswith("opentelemetry")])
"""
    out = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert out.stdout == "\n"
