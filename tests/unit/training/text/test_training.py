"""A text tower learns the categories of drawn listings by their words, beside a run of photos."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from lookalike.catalogue.categories import CATEGORIES
from lookalike.catalogue.words import cleaned
from training.command import main
from training.errors import TrainingError
from training.prepare import load_prepared
from training.text.config import TextConfig
from training.text.encoder import load_encoder
from training.text.evaluate import evaluate_text, own_photo_found
from training.text.train import load_text_run, text_outputs, train_text

# Settings of the fixture's run that are not the defaults.
GIVEN = ("encoder", "epochs", "batch_size", "learning_rate", "head_rate", "max_tokens")


def test_words_are_learnt_and_give_the_outputs_of_photos(
    data: Path, run: Path, text_run: Path
) -> None:
    assert {file.name for file in text_run.iterdir()} - {"metrics.json", "report"} == {
        "config.json", "data.json", "encoder.json", "tokenizer.json", "model.safetensors",
        "run.json", "tensorboard",
    }  # fmt: skip
    network, tokenizer = load_text_run(text_run, run, len(CATEGORIES))
    listings = load_prepared(data).listings
    words = [
        cleaned(*pair) for pair in zip(listings["title"], listings["description"], strict=True)
    ]
    found = text_outputs(network, tokenizer.rows([*words, ""]))
    right = found["category"][:-1].argmax(axis=1) == listings["label"]
    assert right.mean() > 0.5
    assert found["category"].shape == (len(words) + 1, 13)
    assert found["features"].shape == (len(words) + 1, 128)
    np.testing.assert_allclose(np.linalg.norm(found["features"], axis=1), 1, atol=1e-5)
    alone = text_outputs(network, tokenizer.rows(words[:1]))
    np.testing.assert_allclose(alone["category"][0], found["category"][0], atol=1e-4)


def test_both_towers_are_judged_on_the_same_listings(
    data: Path, run: Path, text_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--data", str(data), "--run", str(run), "--text", str(text_run)]
    assert main(["evaluate-text", *arguments]) == 0
    metrics = json.loads((text_run / "metrics.json").read_text())
    shown = capsys.readouterr().out
    assert list(metrics["by"]) == ["one photo", "photos", "title", "words", "words and photos"]
    for figures in metrics["by"].values():
        assert f"{figures['accuracy']:.3f}" in shown
        assert 0 <= figures["calibration_error"] <= 1
    for row in metrics["own_photo"].values():
        assert 0 <= row["photos"] <= 1
        assert 0 <= row["listings"] <= 1
    assert "title, frozen towers" in metrics["own_photo"]
    report = text_run / "report"
    for picture in re.findall(r"\]\((.+\.png)\)", (report / "report.md").read_text()):
        assert (report / picture).stat().st_size > 1000
    train = evaluate_text(data, run, text_run, split="train")
    assert train["by"]["words"]["accuracy"] > train["by"]["one photo"]["accuracy"]


def test_a_photo_is_found_that_is_among_the_first_ten() -> None:
    photos = np.eye(12, dtype=np.float32)
    assert own_photo_found(photos, photos).all()
    # Of the first row 11 others are nearer, of the others none but the row itself.
    words = photos.copy()
    words[0] = 1 - photos[0]
    assert own_photo_found(words, photos).tolist() == [False] + [True] * 11


def test_a_complete_run_is_kept_and_one_of_other_settings_is_refused(
    data: Path,
    run: Path,
    text_run: Path,
    encoder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    config = TextConfig.load(text_run / "config.json")
    report = json.loads((text_run / "run.json").read_text())
    assert train_text(data, run, text_run, config) == report
    settings = (f"--{name.replace('_', '-')}={getattr(config, name)}" for name in GIVEN)
    arguments = ["--data", str(data), "--run", str(run), "--out", str(text_run), *settings]
    assert main(["train-text", *arguments]) == 0
    best = f"validation accuracy by words {report['validation_accuracy']:.3f}"
    assert f"of 12: {best}" in capsys.readouterr().out
    other = TextConfig(str(encoder), epochs=3)
    with pytest.raises(TrainingError, match="epochs: 12 → 3"):
        train_text(data, run, text_run, other)


def test_another_run_of_photos_is_refused(own_run: Path, text_run: Path, encoder: Path) -> None:
    (own_run / "model.safetensors").unlink()
    shutil.copyfile(encoder / "model.safetensors", own_run / "model.safetensors")
    with pytest.raises(TrainingError, match="started beside another run"):
        load_text_run(text_run, own_run, len(CATEGORIES))


def test_heads_alone_are_trained_on_a_frozen_model(
    data: Path, run: Path, encoder: Path, scratch: Path
) -> None:
    config = TextConfig(str(encoder), epochs=1, frozen=True, photo_weight=0, leaf_weight=0)
    train_text(data, run, scratch / "text", config)
    network, _ = load_text_run(scratch / "text", run, len(CATEGORIES))
    before = load_encoder(str(encoder)).model.state_dict()
    for name, weight in network.encoder.state_dict().items():
        np.testing.assert_array_equal(weight.numpy(), before[name].numpy())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("./nowhere", "--encoder ./nowhere: no such directory of a model"),
        ("/etc/hostname", "no such directory of a model"),
    ],
)
def test_what_is_no_model_is_refused(name: str, words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        load_encoder(name)


def test_a_model_without_a_tokenizer_is_refused(encoder: Path, tmp_path: Path) -> None:
    shutil.copytree(encoder, tmp_path / "model")
    (tmp_path / "model/tokenizer.json").unlink()
    with pytest.raises(TrainingError, match=r"it has no tokenizer\.json"):
        load_encoder(str(tmp_path / "model"))
    (tmp_path / "model/config.json").write_text("{}")
    with pytest.raises(TrainingError, match="give all-minilm-l6-v2, which needs no download"):
        load_encoder(str(tmp_path / "model"))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"max_tokens": 3}, "max_tokens is 3; it must be from 8 to 512"),
        ({"epochs": 0}, "epochs is 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, int], words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        TextConfig(**settings)  # type: ignore[arg-type]
