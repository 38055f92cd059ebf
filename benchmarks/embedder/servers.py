"""Starts the embedder and the servers that it is compared with, each a process on loopback."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from lookalike.cpu import available_cores
from lookalike.local_stack import ServiceProcess

_START_S = 120


class Servers:
    """The processes; those that still run are ended with the context."""

    def __init__(self, bundle: Path, logs: Path) -> None:
        self._bundle = bundle.resolve()
        self._logs = logs
        self._embedder: ServiceProcess | None = None
        self._others: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def embedder_pid(self) -> int:
        """Of our own."""
        assert self._embedder is not None
        return self._embedder.pid

    def embedder(self) -> str:
        """Starts ours in int8, or starts it again, and returns its address."""
        if self._embedder:
            self._embedder.stop()
        settings = {
            "BUNDLE": self._bundle,
            "PRECISION": "int8",
            "PORT": 0,
            "ADMIN_PORT": 0,
            "COMPILE_CACHE": self._logs / "compiled",
        }
        environment = {f"LOOKALIKE_EMBEDDER_{name}": str(v) for name, v in settings.items()}
        self._embedder = ServiceProcess("embedder_service", environment, self._logs / "embedder")
        return self._embedder.start()

    def mosec(self) -> str:
        """Starts mosec and returns its address."""
        port = _free_port()
        environment = {"BUNDLE": str(self._bundle), "CORES": str(available_cores())}
        arguments = ["--address", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
        return self._start("mosec_openvino", arguments, port, environment)

    def fastapi(self) -> str:
        """Starts FastAPI and returns its address."""
        port = _free_port()
        return self._start("fastapi_torch", [str(self._bundle), str(port)], port, {})

    def stop_mosec(self) -> None:
        """Ends it, so that it takes no time from others."""
        self._stop("mosec_openvino")

    def stop_fastapi(self) -> None:
        """Likewise."""
        self._stop("fastapi_torch")

    def _start(
        self, module: str, arguments: list[str], port: int, environment: Mapping[str, str]
    ) -> str:
        with (self._logs / module).open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", f"benchmarks.baselines.{module}", *arguments],
                env={**os.environ, **environment},
                stdout=log,
                stderr=log,
                start_new_session=True,  # so that its workers can be ended with it
            )
        self._others[module] = process
        deadline = time.monotonic() + _START_S
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{module}: {(self._logs / module).read_text()[-2000:]}")
            time.sleep(0.2)
        return f"127.0.0.1:{port}"

    def _stop(self, module: str) -> None:
        process = self._others.pop(module)
        if process.poll() is not None:
            return
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            for module in list(self._others):
                self._stop(module)
        finally:
            if self._embedder:
                self._embedder.stop()


def resident_mb(pid: int) -> float:
    """Returns the resident memory of a process, in megabytes of 10⁶ bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    except OSError:
        return False
    finally:
        connection.close()
    return True


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
