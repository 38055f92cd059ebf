"""Starts the index service, and its commands, as processes. Knows nothing of what is stored."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import grpc

from lookalike.index.v1.index_pb2_grpc import IndexServiceStub
from lookalike.serving.local_stack import ServiceProcess

ROOT = Path(__file__).resolve().parents[2]
MODULE = "index_service"
PREFIX = "LOOKALIKE_INDEX_"


class Serving(NamedTuple):
    """A service that answers."""

    process: ServiceProcess
    stub: IndexServiceStub


def environment(data_dir: Path, **settings: object) -> dict[str, str]:
    """Returns the variables for a service on a free port; settings are named without the prefix."""
    named = {"data_dir": data_dir, "port": 0, **settings}
    return {PREFIX + name.upper(): str(value) for name, value in named.items()}


@contextmanager
def serving(
    data_dir: Path, log: Path, *, module: str = "", **settings: object
) -> Iterator[Serving]:
    """Starts a service, and kills it at the end if it still runs."""
    process = ServiceProcess(module or MODULE, environment(data_dir, **settings), log)
    process.start()
    try:
        with grpc.insecure_channel(process.address) as channel:
            yield Serving(process, IndexServiceStub(channel))
    finally:
        process.kill()


def kill_while_starting(data_dir: Path, log: Path, after_s: float) -> None:
    """Starts a service and kills it a while later, whether it serves by then or not."""
    with (
        log.open("wb") as out,
        subprocess.Popen(
            [sys.executable, "-m", MODULE],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={**os.environ, **environment(data_dir)},
            cwd=ROOT,
        ) as process,
    ):
        try:
            process.wait(after_s)
        except subprocess.TimeoutExpired:
            process.kill()
    if process.returncode != -signal.SIGKILL:
        raise AssertionError(f"ended with {process.returncode}: {log.read_text()}")


def events(log: Path) -> Counter[str]:
    """Counts the events that a service has logged."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line[:1] == "{"]
    return Counter(str(json.loads(line).get("event")) for line in lines if line[-1:] == "}")


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs `python -m index_service …` to its end."""
    return subprocess.run(
        [sys.executable, "-m", MODULE, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
        check=False,
    )
