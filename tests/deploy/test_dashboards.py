"""Dashboards: as their panels give them, of metrics that exist, and answered in a real run."""

from __future__ import annotations

import asyncio
import json
import re
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lookalike.client import Client, IndexClient
from lookalike.model.bundle import Bundle
from lookalike.serving.local_stack import LocalStack
from scripts.dashboards.__main__ import files
from scripts.dashboards.draw import SERVICES, ask, expression
from scripts.dashboards.prometheus_server import PrometheusServer, Target
from scripts.dashboards.sample_load import SampleLoad
from tests.conftest import DrawPhoto

ROOT = Path(__file__).resolve().parents[2]
DASHBOARDS = {file.stem: file for file in sorted((ROOT / "deploy/grafana").glob("*.json"))}
needs_prometheus = pytest.mark.skipif(
    not PrometheusServer.is_installed(), reason="prometheus is not there: install prometheus"
)
each_dashboard = pytest.mark.parametrize("name", DASHBOARDS)
# Of Prometheus itself, and what histograms have.
_PROMETHEUS = {"up"}
_PARTS = ("_bucket", "_sum", "_count")


def model(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARDS[name].read_text(encoding="utf-8"))
    return found


def metrics_of(query: str) -> set[str]:
    """The names of metrics in a query: words before a brace or a bracket, or by themselves."""
    if named := re.search(r'__name__=~"\((.+?)\)(\w+)"', query):
        return {word + named[2] for word in named[1].split("|")}
    query = re.sub(r'"[^"]*"|\{.*?\}|\[.*?\]|\b(by|on) \(.*?\)', "", query)
    words = set(re.findall(r"\b[a-z_][\w:]*(?![\w:]|\s*\()", query))
    return words - {"by", "on", "or", "and", "unless", "offset", "group_left"}


def exposed(stack: LocalStack) -> set[str]:
    """Names of all that the services say they have, histograms with their parts."""
    names: set[str] = set()
    for module in SERVICES.values():
        url = f"http://{stack.metrics_address(module)}/metrics"
        with urllib.request.urlopen(url, timeout=30) as answer:
            text = answer.read().decode()
        for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE):
            names |= {name + part for part in _PARTS} if kind == "histogram" else {name}
    return names


@pytest.fixture
def crowded_stack(
    reading_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LocalStack]:
    """Services of which the embedder refuses what comes beside four photos."""
    monkeypatch.setenv("LOOKALIKE_EMBEDDER_MAX_QUEUE", "4")
    folder = tmp_path / "services"
    with LocalStack(
        bundle=reading_bundle.path, index_dir=folder / "index", log_dir=folder / "logs"
    ) as stack:
        yield stack


def test_files_are_those_that_the_panels_give() -> None:
    for file, text in files().items():
        assert file.read_text(encoding="utf-8") == text, f"{file}: python -m scripts.dashboards"
    assert set(files()) == set(DASHBOARDS.values())


@each_dashboard
def test_a_dashboard_is_what_grafana_imports(name: str) -> None:
    dashboard = model(name)
    assert dashboard["schemaVersion"] >= 36
    assert dashboard["uid"] == f"lookalike-{name}"
    (variable,) = dashboard["templating"]["list"]
    assert (variable["name"], variable["type"]) == ("datasource", "datasource")
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    places: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                 for y in range(at["y"], at["y"] + at["h"])}  # fmt: skip
        assert not cells & places, f"{panel['title']} covers another"
        assert at["x"] + at["w"] <= 24
        places |= cells
        if panel["type"] == "row":
            continue
        assert panel["type"] in {"timeseries", "stat", "table"}
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["targets"]
        refs = [target["refId"] for target in panel["targets"]]
        assert len(refs) == len(set(refs))
        for target in panel["targets"]:
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            assert target["legendFormat"] or panel["type"] == "stat"


@each_dashboard
def test_queries_name_only_metrics_that_services_have(name: str, stack: LocalStack) -> None:
    known = exposed(stack) | _PROMETHEUS
    for panel in model(name)["panels"]:
        for target in panel.get("targets", []):
            assert metrics_of(target["expr"]) <= known, (panel["title"], target["expr"])


def test_rules_and_the_adapter_name_only_metrics_that_services_have(stack: LocalStack) -> None:
    known = exposed(stack) | _PROMETHEUS
    rules = [
        rule
        for file in (ROOT / "deploy/prometheus").glob("*.yml")
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    ]
    known |= {rule["record"] for rule in rules if "record" in rule}
    for rule in rules:
        assert metrics_of(rule["expr"]) <= known, rule
    adapter = yaml.safe_load(
        (ROOT / "deploy/kubernetes/prometheus-adapter/rules.yaml").read_text(encoding="utf-8")
    )
    for rule in adapter["rules"]:
        assert set(re.findall(r"embedder_\w+(?=\{)", rule["metricsQuery"])) <= known


@pytest.mark.long
@needs_prometheus
def test_a_real_prometheus_answers_every_query_of_a_real_run(
    crowded_stack: LocalStack, draw_photo: DrawPhoto, tmp_path: Path
) -> None:
    """Every kind of caller, also those who are refused, so that no panel stays empty."""
    running = crowded_stack
    load = SampleLoad(running, [draw_photo(seed) for seed in range(20)])
    load.prepare()
    targets = {job: [Target(running.metrics_address(SERVICES[job]))] for job in SERVICES}

    with (
        PrometheusServer(tmp_path, targets, every="200ms") as prometheus,
        Client(running.address("gateway"), retries=0, timeout=1) as client,
        IndexClient(running.address("index_service")) as index,
    ):
        begun = time.time()

        def call_everything() -> None:
            for _ in range(20):
                load.look(client)
            load.browse()
            load.blunder(client)
            load.ingest(4)
            load.bulk(16)
            asyncio.run(load.flood(100))
            for _ in range(20):
                load.find_by_graph(index)

        for _ in range(3):
            call_everything()
            prometheus.wait_for_reads()
        earlier = [ask(prometheus, model(name), begun, time.time()) for name in DASHBOARDS]
        embedder = next(s for s in running.services if s.module == "embedder_service")
        embedder.stop()
        for _ in range(3):  # counters must be seen before they can be seen to grow
            for _ in range(5):
                load.look(client)
            load.browse()
            prometheus.wait_for_reads()
        later = [ask(prometheus, model(name), begun, time.time()) for name in DASHBOARDS]
    for name, before, after in zip(DASHBOARDS, earlier, later, strict=True):
        for panel in model(name)["panels"]:
            found = [series for _, series in [*before[panel["id"]], *after[panel["id"]]]]
            assert panel["type"] == "row" or any(found), (
                panel["title"],
                [expression(target) for target in panel["targets"]],
            )
