"""Processes that a benchmark starts beside ours. Knows nothing of what they serve."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_START_S = 120


class HttpProcess:
    """A server that speaks HTTP on a loopback port, with all that it starts itself.

    Args:
        command: Program and arguments.
        port: Where it will listen.
        log: File that gets its stderr and stdout.
        environment: Added to this process's environment.
    """

    def __init__(
        self, command: Sequence[str], port: int, log: Path, environment: Mapping[str, str]
    ) -> None:
        self._command = command
        self._port = port
        self._log = log
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> str:
        """Starts it and returns its address once it answers; RuntimeError with its last words."""
        with self._log.open("wb") as log:
            process = subprocess.Popen(
                self._command,
                env={**os.environ, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # so that its workers can be ended with it
            )
        self._process = process
        deadline = time.monotonic() + _START_S
        while not _answers(self._port):
            if process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"{self._command}: {self._log.read_text()[-2000:]}")
            time.sleep(0.2)
        return f"127.0.0.1:{self._port}"

    def stop(self) -> None:
        """Ends it, so that it takes no time from others."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def resident_bytes(pid: int) -> int:
    """Returns the resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pid: int) -> float:
    """Returns the processor time that a process has used, all of its threads together."""
    fields = _stat(Path(f"/proc/{pid}/stat"))
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wants_to_run(pid: int) -> bool:
    """Returns whether one of a process's threads runs, or waits for a processor or a disk."""
    stats = Path(f"/proc/{pid}/task").glob("*/stat")
    return any(_stat(stat)[0] in {"R", "D"} for stat in stats)


def _stat(file: Path) -> list[str]:
    """Returns the fields after the name, which has parentheses and maybe spaces: state first."""
    try:
        return file.read_text().rpartition(")")[2].split()
    except FileNotFoundError:  # the thread has ended
        return ["X"]


def free_port() -> int:
    """Returns a loopback port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


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
