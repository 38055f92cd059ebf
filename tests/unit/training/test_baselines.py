"""What simple models reach on a drawn marketplace, whose categories and words belong together."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from training.baselines import baselines
from training.command import main
from training.errors import TrainingError
from training.prepare import load_prepared


def test_words_tell_more_than_pixels_and_both_more_than_nothing(data: Path) -> None:
    nothing, pixels, words = baselines(load_prepared(data)).classified
    assert 0 < nothing.accuracy < pixels.accuracy < words.accuracy <= 1


def test_the_figures_are_printed_and_written(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figures.json"
    assert main(["baselines", "--data", str(data), "--json", str(file)]) == 0
    told = json.loads(file.read_text())
    shown = capsys.readouterr().out
    for row in told["classified"]:
        assert f"{row['accuracy']:.3f}" in shown
    root, whole = told["priced"]
    assert (root["name"], whole["name"]) == ("linear, root categories", "linear, whole categories")
    assert f"{root['r2']:.3f}" in shown
    assert root["mean_error"] > root["median_error"] > 0


def test_what_cannot_be_judged_is_refused(data: Path) -> None:
    prepared = load_prepared(data)
    photos = prepared.photos
    for kept, words in (
        (photos["split"] != "test", "the test split holds no photo"),
        ((photos["split"] != "train") | (photos["label"] == photos["label"][0]), "one category"),
    ):
        with pytest.raises(TrainingError, match=words):
            baselines(dataclasses.replace(prepared, photos=photos[kept]))
