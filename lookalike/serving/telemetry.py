"""What a process tells of its requests: metrics, spans, and logs as one JSON object a line."""

from __future__ import annotations

import functools
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

import grpc
from opentelemetry.trace import Span
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from lookalike import __version__, request_ids
from lookalike.channel import CallObserver
from lookalike.errors import LookalikeError, StartupError
from lookalike.serving import failures, tracing
from lookalike.serving.metrics import Metrics
from lookalike.serving.server_settings import ServerSettings
from lookalike.serving.setting_files import Renewed
from lookalike.serving.tls import ServerTLS
from lookalike.serving.tracing import Tracing

_REFUSALS = {
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
}


class Telemetry:
    """Metrics and spans of a process; either may be off.

    Args:
        metrics: The metrics; None to measure nothing.
        tracing: The spans.
    """

    def __init__(self, metrics: Metrics | None = None, tracing: Tracing | None = None) -> None:
        self.metrics = metrics
        self.tracing = tracing or Tracing("")

    @classmethod
    def of(cls, settings: ServerSettings, prefix: str) -> Telemetry:
        """Returns what a service's settings ask for; StartupError if they cannot be used."""
        service = prefix.removeprefix("LOOKALIKE_").rstrip("_").lower()
        try:
            spans = Tracing(
                service,
                __version__,
                endpoint=settings.traces_endpoint,
                share=settings.traces_share,
            )
        except StartupError as error:
            raise StartupError(f"{prefix}TRACES_ENDPOINT is wrong: {error}") from None
        if settings.metrics_port < 0:
            return cls(None, spans)
        metrics = Metrics(service)
        kinds = LookalikeError.__subclasses__()
        metrics.expect_refusals(*(kind.reason for kind in kinds if kind.code in _REFUSALS))
        return cls(metrics, spans)

    def rpc(self, method: str, metadata: Mapping[str, Any]) -> WatchedRpc:
        """Begins to watch an RPC that came in, such as `/package.Service/Method`."""
        _current.set(self)
        name = method[1:]
        if self.metrics is not None:
            self.metrics.rpc_started(name)
        span = self.tracing.begin(name, metadata, {"rpc.system.name": "grpc", "rpc.method": name})
        return WatchedRpc(self.metrics, name, span)

    def http(self, method: str, scheme: str, path: str, headers: Mapping[str, str]) -> Span | None:
        """Begins to watch an HTTP request; returns its span, if there is one."""
        _current.set(self)
        attributes = {"http.request.method": method, "url.scheme": scheme, "url.path": path}
        return self.tracing.begin(method, headers, attributes)

    def calls_to(self, target: str) -> CallObserver:
        """Returns what watches calls to an upstream, for `open_channel`."""
        durations = (
            self.metrics.observer(
                "grpc_client_call_duration_seconds",
                "Seconds of a call to an upstream.",
                ("grpc_method", "grpc_target", "grpc_status"),
            )
            if self.metrics is not None
            else None
        )

        def began(method: str) -> tuple[dict[str, str], Callable[[str], None]]:
            name = method[1:]
            span, headers = self.tracing.call(
                name, {"rpc.system.name": "grpc", "rpc.method": name, "server.address": target}
            )
            started = time.perf_counter()

            def ended(status: str) -> None:
                if durations is not None:
                    durations(name, target, status).observe(time.perf_counter() - started)
                if span is not None:
                    _end_rpc(span, status, failed=status != "OK")

            return headers, ended

        return began

    def watch_renewals(self, *renewed: Renewed[Any] | None) -> None:
        """Tells from now on which files hold what is not taken."""
        for files in renewed:
            if files is not None and self.metrics is not None:
                self.metrics.watch_renewal(files)

    def watch_certificate(self, tls: ServerTLS | None) -> None:
        """Tells when the certificate ends, if there is one."""
        if self.metrics is not None:
            self.metrics.read(functools.partial(_end_of, tls))

    def close(self) -> None:
        """Sends the spans that are left; blocks."""
        self.tracing.close()


def _end_of(tls: ServerTLS | None) -> Iterator[Metric]:
    ends = GaugeMetricFamily(
        "lookalike_certificate_expiry_timestamp_seconds",
        "When the certificate of the ports ends, in seconds since 1970.",
    )
    if tls is not None:
        ends.add_metric([], tls.ends.timestamp())
    yield ends


class WatchedRpc:
    """An RPC that came in, until it has ended."""

    __slots__ = ("_method", "_metrics", "_span")

    def __init__(self, metrics: Metrics | None, method: str, span: Span | None) -> None:
        self._metrics = metrics
        self._method = method
        self._span = span

    def ended(self, status: str, seconds: float, reason: str = "") -> None:
        """Notes how it ended: the status, what it took, and an error's reason."""
        if self._metrics is not None:
            self._metrics.rpc_ended(self._method, status, seconds)
        if self._span is not None:
            _end_rpc(self._span, status, failed=status in failures.STATUSES, reason=reason)


def _end_rpc(span: Span, status: str, *, failed: bool, reason: str = "") -> None:
    attributes = {"rpc.response.status_code": status}
    if status != "OK":
        attributes["error.type"] = reason or status
    tracing.end(span, attributes, failed=failed)


# Of the request that is being answered.
_current: ContextVar[Telemetry | None] = ContextVar("telemetry", default=None)


def note_refusal(error: Exception) -> None:
    """Counts an error if it refuses a request for want of room, time, an upstream or permission."""
    if isinstance(error, LookalikeError) and error.code in _REFUSALS:
        note_dropped(error.reason)


def note_dropped(reason: str) -> None:
    """Counts a request that was refused."""
    telemetry = _current.get()
    if telemetry is not None and telemetry.metrics is not None:
        telemetry.metrics.dropped(reason)


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON; `extra` becomes fields."""

    _STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "taskName"}

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line without a line end."""
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "service": self._service,
            "event": record.getMessage(),
        }
        if current := request_ids.current.get():
            line["request_id"] = current
        line |= tracing.ids()
        line |= {k: v for k, v in record.__dict__.items() if k not in self._STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def configure_logging(service: str, level: str) -> None:
    """Sends all logs of the process to stderr as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)
