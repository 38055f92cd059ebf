"""Draws a Grafana dashboard from a real run: python -m scripts.dashboards.draw [--minutes 4]

Starts the three services on the demo's bundle (`make demo`), a real Prometheus over them, and
callers. Every panel's query goes to Prometheus as Grafana would send it; matplotlib draws what
comes back, so the picture has our panels, queries and legends, but not Grafana's looks.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from demo.files import DemoFiles
from lookalike.client import Client, IndexClient
from lookalike.serving.local_stack import LocalStack
from scripts.dashboards.picture import draw
from scripts.dashboards.prometheus_server import PrometheusServer, Series, Target, free_port
from scripts.dashboards.sample_load import SampleLoad, wave

ROOT = Path(__file__).resolve().parents[2]
_EVERY_S = 2
# What `$__rate_interval` becomes: four reads, as Grafana does.
_RATE_INTERVAL = f"{4 * _EVERY_S}s"
SERVICES = {"embedder": "embedder_service", "index": "index_service", "gateway": "gateway"}


def expression(target: dict[str, Any]) -> str:
    """Returns a target's query with Grafana's variables filled in."""
    query: str = target["expr"]
    return query.replace("$__rate_interval", _RATE_INTERVAL)


def ask(
    prometheus: PrometheusServer, dashboard: dict[str, Any], start: float, end: float
) -> dict[int, list[tuple[dict[str, Any], list[Series]]]]:
    """Returns what each panel's targets give, by the panel's id."""
    answers: dict[int, list[tuple[dict[str, Any], list[Series]]]] = {}
    for panel in dashboard["panels"]:
        answers[panel["id"]] = [
            (
                target,
                prometheus.query(expression(target))
                if target["instant"]
                else prometheus.query_range(expression(target), start, end, _EVERY_S),
            )
            for target in panel.get("targets", [])
        ]
    return answers


def keep_busy(stack: LocalStack, load: SampleLoad, seconds: float) -> None:
    """Runs all kinds of callers; then a bulk job, a flood, and seconds without the embedder."""
    stop = threading.Event()
    gateway, index = stack.address("gateway"), stack.address("index_service")
    with Client(gateway, timeout=5, retries=0) as client, IndexClient(index) as indexes:
        dice = random.Random(2)
        callers = [
            load.repeat(lambda: load.look(client), lambda: wave(seconds / 2, 0.05, 0.4), stop)
            for _ in range(3)
        ]
        callers.append(load.repeat(load.browse, lambda: 0.3, stop))
        callers.append(load.repeat(lambda: load.blunder(client), lambda: dice.uniform(1, 4), stop))
        callers.append(load.repeat(lambda: load.find_by_graph(indexes), lambda: 0.2, stop))
        callers.append(load.repeat(lambda: load.ingest(4), lambda: 2.0, stop))
        time.sleep(seconds * 0.4)
        load.bulk(int(seconds * 6))
        time.sleep(seconds * 0.15)
        for _ in range(3):  # the first shows a counter for the first time, which is no growth
            asyncio.run(load.flood(200))
            time.sleep(5)
        time.sleep(seconds * 0.1)
        embedder = next(s for s in stack.services if s.module == "embedder_service")
        embedder.stop()
        time.sleep(8)
        embedder.start()
        time.sleep(seconds * 0.15)
        stop.set()
        for caller in callers:
            caller.join(15)


def main() -> int:
    """Draws; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m scripts.dashboards.draw", description=__doc__)
    parser.add_argument("--minutes", type=float, default=4)
    parser.add_argument("--files", type=Path, default=DemoFiles().root, help="those of `make demo`")
    parser.add_argument("--folder", type=Path, default=ROOT / "docs", help="where pictures go")
    parser.add_argument("--dashboards", nargs="*", default=["overview"])
    options = parser.parse_args()
    files = DemoFiles(options.files)
    photos = [file.read_bytes() for file in sorted((files.marketplace / "images").rglob("*.jpg"))]
    if not photos or not files.bundle.is_dir():
        print(f"{files.root} has no bundle and photos; run `make demo`", file=sys.stderr)
        return 1
    if not PrometheusServer.is_installed():
        print("prometheus is not installed: apt-get install prometheus", file=sys.stderr)
        return 1
    os.environ["LOOKALIKE_EMBEDDER_MAX_QUEUE"] = "64"  # so that a flood is refused in part
    # fixed, so that gateway and Prometheus find the embedder again
    os.environ["LOOKALIKE_EMBEDDER_METRICS_PORT"] = str(free_port())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stack = LocalStack(
            bundle=files.bundle,
            index_dir=folder / "index",
            log_dir=folder / "logs",
            ports={"embedder_service": free_port()},
        )
        with stack:
            load = SampleLoad(stack, photos[:200])
            load.prepare()
            targets = {job: [Target(stack.metrics_address(SERVICES[job]))] for job in SERVICES}
            with PrometheusServer(
                folder / "prometheus", targets, every=f"{_EVERY_S}s"
            ) as prometheus:
                start = time.time()
                keep_busy(stack, load, options.minutes * 60)
                end = time.time()
                for dashboard in options.dashboards:
                    model = json.loads((ROOT / f"deploy/grafana/{dashboard}.json").read_text())
                    answers = ask(prometheus, model, start, end)
                    suffix = "" if dashboard == "overview" else f"-{dashboard}"
                    picture = options.folder / f"dashboard{suffix}.png"
                    draw(model, answers, picture, start, end)
                    print(picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
