"""What the gateway alone tells of itself: HTTP, its cache, second calls, upstreams.

Cache and hedger count by themselves; their counts are read when they are asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from opentelemetry.trace import Span
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
)

from gateway.cache import VectorCache
from gateway.hedging import Hedger
from lookalike.serving import failures, tracing
from lookalike.serving.telemetry import Telemetry

# Anybody may make up methods and paths.
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
# Where calls go. The page, its files, probes of health and what does not exist would only make the
# share of calls that failed look smaller.
CALLS = ("/v1/", "/predict/")
_OTHER_METHOD = "_OTHER"
_OTHER_ROUTE = "other"
_KIND = re.compile(r":\w+}")


class GatewayTelemetry:
    """The gateway's metrics, and spans of HTTP requests.

    Args:
        telemetry: The process's; None to tell nothing.
        vectors: The cache.
        hedger: Sends slow calls a second time.
    """

    def __init__(
        self,
        telemetry: Telemetry | None = None,
        vectors: VectorCache | None = None,
        hedger: Hedger | None = None,
    ) -> None:
        self._telemetry = telemetry or Telemetry()
        self._vectors = vectors
        self._hedger = hedger
        self._ready: Mapping[str, bool] = {}
        self._durations = None
        if (metrics := self._telemetry.metrics) is not None:
            metrics.expect_refusals("CROSS_SITE_REQUEST", "REQUEST_TIMEOUT")
            self._durations = metrics.observer(
                "http_server_request_duration_seconds",
                "Seconds from an HTTP request's begin to the end of its answer.",
                ("http_request_method", "http_route", "http_response_status_code"),
            )
            metrics.read(self._collect)

    def ready(self, upstreams: Mapping[str, bool]) -> None:
        """Notes which upstreams can be reached."""
        self._ready = upstreams

    def began(self, scope: Mapping[str, Any], headers: Mapping[str, str]) -> Span | None:
        """Begins to watch an HTTP request, as ASGI has it; returns its span, if there is one."""
        return self._telemetry.http(
            _method(scope), scope.get("scheme", "http"), scope["path"], headers
        )

    def ended(
        self, scope: MutableMapping[str, Any], span: Span | None, status: int, seconds: float
    ) -> None:
        """Notes how a request ended: 499 for a caller who left, 0 for a server that stopped."""
        metrics = self._telemetry.metrics
        if metrics is None and span is None:
            return
        method, route = _method(scope), _route(scope)
        failed = status in failures.HTTP_STATUSES
        if metrics is not None and self._durations is not None:
            self._durations(method, route, str(status)).observe(seconds)
            if failed or scope["path"].startswith(CALLS):
                metrics.call_ended(failed=failed)
        if span is not None:
            attributes: dict[str, str | int] = {"http.response.status_code": status}
            if route != _OTHER_ROUTE:
                span.update_name(f"{method} {route}")
                attributes["http.route"] = route
            if failed:
                attributes["error.type"] = str(status)
            tracing.end(span, attributes, failed=failed)

    def _collect(self) -> Iterator[Metric]:
        if self._vectors is not None:
            cache = self._vectors.status
            yield CounterMetricFamily(
                "gateway_cache_hits", "Photos whose vector was cached.", cache.hits
            )
            yield CounterMetricFamily(
                "gateway_cache_misses", "Photos that an embedder was asked for.", cache.misses
            )
            yield CounterMetricFamily(
                "gateway_coalesced",
                "Photos whose vector another caller was just asking for.",
                cache.coalesced,
            )
            yield GaugeMetricFamily(
                "gateway_cache_bytes", "Memory that cached vectors take, about.", cache.bytes
            )
        if self._hedger is not None:
            yield CounterMetricFamily(
                "gateway_hedged", "Calls that were sent to a second embedder.", self._hedger.hedged
            )
        ready = GaugeMetricFamily(
            "gateway_upstream_ready",
            "Whether an upstream can be reached and says that it serves: 1 or 0.",
            labels=["upstream"],
        )
        for name, state in self._ready.items():
            ready.add_metric([name], float(state))
        yield ready


def _method(scope: Mapping[str, Any]) -> str:
    method: str = scope["method"]
    return method if method in _METHODS else _OTHER_METHOD


def _route(scope: Mapping[str, Any]) -> str:
    path = getattr(scope.get("route"), "path", None)
    return _KIND.sub("}", path) if path else _OTHER_ROUTE
