"""Traces: a span for each request, its calls and its stages, for an OpenTelemetry collector.

Without a collector nothing is recorded and the SDK is not imported; the caller's W3C trace context
is passed on to upstreams and into logs all the same. Spans leave in a thread of their own, from a
queue that drops what a slow collector does not take.
"""

from __future__ import annotations

import logging
import random
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from lookalike.channel import is_address
from lookalike.errors import StartupError
from lookalike.serving.settings import cut

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

Attributes = Mapping[str, str | int | float]

TRACEPARENT, TRACESTATE = "traceparent", "tracestate"
# https://www.w3.org/TR/trace-context/: later versions may have more at their end.
_TRACEPARENT = re.compile(
    "(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-[ -~]*)?"
)
_LONGEST_STATE = 512
_PROPAGATOR = TraceContextTextMapPropagator()
# The service may be stopping because its machine is: what is not sent by then is lost.
_LAST_SPANS_S = 2.0
_EXPORT_TIMEOUT_S = 5.0
_FLUSH_EVERY_MS = 1000


class _Unrecorded(NamedTuple):
    """The context of a request: its caller's, or one that was made up so that all agree on it."""

    trace_id: str
    span_id: str
    flags: str
    state: str

    @property
    def recorded(self) -> bool:
        """Whether the caller has it recorded."""
        return int(self.flags, 16) & 1 == 1

    def headers(self) -> dict[str, str]:
        """Returns it as it is sent."""
        headers = {TRACEPARENT: f"00-{self.trace_id}-{self.span_id}-{self.flags}"}
        return headers | {TRACESTATE: self.state} if self.state else headers


# Of the request that is being answered, where this process does not record it.
_unrecorded: ContextVar[_Unrecorded | None] = ContextVar("unrecorded", default=None)


def _sent(headers: Mapping[str, Any]) -> _Unrecorded | None:
    found = _TRACEPARENT.fullmatch(str(headers.get(TRACEPARENT, "")))
    if found is None:
        return None
    state = str(headers.get(TRACESTATE, ""))
    good = len(state) <= _LONGEST_STATE and state.isascii() and state.isprintable()
    return _Unrecorded(found[1], found[2], found[3], state if good else "")


def _new() -> _Unrecorded:
    trace_id, span_id = random.getrandbits(128) | 1, random.getrandbits(64) | 1
    return _Unrecorded(f"{trace_id:032x}", f"{span_id:016x}", "00", "")


class Tracing:
    """The spans of a process.

    Args:
        service: `embedder`, `index` or `gateway`.
        version: Of Lookalike.
        endpoint: Of an OpenTelemetry collector, `http://host:port` or https; empty for none.
        share: Of the requests whose callers decided nothing, those that are recorded.

    Raises:
        StartupError: The endpoint is no such address.
    """

    def __init__(
        self, service: str, version: str = "", *, endpoint: str = "", share: float = 0.01
    ) -> None:
        self._provider: TracerProvider | None = None
        self._share = share
        self.tracer: trace.Tracer = trace.NoOpTracer()
        if endpoint:
            self._provider = _provider(service, version, endpoint)
            self.tracer = self._provider.get_tracer("lookalike", version)

    @property
    def recording(self) -> bool:
        """Whether there is a collector."""
        return self._provider is not None

    def begin(self, name: str, headers: Mapping[str, Any], attributes: Attributes) -> Span | None:
        """Starts the span of a request that came in, and makes it this task's current one.

        Returns None for a request that is not recorded; its context is passed on all the same.

        Args:
            name: The RPC, or the HTTP method.
            headers: Of the request, with names in lower case.
            attributes: By OpenTelemetry's semantic conventions.
        """
        context = _sent(headers)
        if self._provider is None:
            _unrecorded.set(context)
            return None
        if context is None and random.random() >= self._share:
            context = _new()
        if context is not None and not context.recorded:
            # Most requests. The SDK takes as long to say so as the index for a small search.
            _unrecorded.set(context)
            return None
        _unrecorded.set(None)
        above = _PROPAGATOR.extract(context.headers(), Context()) if context else Context()
        span = self.tracer.start_span(name, above, SpanKind.SERVER, attributes)
        contexts.attach(trace.set_span_in_context(span, above))
        return span

    def call(self, name: str, attributes: Attributes) -> tuple[Span | None, dict[str, str]]:
        """Starts the span of a call to an upstream; returns it, and headers to send.

        There is a span only within a request's that is recorded.
        """
        if (unrecorded := _unrecorded.get()) is not None:
            return None, unrecorded.headers()
        span, headers = None, dict[str, str]()
        context = contexts.get_current()
        if trace.get_current_span(context).is_recording():
            span = self.tracer.start_span(name, context, SpanKind.CLIENT, attributes)
            context = trace.set_span_in_context(span, context)
        _PROPAGATOR.inject(headers, context)
        return span, headers

    def stage(
        self,
        name: str,
        *,
        ended_ns: int,
        took_ns: int,
        attributes: Attributes | None = None,
        link: SpanContext | None = None,
    ) -> None:
        """Adds a child that has ended to the current span, if that is recorded.

        Args:
            name: The stage.
            ended_ns: When it ended, in nanoseconds since 1970.
            took_ns: How long it took.
            attributes: What else there is to say.
            link: Of another span that it was part of.
        """
        if not trace.get_current_span().is_recording():
            return
        links = [Link(link)] if link else []
        span = self.tracer.start_span(
            name, attributes=attributes, links=links, start_time=ended_ns - took_ns
        )
        span.end(ended_ns)

    def batch(
        self,
        name: str,
        requests: Sequence[SpanContext | None],
        *,
        ended_ns: int,
        took_ns: int,
        attributes: Attributes,
    ) -> SpanContext | None:
        """Records work that was done for several requests, linked to those that are recorded.

        It is the child of none of them. Returns its context, None if none of them is recorded.
        """
        links = [Link(request) for request in requests if request is not None]
        if not links:
            return None
        span = self.tracer.start_span(
            name, Context(), attributes=attributes, links=links, start_time=ended_ns - took_ns
        )
        span.end(ended_ns)
        return span.get_span_context()

    def close(self) -> None:
        """Sends what is left, for as long as a stopping service may wait; blocks."""
        if self._provider is None:
            return
        # Its own flush waits for a collector that is away as long as each of its exports may take.
        processor: Any = self._provider._active_span_processor
        for each in processor._span_processors:
            each._batch_processor.shutdown(timeout_millis=_LAST_SPANS_S * 1e3)
        self._provider = None


def here() -> SpanContext | None:
    """Returns the context of the current span, None unless that is recorded."""
    span = trace.get_current_span()
    return span.get_span_context() if span.is_recording() else None


def ids() -> dict[str, str]:
    """Returns `trace_id` and `span_id` of the request that is being answered, for logs."""
    if (unrecorded := _unrecorded.get()) is not None:
        return {"trace_id": unrecorded.trace_id, "span_id": unrecorded.span_id}
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {
        "trace_id": trace.format_trace_id(context.trace_id),
        "span_id": trace.format_span_id(context.span_id),
    }


def end(span: Span, attributes: Attributes, *, failed: bool) -> None:
    """Ends a span with what is known of its outcome."""
    span.set_attributes(attributes)
    if failed:
        span.set_status(Status(StatusCode.ERROR))
    span.end()


def _provider(service: str, version: str, endpoint: str) -> TracerProvider:
    # The SDK takes longer to import than the gateway to start.
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.sampling import DEFAULT_ON  # noqa: PLC0415

    scheme, _, address = endpoint.rstrip("/").partition("://")
    if scheme not in ("http", "https") or not is_address(address):
        raise StartupError(f"'{cut(endpoint)}' must be http://host:port or https://host:port")
    # Lines of its own for each attempt, of which the last one says it all.
    logging.getLogger("opentelemetry.exporter.otlp.proto.grpc.exporter").setLevel(logging.ERROR)
    provider = TracerProvider(
        # `begin` decides; a batch has no parent, and is there for its requests alone.
        sampler=DEFAULT_ON,
        resource=Resource.create(
            {
                "service.name": f"lookalike-{service}",
                "service.namespace": "lookalike",
                "service.version": version,
                "service.instance.id": str(uuid.uuid4()),
            }
        ),
        shutdown_on_exit=False,
    )
    exporter = OTLPSpanExporter(
        endpoint=endpoint, insecure=scheme == "http", timeout=_EXPORT_TIMEOUT_S
    )
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=_FLUSH_EVERY_MS))
    return provider


def now_ns() -> int:
    """Returns nanoseconds since 1970, as spans count."""
    return time.time_ns()
