from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from benchmarks.processes import HttpProcess, cpu_seconds, free_port, resident_bytes


def test_processor_time_grows_with_work() -> None:
    start = cpu_seconds(os.getpid())
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass
    assert 0.1 < cpu_seconds(os.getpid()) - start < 10


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
