"""Starts and stops services that keep running: `make up` and `make down`."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from demo.files import DemoFiles
from lookalike.errors import StartupError
from lookalike.serving.local_stack import LocalStack

PORTS = {
    "embedder_service": 50051,
    "admin": 50061,
    "index_service": 50052,
    "gateway": 50050,
    "http": 8080,
}
_SETTINGS = {
    "embedder_service": "LOOKALIKE_EMBEDDER_PORT",
    "admin": "LOOKALIKE_EMBEDDER_ADMIN_PORT",
    "index_service": "LOOKALIKE_INDEX_PORT",
    "gateway": "LOOKALIKE_GATEWAY_PORT",
    "http": "LOOKALIKE_GATEWAY_HTTP_PORT",
}


def where() -> str:
    """Returns where the services listen, and the settings that say otherwise."""
    ports = ", ".join(f"{port} ({_SETTINGS[name]})" for name, port in PORTS.items())
    return f"The services listen on 127.0.0.1, on the ports {ports}; 0 takes a free one."


def start(files: DemoFiles) -> LocalStack:
    """Starts the three services on the ports of their settings and records their process ids."""
    if any(_is_ours(pid, module) for module, pid in _remembered(files.processes).items()):
        raise StartupError("the services are running already; `make down` stops them")
    stack = LocalStack(
        bundle=files.bundle,
        index_dir=files.index,
        log_dir=files.logs,
        ports={name: os.environ.get(_SETTINGS[name], port) for name, port in PORTS.items()},
        thumbnails=files.thumbnails,
        detached=True,
    )
    stack.start()
    pids = {service.module: service.pid for service in stack.services}
    try:
        files.processes.write_text(json.dumps(pids, indent=2) + "\n")
    except BaseException:
        stack.stop()  # or nobody would know of them
        raise
    return stack


def stop(files: DemoFiles, timeout_s: float = 30) -> list[str]:
    """Stops the services of `start`, the gateway first; returns those stopped."""
    remembered = _remembered(files.processes)
    stopped = []
    for module, pid in reversed(remembered.items()):
        if not _is_ours(pid, module):
            continue
        with suppress(ProcessLookupError):  # it may end by itself this moment
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + timeout_s
        while _is_ours(pid, module):
            if time.monotonic() > deadline:
                raise StartupError(f"{module} (process {pid}) did not stop in {timeout_s:g} s")
            time.sleep(0.05)
        stopped.append(module)
    files.processes.unlink(missing_ok=True)
    return stopped


def _remembered(file: Path) -> dict[str, int]:
    try:
        return {str(module): int(pid) for module, pid in json.loads(file.read_text()).items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise StartupError(f"{file}: not a list of processes: {error}") from None


def _is_ours(pid: int, module: str) -> bool:
    """Returns whether the process runs this service; process ids are reused."""
    return ("-m", module) in itertools.pairwise(_command(pid))


def _command(pid: int) -> list[str]:
    """Returns a process's arguments; empty if there is no such process."""
    if not Path("/proc/self").exists():  # macOS
        listed = ["ps", "-p", str(pid), "-o", "command="]
        return subprocess.run(listed, capture_output=True, text=True, check=False).stdout.split()
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []
