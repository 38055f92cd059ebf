"""A step of the demo's pipeline that fails ends it, and says which one it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo.__main__ import main
from demo.files import DemoFiles
from demo.pipeline import make_bundle
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
    assert capsys.readouterr().err.startswith(f"demo: {missing}: cannot be read: ")
