"""Every command prints under every encoding, and ends with one line when it is interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lookalike.command import run_command
from tests.small_sample import write_small_sample

ROOT = Path(__file__).resolve().parents[3]
ENCODINGS = ("cp1252", "latin-1", "ascii", "ascii:strict", "utf-8")
# Each with a package that it imports first thing.
COMMANDS = {
    ("lookalike.cli", "status"): "typer",
    ("training", "prepare", "--data", ".", "--out", "out"): "pandas",
    ("sample", "--out", "out"): "PIL",
    ("demo", "down"): "grpc",
    ("benchmarks", "slice", "--quick"): "grpc",
}
INTERRUPTED_AT = {
    "importing": "os.kill(os.getpid(), signal.SIGINT); time.sleep(5)",
    "importing, as an error of its own": """
try:
    os.kill(os.getpid(), signal.SIGINT); time.sleep(5)
except KeyboardInterrupt:
    raise ImportError("half of it is there") from None
""",
    "a callback that cannot raise": """
class Callback:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT); time.sleep(1)
del (each := [Callback()])[0]
time.sleep(5)
""",
}


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    paths = os.pathsep.join([environment.pop("FIRST", str(ROOT)), str(ROOT)])
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": paths, **environment},
        capture_output=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("how", INTERRUPTED_AT)
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: "-".join(command[:2]))
def test_an_interruption_while_packages_are_imported_is_one_line(
    tmp_path: Path, command: tuple[str, ...], how: str
) -> None:
    fake = tmp_path / COMMANDS[command]
    fake.mkdir()
    (fake / "__init__.py").write_text(f"import os, signal, time\n{INTERRUPTED_AT[how]}\n")
    ended = python("-m", *command, FIRST=str(tmp_path))

    name = command[0].partition(".")[0]
    assert (ended.stderr.decode(), ended.returncode) == (f"{name}: interrupted\n", 130)


def test_a_signal_that_is_sent_twice_at_once_is_one_interruption(tmp_path: Path) -> None:
    file = tmp_path / "twice.py"
    file.write_text("""
import os, signal, sys, time
from lookalike.command import run_command
def main():
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
    finally:
        os.kill(os.getpid(), signal.SIGINT)
        print("tidied up")
status = run_command("twice", main)
os.kill(os.getpid(), signal.SIGINT)
sys.exit(status)
""")
    ended = python(str(file))

    assert (ended.stdout.split(), ended.returncode) == ([b"tidied", b"up"], 130)
    assert ended.stderr == b"twice: interrupted\n"


def test_other_errors_and_statuses_are_left_alone() -> None:
    before = signal.getsignal(signal.SIGINT)

    def fail() -> int:
        raise SystemExit(2)

    with pytest.raises(SystemExit):
        run_command("test", fail)
    assert run_command("test", lambda: 3) == 3
    assert signal.getsignal(signal.SIGINT) is before


def test_who_starts_a_command_may_have_the_signal_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:

        def main() -> int:
            os.kill(os.getpid(), signal.SIGINT)
            return 0

        assert run_command("test", main) == 0
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    "encoding", ["ascii:strict", pytest.param("cp1252", marks=pytest.mark.long)]
)
@pytest.mark.parametrize(
    "command",
    [
        ("lookalike.cli", "--help"),
        ("lookalike.cli", "status", "--gateway", "127.0.0.1:1→\udcff"),
        ("lookalike.cli", "classify", "→.jpg"),
        ("training", "--help"),
        ("training", "prepare", "--data", "→", "--out", "…"),
        ("sample", "--help"),
        ("sample", "--out", "→", "--listings", "1"),
        ("demo", "--help"),
        ("benchmarks", "--help"),
    ],
    ids=lambda command: "-".join(command[:2]),
)
def test_a_command_prints_under_every_encoding(command: tuple[str, ...], encoding: str) -> None:
    ended = python("-m", *command, PYTHONIOENCODING=encoding)

    said = ended.stdout + ended.stderr
    assert said
    assert b"Traceback" not in said
    assert b"Unicode" not in said
    assert ended.returncode in (0, 1, 2)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_an_encoding_lacks_is_replaced_in_tables_and_lines(encoding: str) -> None:
    program = """
import sys
from lookalike.cli.console import progress_bar, say, show_line, show_table
from lookalike.command import run_command
from lookalike.progress import photo_progress
def main():
    show_table(("a → b", "price"), [("Café …", "£5")])
    show_line("→ 日本 £5")
    say("→ 日本 £5")
    with progress_bar("→", total=2) as bar, photo_progress("→") as reach:
        bar.advance()
        reach(1, 2)
    print("– × …")
    return 0
sys.exit(run_command("test", main))
"""
    ended = python("-c", program, PYTHONIOENCODING=encoding)

    assert (ended.returncode, b"Traceback" in ended.stderr) == (0, False)
    expected = "→ 日本 £5".encode(encoding.partition(":")[0], "replace")
    assert expected in ended.stdout
    assert expected in ended.stderr


@pytest.fixture
def small_sample(tmp_path: Path) -> Iterator[Path]:
    write_small_sample(tmp_path / "sample")
    return tmp_path / "sample"


def test_an_interrupted_step_of_training_goes_on(small_sample: Path, tmp_path: Path) -> None:
    out = tmp_path / "prepared"
    command = [sys.executable, "-m", "training", "prepare", "--data", str(small_sample)]
    command += ["--out", str(out)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 60
        while not any(out.rglob("*.jpg")) and time.monotonic() < deadline:
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (err.decode(), process.returncode) == ("training: interrupted\n", 130)
    assert not (out / "report.json").exists()

    assert python(*command[1:]).returncode == 0
    assert (out / "report.json").exists()
