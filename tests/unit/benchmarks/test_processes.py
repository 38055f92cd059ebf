from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.processes import HttpProcess, cpu_seconds, free_port, resident_bytes, wants_to_run


def test_processor_time_grows_with_work() -> None:
    start = cpu_seconds(os.getpid())
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass
    assert 0.1 < cpu_seconds(os.getpid()) - start < 10


def test_running_process_wants_to_run_and_a_waiting_one_does_not() -> None:
    assert wants_to_run(os.getpid())
    with subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        process.stdout.readline()
        deadline = time.monotonic() + 10
        while wants_to_run(process.pid) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not wants_to_run(process.pid)
        process.communicate(b"\n")


def test_resident_memory_is_in_bytes() -> None:
    assert 10e6 < resident_bytes(os.getpid()) < 100e9


def test_server_is_started_until_it_answers_and_ended(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    server = HttpProcess(command, port, tmp_path / "log", {})
    try:
        assert server.start() == f"127.0.0.1:{port}"
    finally:
        server.stop()
    server.stop()  # again, as a context does after an error


def test_server_that_does_not_start_leaves_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no licence')"]
    with pytest.raises(RuntimeError, match="no licence"):
        HttpProcess(command, free_port(), tmp_path / "log", {}).start()
