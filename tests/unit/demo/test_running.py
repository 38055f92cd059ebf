"""`up` and `down`: only processes that are ours are ended, and none is forgotten."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo import running
from demo.command import main
from demo.files import DemoFiles
from lookalike.errors import StartupError

Spawn = Callable[..., subprocess.Popen[str]]

WAIT = "import signal, sys; print('ready', flush=True); signal.pause()"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WAIT


@pytest.fixture
def files(tmp_path: Path) -> DemoFiles:
    return DemoFiles(tmp_path)


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Starts a program that waits, with arguments; what still runs at the end is killed."""
    processes: list[subprocess.Popen[str]] = []

    def spawn(*arguments: str, program: str = WAIT) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", program, *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield spawn
    for process in processes:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def remember(files: DemoFiles, **processes: int) -> None:
    files.processes.write_text(json.dumps(processes))


def test_help_of_up_names_every_port_and_its_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["up", "--help"])
    told = capsys.readouterr().out
    for port in running.PORTS.values():
        assert str(port) in told
    assert "LOOKALIKE_GATEWAY_HTTP_PORT" in told


def test_services_are_stopped_the_gateway_first_and_forgotten(
    files: DemoFiles, spawn: Spawn
) -> None:
    # Told apart from any other program by the `-m NAME` of their command lines.
    modules = ("embedder_service", "index_service", "gateway")
    services = {module: spawn("-m", module) for module in modules}
    remember(files, **{module: service.pid for module, service in services.items()})

    assert running.stop(files) == ["gateway", "index_service", "embedder_service"]
    assert [service.wait(5) for service in services.values()] == [-15, -15, -15]
    assert not files.processes.exists()
    assert running.stop(files) == []


@pytest.mark.parametrize("arguments", [(), ("-m", "index_service"), ("gateway", "-m")])
def test_a_process_that_got_a_services_old_number_is_left_alone(
    files: DemoFiles, spawn: Spawn, arguments: tuple[str, ...]
) -> None:
    other = spawn(*arguments)
    remember(files, gateway=other.pid)

    assert running.stop(files) == []
    assert other.poll() is None
    assert not files.processes.exists(), "there is nothing of ours to remember"


def test_services_that_ended_by_themselves_are_no_error(files: DemoFiles, spawn: Spawn) -> None:
    gone, left = spawn("-m", "gateway"), spawn("-m", "index_service")
    gone.kill()
    gone.wait()
    remember(files, index_service=left.pid, gateway=gone.pid)

    assert running.stop(files) == ["index_service"]


def test_a_service_that_does_not_stop_is_told_and_still_remembered(
    files: DemoFiles, spawn: Spawn
) -> None:
    deaf = spawn("-m", "gateway", program=DEAF)
    remember(files, gateway=deaf.pid)
    with pytest.raises(StartupError) as caught:
        running.stop(files, timeout_s=0.2)

    assert str(caught.value) == f"gateway (process {deaf.pid}) did not stop in 0.2 s"
    assert json.loads(files.processes.read_text()) == {"gateway": deaf.pid}


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "7", '{"gateway": "many"}', '{"gateway": null}', '{"gateway": 1e999}'],
)
def test_a_broken_list_of_processes_is_named_and_kept(
    files: DemoFiles, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    files.processes.write_text(content)
    for verb in (running.start, running.stop):
        with pytest.raises(StartupError, match=r"processes\.json: not a list of processes: "):
            verb(files)

    assert main(["--files", str(files.root), "down"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"demo: {files.processes}: not a list of processes: ")
    assert said.count("\n") == 1
    assert files.processes.read_text() == content


def test_down_says_what_it_stopped(
    files: DemoFiles, spawn: Spawn, capsys: pytest.CaptureFixture[str]
) -> None:
    remember(files, gateway=spawn("-m", "gateway").pid)
    for expected in ("stopped: gateway\n", "stopped: nothing was running\n"):
        assert main(["--files", str(files.root), "down"]) == 0
        assert capsys.readouterr().out == expected


def test_what_runs_already_is_not_started_again(files: DemoFiles, spawn: Spawn) -> None:
    remember(files, gateway=spawn("-m", "gateway").pid)
    with pytest.raises(StartupError, match="running already; `make down` stops them"):
        running.start(files)

    assert not files.logs.exists(), "nothing was started"


def test_services_that_cannot_be_remembered_are_stopped(
    files: DemoFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    stacks: list[Stack] = []

    class Stack:
        """Stands for three processes, which take seconds to start."""

        services = ()

        def __init__(self, **_: object) -> None:
            self.running = False
            stacks.append(self)

        def start(self) -> None:
            self.running = True

        def stop(self) -> None:
            self.running = False

    monkeypatch.setattr(running, "LocalStack", Stack)
    with pytest.raises(FileNotFoundError):
        running.start(DemoFiles(files.root / "nowhere"))

    assert [stack.running for stack in stacks] == [False]
