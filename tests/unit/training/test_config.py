"""A run's settings: what is refused, and that a run goes on only with its own."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from training.config import TrainConfig
from training.errors import TrainingError

CONFIG = TrainConfig("none", stage="all", image_size=64, dropout=0.25, epochs=3)


def test_settings_come_back_as_they_were_saved(tmp_path: Path) -> None:
    CONFIG.save(tmp_path / "config.json")

    assert TrainConfig.load(tmp_path / "config.json") == CONFIG
    assert [file.name for file in tmp_path.iterdir()] == ["config.json"]


def test_equal_settings_may_go_on(tmp_path: Path) -> None:
    dataclasses.replace(CONFIG).check_same(CONFIG, tmp_path / "config.json")


def test_changed_settings_are_refused_with_the_difference(tmp_path: Path) -> None:
    changed = dataclasses.replace(CONFIG, epochs=5, weights="imagenet")
    with pytest.raises(TrainingError) as refused:
        changed.check_same(CONFIG, tmp_path / "config.json")

    message = str(refused.value)
    assert message.startswith(f"{tmp_path / 'config.json'}: ")
    assert "(weights: none → imagenet; epochs: 3 → 5)" in message


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("image_size", 0, "at least 1"),
        ("head_units", -1, "at least 0"),
        ("contrastive_weight", -0.1, "at least 0"),
        ("temperature", 0.0, "above 0"),
        ("outputs", "category:13", "like features:128,other:64, or empty"),
        ("outputs", "features:0", "like features:128,other:64, or empty"),
        ("outputs", "features:8,features:9", "like features:128,other:64, or empty"),
        ("dropout", 1.0, "from 0 to below 1"),
        ("dropout", float("nan"), "from 0 to below 1"),
        ("epochs", 0, "at least 1"),
        ("batch_size", 0, "at least 1"),
        ("learning_rate", 0.0, "above 0"),
        ("learning_rate", float("nan"), "above 0"),
        ("weight_decay", -0.1, "at least 0"),
        ("label_smoothing", 1.5, "from 0 to below 1"),
        ("stage", "some", "one of frozen, layer4, layer3, all"),
        ("labels", "some", "one of root, leaf"),
        ("optimizer", "lion", "one of adamw, sgd"),
        ("schedule", "step", "one of warmup-cos, cos, flat"),
        ("train_size", -1, "at least 0"),
        ("views", -1, "at least 0"),
        ("augment", "hflip,spin", "of hflip, vflip, rotate, crop, randaugment, each once"),
        ("augment", "hflip,hflip", "of hflip, vflip, rotate, crop, randaugment, each once"),
        ("mixup", 1.5, "from 0 to 1"),
        ("cutmix", -0.1, "from 0 to 1 - mixup"),
        ("patience", -1, "at least 0"),
        ("backbone_rate", 0.0, "above 0"),
        ("ema", 1.0, "from 0 to below 1"),
        ("class_balance", 2.0, "from 0 to 1"),
        ("whiten", -0.1, "from 0 to 1"),
        ("whiten", float("nan"), "from 0 to 1"),
    ],
)
def test_a_setting_out_of_its_range_is_refused_by_name(
    name: str, value: object, allowed: str
) -> None:
    with pytest.raises(TrainingError) as refused:
        dataclasses.replace(CONFIG, **{name: value})  # type: ignore[arg-type]

    assert str(refused.value) == f"{name} is {value}; it must be {allowed}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"contrastive_weight": 0.0}, "outputs is features:128 and contrastive_weight is 0"),
        ({"stage": "frozen", "cutmix": 0.5}, "cutmix mixes photos, but stage frozen"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        dataclasses.replace(CONFIG, **changes)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"weights": "none", "colour": 1}', '{"weights": "x", "epochs": 0}']
)
def test_a_file_that_holds_no_settings_is_refused_by_name(tmp_path: Path, content: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(content)
    with pytest.raises(TrainingError, match=r"config\.json: not the settings of a run"):
        TrainConfig.load(file)


def test_a_directory_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="missing; is this the directory of a run"):
        TrainConfig.load(tmp_path / "config.json")
