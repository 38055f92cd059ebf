"""Sends the caller's W3C trace context on, where its process uses OpenTelemetry.

Lookalike's client does not need that package: a process that never imported it has no span.
"""

from __future__ import annotations

import sys


def headers() -> tuple[tuple[str, str], ...]:
    """Returns `traceparent` and `tracestate` of the current span; nothing without one."""
    if "opentelemetry.trace" not in sys.modules:
        return ()
    from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415
        TraceContextTextMapPropagator,
    )

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return tuple(carrier.items())
