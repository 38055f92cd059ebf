"""What is told of a step of the demo that fails, and what the next run makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

import demo.command
import demo.quality
import training.prepare
from demo.catalogue import mark_filled
from demo.command import main
from demo.files import DemoFiles
from demo.pipeline import make_bundle
from demo.quality import Served
from demo.timing import Stopwatch
from lookalike.errors import StartupError


def test_the_step_that_failed_is_named_and_no_other_is_run(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    files = DemoFiles(tmp_path / "a folder's files")
    stopwatch = Stopwatch()
    with pytest.raises(StartupError, match="`python -m sample` failed with status 1; "):
        make_bundle(files, stopwatch, listings=3, epochs=1)

    assert list(stopwatch.seconds) == ["sample"]
    assert "sample: 3 listings are asked for; the least is 39" in capfd.readouterr().err


def test_asking_without_a_marketplace_is_told_by_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--files", str(tmp_path), "ask"]) == 1
    missing = tmp_path / "marketplace/queries/queries.json"
    assert capsys.readouterr().err == f"demo: {missing}: No such file or directory\n"


def test_filling_without_a_marketplace_is_told_by_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--files", str(tmp_path), "fill"]) == 1
    missing = tmp_path / "marketplace/Products.csv"
    assert f"lookalike: {missing}: cannot be read: " in capsys.readouterr().err


@pytest.fixture
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DemoFiles:
    """Files of a demo whose index is filled; there are no photos to judge its answers by."""
    files = DemoFiles(tmp_path)
    for file, text in (
        (files.bundle / "manifest.json", '{"embedding_space": "abc"}'),
        (files.marketplace / "sample.json", "{}"),
    ):
        file.parent.mkdir()
        file.write_text(text)
    mark_filled(files.filled, {"embedding_space": "abc", "sample": "{}"})
    monkeypatch.setattr(training.prepare, "load_prepared", lambda _: None)
    monkeypatch.setattr(demo.quality, "known_photos", lambda *_: [])
    return files


def test_an_index_is_filled_again_after_its_answers_were_judged_in_part(
    filled: DemoFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    fills: list[str] = []
    monkeypatch.setattr(demo.command, "fill", lambda gateway, *_: fills.append(gateway))

    def lose_one(*_: object) -> Served:
        raise StartupError("killed while a photo was out of the catalogue")

    monkeypatch.setattr(demo.quality, "measure", lose_one)
    with pytest.raises(StartupError):
        demo.command._judge("127.0.0.1:1", filled)
    demo.command._fill_once("127.0.0.1:1", filled)
    assert fills == ["127.0.0.1:1"]


def test_an_index_is_not_filled_again_after_its_answers_were_judged(
    filled: DemoFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo.command, "fill", lambda *_: pytest.fail("it is filled already"))
    monkeypatch.setattr(demo.quality, "measure", lambda *_: Served(0, "blend", {}))
    demo.command._judge("127.0.0.1:1", filled)
    demo.command._fill_once("127.0.0.1:1", filled)
