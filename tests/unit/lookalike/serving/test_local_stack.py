"""Processes that are started, watched and ended."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lookalike.errors import StartupError
from lookalike.serving.local_stack import LocalStack, ServiceProcess

ANNOUNCE = """\
import json, signal, sys
print('no JSON'); print('[1]'); print('{"event": "other"}')
print(json.dumps({"event": "serving", "address": f"127.0.0.1:{PORT}"}), flush=True)
"""
WAIT_FOR_SIGTERM = "signal.sigwait({signal.SIGTERM}); sys.exit(7)"
IGNORE_SIGTERM = "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True)\n"

MakeService = Callable[[str], ServiceProcess]


@pytest.fixture
def service_of(tmp_path: Path) -> Iterator[MakeService]:
    """Makes a service of a program's text."""
    services: list[ServiceProcess] = []

    def make(program: str) -> ServiceProcess:
        (tmp_path / "program_of_the_test.py").write_text(program)
        # A program that is written again within a second would be taken from its bytecode.
        environment = {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
        log = tmp_path / "logs" / "service.log"
        services.append(ServiceProcess("program_of_the_test", environment, log))
        return services[-1]

    yield make
    for service in services:
        service.kill()


def announcing(port: int, then: str) -> str:
    return f"PORT = {port}\n{ANNOUNCE}{then}"


def has_ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_service_is_started_until_it_says_where_it_listens_and_ended_by_sigterm(
    service_of: MakeService,
) -> None:
    # It blocks the signal from the start, so that it cannot come before it is waited for.
    block = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})\n"
    service = service_of(block + announcing(4711, WAIT_FOR_SIGTERM))
    assert service.pid == 0
    assert service.stop() == 0, "there is nothing to stop yet"
    assert service.start() == "127.0.0.1:4711" == service.address
    pid = service.pid
    assert service.stop() == 7
    assert has_ended(pid)
    assert service.stop() == 7, "to stop it again does nothing"


def test_started_again_it_waits_for_the_new_address(service_of: MakeService) -> None:
    first = service_of(announcing(1, "signal.pause()"))
    first.start()
    first.kill()
    service_of(announcing(2, "signal.pause()"))
    assert first.start() == "127.0.0.1:2"


def test_child_that_dies_at_once_is_told_with_its_last_line(service_of: MakeService) -> None:
    service = service_of("import sys; print('first'); sys.exit('embedder: no bundle')")
    with pytest.raises(StartupError) as caught:
        service.start()
    assert str(caught.value) == "embedder: no bundle"


def test_child_that_dies_silently_is_told_by_its_name(service_of: MakeService) -> None:
    with pytest.raises(StartupError, match="program_of_the_test ended without a word"):
        service_of("raise SystemExit(3)").start()


def test_child_that_never_serves_is_killed_after_the_timeout(service_of: MakeService) -> None:
    service = service_of("import signal; signal.pause()")
    with pytest.raises(StartupError, match=r"did not serve within 0\.2 s.*service\.log"):
        service.start(timeout_s=0.2)
    assert has_ended(service.pid)


def test_kill_ends_a_process_that_does_not_listen_to_sigterm(service_of: MakeService) -> None:
    service = service_of("import signal\n" + IGNORE_SIGTERM + announcing(1, "signal.pause()"))
    service.start()
    pid = service.pid
    service.kill()
    assert has_ended(pid)


def test_stop_kills_after_its_timeout(service_of: MakeService) -> None:
    service = service_of(
        "import signal\n" + IGNORE_SIGTERM + announcing(1, "while True: signal.pause()")
    )
    service.start()
    assert service.stop(timeout_s=0.2) == -signal.SIGKILL
    assert has_ended(service.pid)


def test_service_that_ended_by_itself_can_be_stopped(service_of: MakeService) -> None:
    service = service_of(announcing(1, ""))
    service.start()
    assert service.stop() in {0, -signal.SIGTERM}


def test_stack_that_cannot_start_leaves_nothing_running(tmp_path: Path) -> None:
    stack = LocalStack(
        bundle=tmp_path / "missing", index_dir=tmp_path / "index", log_dir=tmp_path / "logs"
    )
    with pytest.raises(StartupError) as caught:
        stack.start()
    missing = tmp_path / "missing" / "manifest.json"
    assert str(caught.value).startswith(f"embedder: {missing}: missing")
    assert str(caught.value).endswith("(LOOKALIKE_EMBEDDER_BUNDLE)")
    assert stack.services == []
