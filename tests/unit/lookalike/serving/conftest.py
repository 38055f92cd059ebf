"""What tests of server processes share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lookalike.serving.local_stack import ServiceProcess
from tests.echo_service import PROGRAM, StartEcho


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartEcho]:
    """Those that still run at the end of the test are killed."""
    services: list[ServiceProcess] = []

    def start(*, first: str = "", **settings: object) -> ServiceProcess:
        (tmp_path / "echo_service.py").write_text(first + PROGRAM)
        environment = {f"ECHO_{name.upper()}": str(value) for name, value in settings.items()}
        log = tmp_path / f"echo-{len(services)}.log"
        environment["PYTHONPATH"] = str(tmp_path)
        services.append(ServiceProcess("echo_service", environment, log))
        services[-1].start()
        return services[-1]

    yield start
    for service in services:
        service.kill()
