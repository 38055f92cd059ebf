"""The autoscaler's metric: what the adapter makes of its rule, asked of a real Prometheus."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

from lookalike.embedder.v1 import embedder_pb2
from lookalike.embedder.v1.embedder_pb2_grpc import EmbedderServiceStub
from lookalike.model.bundle import Bundle
from scripts.dashboards.prometheus_server import PrometheusServer, Target
from tests.conftest import DrawPhoto, StartService
from tests.deploy.manifests import FOLDER, ROOT, needs_kubectl, of_kind

RULES = FOLDER / "prometheus-adapter/rules.yaml"
BUSY, IDLE = "embedder-busy", "embedder-idle"


def rule() -> dict[str, Any]:
    (only,) = yaml.safe_load(RULES.read_text(encoding="utf-8"))["rules"]
    found: dict[str, Any] = only
    return found


def as_the_adapter_asks(template: str) -> str:
    """Fills in a `metricsQuery` for two pods, as the adapter does for a Pods metric."""
    return (
        template.replace("<<.Series>>", "embedder_queue_wait_seconds_sum")
        .replace("<<.LabelMatchers>>", f'namespace="lookalike",pod=~"{BUSY}|{IDLE}"')
        .replace("<<.GroupBy>>", "pod")
    )


@needs_kubectl
@pytest.mark.parametrize("overlay", ["production", "eks"])
def test_the_autoscaler_asks_for_what_the_adapter_offers(overlay: str) -> None:
    (autoscaler,) = of_kind(overlay, "HorizontalPodAutoscaler")
    pods = [each["pods"] for each in autoscaler["spec"]["metrics"] if each["type"] == "Pods"]
    assert [each["metric"]["name"] for each in pods] == [rule()["name"]["as"]]
    scaled = autoscaler["spec"]["scaleTargetRef"]
    for deployment in of_kind(overlay, scaled["kind"]):
        if deployment["metadata"]["name"] == scaled["name"]:
            assert "replicas" not in deployment["spec"], "each apply would undo the autoscaler's"


@needs_kubectl
@pytest.mark.parametrize("overlay", ["production", "eks"])
def test_what_the_autoscalers_metrics_come_from_is_asked_for(overlay: str) -> None:
    (autoscaler,) = of_kind(overlay, "HorizontalPodAutoscaler")
    sources = {"Pods": "Prometheus adapter", "Resource": "metrics-server"}
    text = (ROOT / "docs/kubernetes.md").read_text(encoding="utf-8")
    (needs,) = re.findall(r"^It needs (.+?)\.\s", text, re.MULTILINE | re.DOTALL)
    for metric in autoscaler["spec"]["metrics"]:
        assert sources[metric["type"]] in needs


@pytest.mark.skipif(
    not PrometheusServer.is_installed(), reason="prometheus is not there: install prometheus"
)
def test_each_pod_has_its_own_wait(
    start_service: StartService,
    tiny_bundle: Bundle,
    draw_photo: DrawPhoto,
    open_channel: Callable[[str], grpc.Channel],
    tmp_path: Path,
) -> None:
    """One embedder gets more than it can do, the other nothing."""
    settings = {"bundle": tiny_bundle.path, "metrics_port": 0, "max_batch": 1}
    services = {pod: start_service("embedder_service", **settings) for pod in (BUSY, IDLE)}
    targets = [
        Target(services[pod].announced("serving metrics"), {"namespace": "lookalike", "pod": pod})
        for pod in services
    ]
    stub = EmbedderServiceStub(open_channel(services[BUSY].address))
    request = embedder_pb2.EmbedImageRequest(image=draw_photo(1))
    stop = threading.Event()

    def call() -> None:
        while not stop.is_set():
            stub.EmbedImage(request, timeout=30)

    callers = [threading.Thread(target=call) for _ in range(16)]
    with PrometheusServer(tmp_path / "prometheus", {"embedder": targets}, every="200ms") as server:
        for caller in callers:
            caller.start()
        try:
            server.wait_for_reads()
            server.wait_for_reads()
            series = server.query(rule()["seriesQuery"])
            found = server.query(as_the_adapter_asks(rule()["metricsQuery"]))
        finally:
            stop.set()
            for caller in callers:
                caller.join()
    # the adapter finds the metric by its series, and each pod by the labels that it maps
    assert {each.labels["pod"] for each in series} == {BUSY, IDLE}
    assert {each.labels["namespace"] for each in series} == {"lookalike"}
    waits = {each.labels["pod"]: each.points[0][1] for each in found}
    assert [each.labels.keys() for each in found] == [{"pod"}] * 2
    assert waits[IDLE] == 0
    assert waits[BUSY] > 0
    assert math.isfinite(waits[BUSY])
