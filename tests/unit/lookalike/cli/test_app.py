"""What all commands share: exit codes, one line for what is wrong, help, completion."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lookalike import __version__, cli
from tests.command_line import Ended, Run

COMMANDS = ("classify", "similar", "embed", "ingest", "reindex", "status", "serve")

# A port that nobody listens on: reserved for TCP's port service multiplexer.
NOBODY = "127.0.0.1:1"


def one_line(ended: Ended) -> str:
    (line,) = ended.err.splitlines()
    assert line.startswith("lookalike: ")
    assert ended.out == ""
    return line


def test_help_names_every_command(run: Run) -> None:
    ended = run("--help")
    assert ended.code == 0
    for command in COMMANDS:
        assert f" {command} " in ended.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(run: Run, command: str) -> None:
    ended = run(command, "--help")
    assert ended.code == 0
    assert f"lookalike {command} [OPTIONS]" in ended.out


@pytest.mark.parametrize(
    ("command", "default"), [("classify", "[default: 3, or"), ("status", "[default: 10, or")]
)
def test_help_says_defaults_that_are_no_one_value(run: Run, command: str, default: str) -> None:
    assert default in " ".join(run(command, "--help").out.replace("│", " ").split())


def test_without_a_command_help_is_shown_and_the_status_is_usage(run: Run) -> None:
    ended = run()
    assert ended.code == 2
    assert "classify" in ended.out + ended.err


def test_version(run: Run) -> None:
    ended = run("--version")
    assert (ended.code, ended.out) == (0, f"lookalike {__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["frobnicate"], "No such command 'frobnicate'"),
        (["classify"], "give a PHOTO, --title or --description"),
        (["classify", "--frob", "x.jpg"], "No such option: --frob"),
        (["classify", "x.jpg", "--top", "0"], "--top"),
        (["similar"], "give a PHOTO, WORDS, --text or --item"),
        (["similar", "--less", "red"], "--less alone does not say what to look for"),
        (["similar", "x.jpg", "--item", "y"], "give a PHOTO, WORDS, --text or --item, and one al"),
        (["similar", "blue sofa", "--text", "x"], "give a PHOTO, WORDS, --text or --item, and one"),
        (["similar", "--item", "y", "--text", ""], "give a PHOTO, WORDS, --text or --item, and on"),
        (["similar", "void.jpg", "blue"], "'blue' is no file, and others are photos; --more"),
        (["similar", "x", "--more", "blue^0"], "--more is 'blue^0'; its weight, after ^, must be"),
        (["similar", "x", "--more", "blue^"], "a number above 0 and at most 10"),
        (["similar", "x", "--less", "blue^-1"], "--less is 'blue^-1'; its weight"),
        (["similar", "x", "--less", "blue^0,5"], "--less is 'blue^0,5'; its weight"),
        (["similar", "x", "--less", "blue^nan"], "--less is 'blue^nan'; its weight"),
        (["similar", "x.jpg", "-k", "0"], "-k"),
        (["similar", "x.jpg", "-k", "many"], "-k"),
        (["similar", "x.jpg", "--min-price", "cheap"], "--min-price"),
        (["similar", "x.jpg", "--min-price", "nan"], "--min-price"),
        (["similar", "x.jpg", "--max-distance", "inf"], "--max-distance is inf"),
        (["similar", "x.jpg", "--sheet", "out.doc"], "must end in one of"),
        (["similar", "x.jpg", "--sheet", "out.png", "--http", "ftp://x"], "--http is 'ftp://x'"),
        (["embed", "."], "Missing option '--out'"),
        (["embed", ".", "-o", "vectors.csv"], "must end in .parquet"),
        (["ingest"], "give --products and --images"),
        (["ingest", "x.jpg"], "--listing is missing"),
        (["ingest", "x.jpg", "--products", "p.csv"], "give --products and --images"),
        (["ingest", "--products", "p.csv"], "--images is missing"),
        (["ingest", "x.jpg", "--listing", "l", "--price", "cheap"], "--price is 'cheap'"),
        (["reindex"], "--images is missing"),
        (["reindex", "--images", ".", "--dry-run", "--yes"], "contradict"),
        (["reindex", "--images", ".", "--min-agreement", "2"], "--min-agreement"),
        (["serve"], "Missing option"),
        (["serve", "--bundle", ".", "--data", ".", "--port", "70000"], "--port"),
        (["status", "--timeout", "0"], "--timeout is 0"),
        (["status", "--timeout", "nan"], "--timeout is nan"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_status_2(
    run: Run, arguments: list[str], words: str
) -> None:
    ended = run(*arguments)
    assert ended.code == 2
    assert words in one_line(ended)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["classify", "missing.jpg"], "missing.jpg: No such file or directory"),
        (["classify", "empty"], "empty: no photos; looked for .jpg"),
        (["similar", "missing.jpg"], "missing.jpg: No such file or directory; for words, say --t"),
        (["similar", "missing.HEIC"], "missing.HEIC: No such file or directory"),
        (["similar", "there/is/none"], "there/is/none: No such file or directory"),
        (["similar", "blue sofa", "--less", "missing.jpg^2"], "missing.jpg: No such file"),
        (["similar", "</b>" * 5000], "…: File name too long; for words, say --text"),
        (["similar", "empty"], "empty: is a directory, not a photo"),
        (["similar", "void.jpg"], "void.jpg: is empty"),
        (["similar", "--item", "x", "--images", "missing"], "missing: no such folder"),
        (["embed", "empty", "-o", "v.parquet"], "empty: no photos"),
        (["embed", "missing", "-o", "v.parquet"], "missing: No such file"),
        (["embed", "void.jpg", "-o", "dir.parquet"], "dir.parquet: is a directory"),
        (["ingest", "--products", "missing.csv", "--images", "empty"], "missing.csv: cannot be"),
        (["ingest", "--products", "empty", "--images", "empty"], "empty: cannot be read: Is a"),
        (["ingest", "--products", "void.jpg", "--images", "empty"], "void.jpg: is empty"),
        (["reindex", "--images", "missing"], "missing: no such folder"),
        (["reindex", "--images", "empty", "--index", NOBODY], "cannot be reached"),
        (["reindex", "--rollback", "--index", NOBODY], "cannot be reached"),
        (["serve", "--bundle", "empty", "--data", "empty"], "empty: no model bundle there"),
        (["status", "--ca", "missing.pem"], "missing.pem: no such file of authorities"),
        (["status", "--token", "secret", "--gateway", "example.org:443"], "oken"),
    ],
)
def test_bad_input_is_one_line_and_exit_status_1(
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("dir.parquet").mkdir()
    Path("void.jpg").touch()
    ended = run(*arguments)
    assert ended.code == 1
    assert words in one_line(ended)


@pytest.mark.parametrize(
    "arguments",
    [
        ["status", "--gateway", NOBODY],
        ["status", "--gateway", "not an address"],
        ["classify", "photo.jpg", "photo.jpg", "--gateway", NOBODY],
        ["similar", "photo.jpg", "--gateway", NOBODY],
        ["embed", "photo.jpg", "-o", "v.parquet", "--embedder", NOBODY],
        ["ingest", "photo.jpg", "--listing", "l", "--gateway", NOBODY],
    ],
)
def test_a_service_that_is_not_there_is_one_line_and_exit_status_1(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photo.jpg").write_bytes(b"\xff\xd8")
    ended = run(*arguments)
    assert ended.code == 1
    assert "UPSTREAM_UNAVAILABLE" in one_line(ended) or "UNAVAILABLE" in ended.err


@pytest.mark.parametrize("name", ["typer", "rich", "numpy"])
def test_a_missing_package_is_named_with_what_to_install(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "lookalike.cli.app", raising=False)

    def absent(wanted: str, *rest: Any, **kwargs: Any) -> Any:
        if wanted == "lookalike.cli.app":
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
        return importing(wanted, *rest, **kwargs)

    importing = __import__
    monkeypatch.setattr("builtins.__import__", absent)
    if name == "numpy":  # not the command line's: a broken installation
        with pytest.raises(ModuleNotFoundError):
            cli.main(["status"])
        return
    assert cli.main(["status"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"lookalike: the package {name} is missing; run: pip install 'lookalike[cli]'\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_the_usual_shells(run: Run, shell: str) -> None:
    environment = {**os.environ, "_LOOKALIKE_COMPLETE": f"source_{shell}"}
    command = [sys.executable, "-m", "lookalike.cli"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "lookalike" in done.stdout
    assert "_LOOKALIKE_COMPLETE" in done.stdout


def test_completion_completes_commands(run: Run) -> None:
    environment = {
        **os.environ,
        "_LOOKALIKE_COMPLETE": "complete_bash",
        "COMP_WORDS": "lookalike re",
        "COMP_CWORD": "1",
    }
    command = [sys.executable, "-m", "lookalike.cli"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["reindex"]


def test_a_reader_that_leaves_early_is_no_error_to_shout_about() -> None:
    command = f"{sys.executable} -m lookalike.cli --help | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
