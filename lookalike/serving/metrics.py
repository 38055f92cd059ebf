"""A process's metrics, for Prometheus: the registry, and what all services measure of their calls.

What only one service has is in its own `telemetry.py`. Labels are methods, statuses, reasons and
names that operators gave, never what a caller sent. See docs/telemetry.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from lookalike import __version__
from lookalike.serving import failures
from lookalike.serving.setting_files import Renewed

# Seconds: a search takes less than the first, and callers seldom wait for the last.
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

# The times at which counters began would be as many series again.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]

_Child = TypeVar("_Child")


class Metrics:
    """The metrics of a process.

    Args:
        service: `embedder`, `index` or `gateway`, with which the names of its metrics begin.
    """

    def __init__(self, service: str) -> None:
        self.service = service
        self.registry = CollectorRegistry()
        self._observers: dict[str, _Bound[Histogram]] = {}
        ProcessCollector(registry=self.registry)
        Info(
            "lookalike_build", "What runs: the service and its version.", registry=self.registry
        ).info({"service": service, "version": __version__})
        self._started = _Bound(
            Counter(
                "grpc_server_call_started",
                "RPCs that began.",
                ("grpc_method",),
                registry=self.registry,
            ).labels
        )
        self._durations = _Bound(
            Histogram(
                "grpc_server_call_duration_seconds",
                "Seconds from an RPC's begin to its end; of a stream, of all of it.",
                ("grpc_method", "grpc_status"),
                buckets=SECONDS,
                registry=self.registry,
            ).labels
        )
        # Without labels, so that they are there before anything fails: as Prometheus sees it, a
        # series that begins with its first failures never grew.
        self._calls = Counter(
            "lookalike_calls", "RPCs and HTTP requests that ended.", registry=self.registry
        )
        self._failed = Counter(
            "lookalike_calls_failed",
            "RPCs and HTTP requests that failed by the service's fault.",
            registry=self.registry,
        )
        self._dropped = _Bound(
            Counter(
                f"{service}_requests_dropped",
                "Requests that were refused for want of room, time, an upstream or permission.",
                ("reason",),
                registry=self.registry,
            ).labels
        )

        self._renewal_refused = Gauge(
            "lookalike_renewal_refused",
            "Whether the newest certificates or tokens cannot be used, and older ones are: 1 or 0.",
            ("kind",),
            registry=self.registry,
        )

    def rpc_started(self, method: str) -> None:
        """Counts an RPC that begins."""
        self._started(method).inc()

    def rpc_ended(self, method: str, status: str, seconds: float) -> None:
        """Counts an RPC that ended, with its status and what it took."""
        self._durations(method, status).observe(seconds)
        self.call_ended(failed=status in failures.STATUSES)

    def call_ended(self, *, failed: bool) -> None:
        """Counts a call of either face that ended, for the share of those that failed."""
        self._calls.inc()
        if failed:
            self._failed.inc()

    def expect_refusals(self, *reasons: str) -> None:
        """Has reasons told of before anything is refused, so that the first are seen to come."""
        for reason in reasons:
            self._dropped(reason)

    def dropped(self, reason: str) -> None:
        """Counts a request that was refused."""
        self._dropped(reason).inc()

    def histogram(
        self,
        name: str,
        text: str,
        labels: tuple[str, ...] = (),
        buckets: Iterable[float] = SECONDS,
    ) -> Histogram:
        """Returns a new histogram, of seconds by default."""
        return Histogram(name, text, labels, buckets=tuple(buckets), registry=self.registry)

    def observer(
        self,
        name: str,
        text: str,
        labels: tuple[str, ...],
        buckets: Iterable[float] = SECONDS,
    ) -> Callable[..., Histogram]:
        """Returns a histogram as a function from its labels' values to a series; made once."""
        if name not in self._observers:
            self._observers[name] = _Bound(self.histogram(name, text, labels, buckets).labels)
        return self._observers[name]

    def watch_renewal(self, files: Renewed[Any]) -> None:
        """Tells from now on whether what files hold is not taken."""
        self._renewal_refused.labels(files.what).set_function(files.refused)

    def read(self, collect: Callable[[], Iterable[Metric]]) -> None:
        """Adds metrics that are read when they are asked for, in another thread."""
        self.registry.register(_Read(collect))


class _Bound(Generic[_Child]):
    """Series by their labels' values; looking one up in the library takes longer than counting.

    Unlike a child of the library this is asked each time, so that values which come up while the
    service runs need no list of their own.
    """

    def __init__(self, bind: Callable[..., _Child]) -> None:
        self._bind = bind
        self._children: dict[tuple[str, ...], _Child] = {}

    def __call__(self, *values: str) -> _Child:
        child = self._children.get(values)
        if child is None:
            child = self._children[values] = self._bind(*values)
        return child


class _Read(Collector):
    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self._collect = collect

    def describe(self) -> Iterable[Metric]:
        """Names nothing in advance, or registering would read what is not there yet."""
        return ()

    def collect(self) -> Iterable[Metric]:
        return self._collect()
