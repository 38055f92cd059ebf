"""An OpenTelemetry collector that keeps spans in memory, and metrics as a test reads them."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families


@dataclass(frozen=True)
class Recorded:
    """A span as it arrived.

    Attributes:
        links: Trace id and span id of each.
    """

    service: str
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    links: list[tuple[str, str]]
    failed: bool
    start_ns: int
    end_ns: int


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Takes spans."""

    def __init__(self) -> None:
        self._spans: list[Recorded] = []
        self._arrived = threading.Condition()
        self.address = ""

    def Export(self, request: Any, context: Any) -> Any:
        with self._arrived:
            for resource in request.resource_spans:
                of = _values(resource.resource.attributes)
                for scope in resource.scope_spans:
                    self._spans += [_recorded(span, of["service.name"]) for span in scope.spans]
            self._arrived.notify_all()
        return pb.ExportTraceServiceResponse()

    def wait_for(self, enough: Callable[[list[Recorded]], bool]) -> list[Recorded]:
        """Returns the spans once they are enough."""
        with self._arrived:
            arrived = self._arrived.wait_for(lambda: enough(self._spans), 30)
            assert arrived, [(span.service, span.name) for span in self._spans]
            return list(self._spans)

    def trace(self, trace_id: str, count: int) -> list[Recorded]:
        """Returns the spans of a trace once there are so many, the earliest first."""

        def of_trace(spans: list[Recorded]) -> list[Recorded]:
            return [span for span in spans if span.trace_id == trace_id]

        spans = of_trace(self.wait_for(lambda spans: len(of_trace(spans)) >= count))
        return sorted(spans, key=lambda span: span.start_ns)


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


def _recorded(span: Any, service: str) -> Recorded:
    return Recorded(
        service.removeprefix("lookalike-"),
        span.name,
        span.kind,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        _values(span.attributes),
        [(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
        span.status.code == span.status.STATUS_CODE_ERROR,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
    )


@contextmanager
def collecting() -> Iterator[Collector]:
    """Runs a collector on a loopback port."""
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)
    collector.address = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield collector
    server.stop(None).wait(10)


class Scrape:
    """What a service's metrics say at one time."""

    def __init__(self, address: str) -> None:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=30) as answer:
            self.text = answer.read().decode()
        self.families = {
            family.name: family for family in text_string_to_metric_families(self.text)
        }

    def value(self, sample: str, **labels: str) -> float:
        """Returns the sum of the samples of a name that have these labels; 0 if there are none."""
        return sum(
            each.value
            for family in self.families.values()
            for each in family.samples
            if each.name == sample and labels.items() <= each.labels.items()
        )
