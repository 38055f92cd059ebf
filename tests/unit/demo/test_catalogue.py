"""Filling an index with the command line, and remembering what it was filled with."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo.catalogue import fill, is_filled, mark_filled
from lookalike.cli import app
from lookalike.cli.console import ExitCode
from lookalike.errors import StartupError

FACTS = {"embedding_space": "abc", "sample": "{}"}


@pytest.mark.parametrize("status", [ExitCode.OK, ExitCode.SOME_FAILED])
def test_refused_photos_do_not_end_the_fill(
    monkeypatch: pytest.MonkeyPatch, status: ExitCode
) -> None:
    monkeypatch.setattr(app, "run", lambda arguments: status)

    assert fill("gateway", Path("here"), Path("journal")) is (status is ExitCode.OK)


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (ExitCode.FAILED, StartupError, "failed with status 1"),
        (ExitCode.INTERRUPTED, KeyboardInterrupt, "^$"),
    ],
)
def test_a_fill_that_does_not_reach_its_end_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
    status: ExitCode,
    error: type[BaseException],
    words: str,
) -> None:
    monkeypatch.setattr(app, "run", lambda arguments: status)
    with pytest.raises(error, match=words):
        fill("gateway", Path("here"), Path("journal"))


def test_a_marketplace_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(StartupError, match="failed with status 1"):
        fill("127.0.0.1:1", tmp_path / "nowhere", tmp_path / "ingest.jsonl")

    assert "nowhere/Products.csv: cannot be read" in capsys.readouterr().err


def test_an_index_is_filled_with_what_it_was_marked_with(tmp_path: Path) -> None:
    marker = tmp_path / "filled.json"
    assert not is_filled(marker, FACTS)
    mark_filled(marker, FACTS)

    assert is_filled(marker, dict(FACTS))


@pytest.mark.parametrize("name", FACTS)
def test_another_model_or_sample_is_not_what_it_was_filled_with(tmp_path: Path, name: str) -> None:
    marker = tmp_path / "filled.json"
    mark_filled(marker, FACTS)

    assert not is_filled(marker, FACTS | {name: "other"})


@pytest.mark.parametrize("content", [b"", b'{"embedding_space": "abc", ', b"[]", b"\xff\xfe"])
def test_a_marker_that_was_not_written_to_its_end_does_not_count(
    tmp_path: Path, content: bytes
) -> None:
    marker = tmp_path / "filled.json"
    marker.write_bytes(content)

    assert not is_filled(marker, FACTS)


def test_marking_again_replaces_the_facts(tmp_path: Path) -> None:
    marker = tmp_path / "filled.json"
    mark_filled(marker, FACTS)
    mark_filled(marker, {"embedding_space": "def"})

    assert not is_filled(marker, FACTS)
    assert is_filled(marker, {"embedding_space": "def"})
