"""`python -m training evaluate`: which options go together, and what is printed and written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sized
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import training.report
from training.command import main


@pytest.mark.parametrize(
    ("whose", "option", "value"),
    [
        ("run", "json", "figures.json"),
        ("run", "gallery", "catalogue"),
        ("run", "report", "report"),
        ("run", "precision", "fp32"),
        ("bundle", "split", "test"),
        ("bundle", "all_photos", None),
    ],
)
def test_an_option_of_the_other_kind_of_evaluation_is_refused(
    whose: str, option: str, value: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    flag = "--" + option.replace("_", "-")
    given = [flag] if value is None else [flag, value]
    assert main(["evaluate", "--data", "x", f"--{whose}", "x", *given]) == 1

    other = "bundle" if whose == "run" else "run"
    said = capsys.readouterr().err
    assert said == f"training evaluate: {flag} goes with --{other}, not with --{whose}\n"


def test_evaluating_a_bundle_prints_the_figures_and_writes_what_is_asked_for(
    bundle: Path,
    marketplace: Path,
    scratch: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    reported: list[dict[str, Any]] = []

    def write(folder: Path, judged: Sized, metrics: dict[str, Any], **about: object) -> None:
        reported.append(metrics)

    monkeypatch.setattr(training.report, "write_report", write)
    images = pd.read_csv(marketplace / "Images.csv", dtype=str, index_col=0)
    for name, rows in (("judged", images[:24]), ("gallery", images[24:40])):
        (scratch / name).mkdir()
        shutil.copyfile(marketplace / "Products.csv", scratch / name / "Products.csv")
        (scratch / name / "images").symlink_to(marketplace / "images")
        rows.to_csv(scratch / name / "Images.csv")
    arguments = ["evaluate", "--data", str(scratch / "judged"), "--bundle", str(bundle)]

    assert main(arguments) == 0
    told = capsys.readouterr().out
    assert "report: " not in told
    assert sorted(file.name for file in scratch.iterdir()) == ["gallery", "judged"]
    files = {name: str(scratch / name) for name in ("gallery", "figures.json", "report")}
    arguments += ["--gallery", files["gallery"], "--json", files["figures.json"]]
    assert main([*arguments, "--report", files["report"], "--precision", "fp32"]) == 0
    told = capsys.readouterr().out
    figures = json.loads((scratch / "figures.json").read_text())
    assert figures["precision"] == "fp32"
    assert f"{figures['photos']} photos: accuracy {figures['accuracy']:.3f}, top-3 " in told
    assert f"searched among {figures['gallery']['photos']} photos of the gallery too" in told
    assert f"report: {scratch / 'report/report.md'}\n" in told
    assert reported == [figures]


def test_evaluating_a_run_writes_its_report_into_it(
    data: Path, own_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def write(folder: Path, judged: Sized, metrics: dict[str, Any], **about: object) -> None:
        assert len(judged) == metrics["photos"]
        (folder / "report.md").write_text(str(about["title"]))

    monkeypatch.setattr(training.report, "write_report", write)
    arguments = ["evaluate", "--data", str(data), "--run", str(own_run), "--all-photos"]
    for split in ("test", "validation"):
        assert main([*arguments, "--split", split]) == 0
        assert (own_run / "report/report.md").read_text() == f"run, {split} split"
    told = capsys.readouterr().out
    assert f"report: {own_run / 'report/report.md'}\n" in told
    assert "vectors, among all photos" in told
