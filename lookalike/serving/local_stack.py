"""Runs services as processes on this machine, for the demo, tests and benchmarks.

Starts `python -m <service>`, waits until its log names the address, and stops it by its process id.
Services are named by module and never imported.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from lookalike.errors import StartupError

_POLL_S = 0.02
# Of each service's settings.
PREFIXES = {
    "embedder_service": "LOOKALIKE_EMBEDDER_",
    "index_service": "LOOKALIKE_INDEX_",
    "gateway": "LOOKALIKE_GATEWAY_",
}


class ServiceProcess:
    """A service in its own process.

    Args:
        module: What `python -m` runs, for example `embedder_service`.
        environment: Settings, added to this process's environment.
        log: File for the service's stderr and stdout.
        detached: Whether it keeps running when this process ends.
        within: Command that runs it, and that it takes the place of: `("ip", "netns", "exec", …)`.
    """

    def __init__(
        self,
        module: str,
        environment: Mapping[str, str],
        log: Path,
        *,
        detached: bool = False,
        within: Sequence[str] = (),
    ) -> None:
        self.module = module
        self.log = log
        self.address = ""
        defaults = dict[str, str]()
        if module in PREFIXES:  # a free port, since several of a service may run here
            defaults[f"{PREFIXES[module]}METRICS_PORT"] = "0"
        self._environment = {**defaults, **os.environ, **environment}
        self._detached = detached
        self._within = within
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id; 0 before `start`."""
        return self._process.pid if self._process else 0

    @property
    def running(self) -> bool:
        """Whether it has started and not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self, timeout_s: float = 60) -> str:
        """Starts it and returns its `host:port`; StartupError with the last line of its log."""
        self.address = ""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [*self._within, sys.executable, "-m", self.module],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                cwd=Path(__file__).resolve().parents[2],
                start_new_session=self._detached,
            )
        deadline = time.monotonic() + timeout_s
        while True:
            ended = self._process.poll() is not None  # checked before the log is read
            self.address = self.announced("serving")
            if self.address:
                return self.address
            if ended:
                lines = self.log.read_text(errors="replace").strip().splitlines()
                raise StartupError(lines[-1] if lines else f"{self.module} ended without a word")
            if time.monotonic() > deadline:
                self.kill()
                raise StartupError(
                    f"{self.module} did not serve within {timeout_s:g} s: {self.log}"
                )
            time.sleep(_POLL_S)

    def announced(self, event: str) -> str:
        """Returns the `host:port` of a log event such as `serving http`; empty if there is none."""
        for line in self.log.read_text(errors="replace").splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                entry = json.loads(line)
                if isinstance(entry, dict) and entry.get("event") == event:
                    return str(entry["address"])
        return ""

    def stop(self, timeout_s: float = 30) -> int:
        """Sends SIGTERM and returns the exit status; kills it after `timeout_s`."""
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._process.wait()

    def kill(self) -> None:
        """Sends SIGKILL and waits."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


class LocalStack:
    """Embedder, index and gateway as three processes on loopback; use as a context manager.

    Args:
        bundle: Directory of the model bundle.
        index_dir: Directory of the index's store of record; made if missing.
        log_dir: Directory for one log file a service.
        ports: Port of each service by module name, of the gateway's HTTP as `http` and of the
            embedder's admin service as `admin`; free ports by default.
        thumbnails: Directory of the gateway's thumbnails; none by default.
        detached: Whether the services keep running when this process ends.
    """

    def __init__(
        self,
        *,
        bundle: Path,
        index_dir: Path,
        log_dir: Path,
        ports: Mapping[str, int | str] | None = None,
        thumbnails: Path | None = None,
        detached: bool = False,
    ) -> None:
        self._ports = ports or {}
        self._log_dir = log_dir
        self._detached = detached
        self._embedder_settings = {
            "LOOKALIKE_EMBEDDER_BUNDLE": str(bundle.resolve()),
            "LOOKALIKE_EMBEDDER_ADMIN_PORT": str(self._ports.get("admin", 0)),
        }
        self._index_settings = {
            "LOOKALIKE_INDEX_DATA_DIR": str(index_dir.resolve()),
            "LOOKALIKE_INDEX_LOG_REQUESTS": "true",  # for development, where people read it
        }
        self._gateway_settings = {
            "LOOKALIKE_GATEWAY_HTTP_PORT": str(self._ports.get("http", 0)),
            "LOOKALIKE_GATEWAY_THUMBNAILS": str(thumbnails.resolve()) if thumbnails else "",
        }
        self.services: list[ServiceProcess] = []

    def start(self) -> str:
        """Starts all three; returns the gateway's `host:port`."""
        try:
            embedder = self._start("embedder_service", "EMBEDDER", self._embedder_settings)
            index = self._start("index_service", "INDEX", self._index_settings)
            upstreams = {"LOOKALIKE_GATEWAY_EMBEDDER": embedder, "LOOKALIKE_GATEWAY_INDEX": index}
            return self._start("gateway", "GATEWAY", {**self._gateway_settings, **upstreams})
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stops them, the gateway first, so that none calls a stopped service."""
        for service in reversed(self.services):
            service.stop()
        self.services.clear()

    def address(self, module: str) -> str:
        """Returns a service's `host:port`."""
        return self._service(module).address

    @property
    def admin_address(self) -> str:
        """The `host:port` of the embedder's admin service."""
        return self._service("embedder_service").announced("also serving")

    @property
    def http_address(self) -> str:
        """The `host:port` of the gateway's HTTP API and web page."""
        return self._service("gateway").announced("serving http")

    def metrics_address(self, module: str) -> str:
        """Returns the `host:port` of a service's metrics."""
        return self._service(module).announced("serving metrics")

    def _service(self, module: str) -> ServiceProcess:
        return next(service for service in self.services if service.module == module)

    def _start(self, module: str, name: str, settings: Mapping[str, str]) -> str:
        port = {f"LOOKALIKE_{name}_PORT": str(self._ports.get(module, 0))}
        log = self._log_dir / f"{module}.log"
        service = ServiceProcess(module, {**settings, **port}, log, detached=self._detached)
        self.services.append(service)
        return service.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
