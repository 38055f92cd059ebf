"""Starts the embedder and the servers that it is compared with, each a process on loopback."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from benchmarks.processes import HttpProcess, free_port
from lookalike.cpu import available_cores
from lookalike.serving.local_stack import ServiceProcess


class Servers:
    """The processes; those that still run are ended with the context."""

    def __init__(self, bundle: Path, logs: Path) -> None:
        self._bundle = bundle.resolve()
        self._logs = logs
        self._embedder: ServiceProcess | None = None
        self._others: dict[str, HttpProcess] = {}

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
        port = free_port()
        environment = {"BUNDLE": str(self._bundle), "CORES": str(available_cores())}
        arguments = ["--address", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
        return self._start("mosec_openvino", arguments, port, environment)

    def fastapi(self) -> str:
        """Starts FastAPI and returns its address."""
        port = free_port()
        return self._start("fastapi_torch", [str(self._bundle), str(port)], port, {})

    def stop_mosec(self) -> None:
        """Ends it, so that it takes no time from others."""
        self._others.pop("mosec_openvino").stop()

    def stop_fastapi(self) -> None:
        """Likewise."""
        self._others.pop("fastapi_torch").stop()

    def _start(
        self, module: str, arguments: list[str], port: int, environment: Mapping[str, str]
    ) -> str:
        command = [sys.executable, "-m", f"benchmarks.baselines.{module}", *arguments]
        self._others[module] = HttpProcess(command, port, self._logs / module, environment)
        return self._others[module].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            for other in self._others.values():
                other.stop()
        finally:
            if self._embedder:
                self._embedder.stop()
