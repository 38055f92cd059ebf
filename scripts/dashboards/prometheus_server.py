"""Runs a real Prometheus on loopback over services of this machine, and asks it.

It needs the program `prometheus`, as Debian's package of that name brings it.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_POLL_S = 0.1
_PATIENCE_S = 60.0


@dataclass(frozen=True)
class Series:
    """One series of an answer.

    Attributes:
        labels: What tells it from others.
        points: Seconds since 1970, and values; one of each for a query of a moment.
    """

    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Target:
    """What Prometheus reads, with labels that all its series get."""

    address: str
    labels: Mapping[str, str] = field(default_factory=dict)


class PrometheusServer:
    """A Prometheus; use as a context manager.

    Args:
        folder: For its configuration, data and log.
        targets: What to read metrics from, by job.
        every: How often, as Prometheus writes it.
        rules: Files of rules.
    """

    def __init__(
        self,
        folder: Path,
        targets: Mapping[str, Sequence[Target]],
        *,
        every: str = "1s",
        rules: Sequence[Path] = (),
    ) -> None:
        self._folder = folder
        self._targets = targets
        self._every = every
        self._rules = rules
        self._process: subprocess.Popen[bytes] | None = None
        self.address = ""

    @staticmethod
    def is_installed() -> bool:
        """Whether the program is there."""
        return shutil.which("prometheus") is not None

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        configuration = {
            "global": {"scrape_interval": self._every, "evaluation_interval": self._every},
            "rule_files": [str(rule.resolve()) for rule in self._rules],
            "scrape_configs": [
                {
                    "job_name": job,
                    "static_configs": [
                        {"targets": [target.address], "labels": dict(target.labels)}
                        for target in targets
                    ],
                }
                for job, targets in self._targets.items()
            ],
        }
        file = self._folder / "prometheus.yml"
        file.write_text(json.dumps(configuration), encoding="utf-8")  # JSON is YAML
        self.address = f"127.0.0.1:{free_port()}"
        with (self._folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={file}",
                    f"--storage.tsdb.path={self._folder / 'data'}",
                    f"--web.listen-address={self.address}",
                ],
                stdout=log,
                stderr=log,
            )
        try:
            self._wait()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def query(self, query: str) -> list[Series]:
        """Returns what a query gives now."""
        result = self._get("query", {"query": query})["result"]
        return [Series(each["metric"], [_point(each["value"])]) for each in result]

    def query_range(self, query: str, start: float, end: float, step: float) -> list[Series]:
        """Returns what a query gave between two times, in seconds since 1970."""
        parameters = {"query": query, "start": str(start), "end": str(end), "step": str(step)}
        result = self._get("query_range", parameters)["result"]
        return [Series(each["metric"], list(map(_point, each["values"]))) for each in result]

    def wait_for_reads(self) -> None:
        """Waits until every target was asked anew, whether it answered or not."""
        begun, deadline = time.time(), time.monotonic() + _PATIENCE_S
        while self.query("min(timestamp(up))")[0].points[0][1] <= begun:
            if time.monotonic() > deadline:
                raise RuntimeError(f"Prometheus reads nothing any more: {self._targets}")
            time.sleep(_POLL_S)

    def _get(self, path: str, parameters: Mapping[str, str]) -> Any:
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=_PATIENCE_S) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise ValueError(f"{parameters}: {error.read().decode(errors='replace')}") from None

    def _wait(self) -> None:
        """Waits until every target has answered."""
        wanted = sum(map(len, self._targets.values()))
        deadline = time.monotonic() + _PATIENCE_S
        assert self._process is not None
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError, ValueError):
                read = self.query("up == 1")
                if len(read) == wanted:
                    return
            time.sleep(_POLL_S)
        log = (self._folder / "prometheus.log").read_text(errors="replace").splitlines()
        raise RuntimeError(f"Prometheus does not read {self._targets}: {log[-1:]}")

    def _end(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()


def _point(pair: Sequence[Any]) -> tuple[float, float]:
    return float(pair[0]), float(pair[1])


def free_port() -> int:
    """Returns a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
