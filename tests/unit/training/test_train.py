"""Training: what is learned, what an interruption costs, and what a second run leaves alone."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.utils.data import TensorDataset

import training.train
from training.config import TrainConfig
from training.dataset import PairDataset, PhotoDataset, load_pixels, mirrored
from training.errors import TrainingError
from training.evaluate import load_run
from training.features import frozen_features
from training.losses import contrastive_loss
from training.model import build_network
from training.prepare import load_prepared, prepare
from training.train import JointObjective, train

Step = Callable[[JointObjective], None]


class InterruptionError(Exception):
    """Stands for whatever ends a run: a full disk, a machine that is taken away."""


def on_each_step(monkeypatch: pytest.MonkeyPatch, action: Step) -> None:
    """Calls `action` before every training step."""
    step = JointObjective.training_step

    def watched(self: JointObjective, batch: tuple[Tensor, Tensor]) -> Tensor:
        action(self)
        return step(self, batch)

    monkeypatch.setattr(JointObjective, "training_step", watched)


def with_accuracies(monkeypatch: pytest.MonkeyPatch, accuracies: dict[int, float]) -> None:
    """Lets validation measure these, by epoch."""

    def validation_step(self: JointObjective, batch: tuple[Tensor, Tensor]) -> None:
        self.log("validation/accuracy", torch.tensor(accuracies[self.current_epoch]))

    monkeypatch.setattr(JointObjective, "validation_step", validation_step)


def steps_an_epoch(data: Path, config: TrainConfig) -> int:
    photos = load_prepared(data).photos
    listings = photos.loc[photos["split"] == "train", "product_id"].nunique()
    return math.ceil(listings / (config.batch_size // 2))


def times(folder: Path) -> dict[Path, int]:
    return {file: file.stat().st_mtime_ns for file in folder.rglob("*")}


def test_a_complete_run_says_how_it_went(run: Path, config: TrainConfig, data: Path) -> None:
    report = train(data, run, config)

    assert report["epochs"] == 2
    assert report["best_epoch"] in {0, 1}
    assert 0 <= report["validation_accuracy"] <= 1
    assert list((run / "tensorboard").glob("events.out.tfevents.*"))


def test_a_complete_run_is_returned_without_training(
    data: Path, run: Path, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = times(run)
    monkeypatch.delattr(training.train, "build_network")
    monkeypatch.delattr(training.train, "frozen_features")

    assert train(data, run, config)["epochs"] == config.epochs
    assert times(run) == before


def test_changed_settings_are_refused_and_nothing_is_touched(
    data: Path, run: Path, config: TrainConfig
) -> None:
    before = times(run)
    with pytest.raises(TrainingError, match=r"config\.json: .*\(epochs: 2 → 3; seed: 7 → 8\)"):
        train(data, run, dataclasses.replace(config, epochs=3, seed=8))

    assert times(run) == before


def test_other_data_are_refused(
    marketplace: Path, run: Path, config: TrainConfig, scratch: Path
) -> None:
    prepare(marketplace, scratch / "data", image_size=config.image_size, seed=8)
    with pytest.raises(TrainingError, match=r"data\.json: .*other data than .* \(another seed\)"):
        train(scratch / "data", run, config)


def test_the_frozen_stage_trains_the_head_and_leaves_the_backbone_alone(
    data: Path, run: Path, config: TrainConfig
) -> None:
    start = build_network(config, len(load_prepared(data).categories)).state_dict()
    trained = load_file(run / "model.safetensors")

    assert set(trained) == set(start)
    moved = {name for name, tensor in trained.items() if not torch.equal(tensor, start[name])}
    assert moved == {name for name in start if name.startswith("heads.")}


def test_the_heads_dropout_works_while_the_features_are_fresh(
    marketplace: Path, config: TrainConfig, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[bool] = []
    on_each_step(monkeypatch, lambda module: modes.append(module.network.heads.training))
    prepare(marketplace, scratch / "data", image_size=config.image_size)
    train(scratch / "data", scratch / "run", dataclasses.replace(config, epochs=1))

    assert modes
    assert all(modes)


def test_an_interrupted_run_goes_on_as_often_as_needed(
    data: Path, config: TrainConfig, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(config, epochs=3)
    out = scratch / "run"
    epochs: list[int] = []
    fail_in = 1

    def watch(module: JointObjective) -> None:
        epochs.append(module.current_epoch)
        if module.current_epoch == fail_in:
            raise InterruptionError

    on_each_step(monkeypatch, watch)
    steps = steps_an_epoch(data, config)
    with pytest.raises(InterruptionError):
        train(data, out, config)
    assert epochs == [0] * steps + [1]
    assert not (out / "run.json").exists()

    epochs.clear()
    fail_in = 2
    with pytest.raises(InterruptionError):
        train(data, out, config)
    assert epochs == [1] * steps + [2]

    epochs.clear()
    fail_in = -1
    report = train(data, out, config)
    assert epochs == [2] * steps
    assert report["epochs"] == 3
    last = torch.load(out / "checkpoints/last.ckpt", weights_only=True)
    assert last["global_step"] == 3 * steps
    assert last["lr_schedulers"][0]["last_epoch"] == 3 * steps, "the schedule went on too"
    assert not list((out / "checkpoints").glob("last-v*"))


def test_a_run_that_ended_before_its_report_needs_no_more_training(
    data: Path, config: TrainConfig, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(config, epochs=1)

    def interrupted(*_: object) -> None:
        raise InterruptionError

    with monkeypatch.context() as patched:
        patched.setattr(training.train, "_finish", interrupted)
        with pytest.raises(InterruptionError):
            train(data, scratch / "run", config)
    steps: list[int] = []
    on_each_step(monkeypatch, lambda module: steps.append(module.global_step))

    assert train(data, scratch / "run", config)["best_epoch"] == 0
    assert steps == []
    assert (scratch / "run/model.safetensors").exists()


def test_the_best_epoch_survives_an_interruption_between_two_checkpoints(
    data: Path, config: TrainConfig, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The second epoch is better, and its checkpoint has replaced the first's when the run ends;
    # trained again after that, it is worse.
    out = scratch / "run"
    save_last = training.train.ModelCheckpoint._save_last_checkpoint

    def interrupted(self: Any, trainer: Any, candidates: Any) -> None:
        if trainer.current_epoch == 1:
            raise InterruptionError
        save_last(self, trainer, candidates)

    with monkeypatch.context() as patched:
        with_accuracies(patched, {0: 0.5, 1: 0.9})
        patched.setattr(training.train.ModelCheckpoint, "_save_last_checkpoint", interrupted)
        with pytest.raises(InterruptionError):
            train(data, out, config)
    with_accuracies(monkeypatch, {1: 0.25})
    report = train(data, out, config)

    assert report == {"epochs": 2, "best_epoch": 0, "validation_accuracy": 0.5}


def test_the_weights_of_the_best_epoch_are_kept_and_not_the_last(
    data: Path, config: TrainConfig, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_accuracies(monkeypatch, {0: 0.75, 1: 0.25})
    heads: list[Tensor] = []
    name = "heads.category.1.weight"
    on_each_step(
        monkeypatch,
        lambda module: heads.append(module.network.state_dict()[name].clone()),
    )
    report = train(data, scratch / "run", config)

    assert report == {"epochs": 2, "best_epoch": 0, "validation_accuracy": 0.75}
    kept = load_file(scratch / "run/model.safetensors")[name]
    second = steps_an_epoch(data, config)
    assert torch.equal(kept, heads[second]), "as they were when the second epoch began"


def test_the_whole_network_learns_in_the_other_stage(
    data: Path, config: TrainConfig, scratch: Path
) -> None:
    config = dataclasses.replace(config, stage="all", epochs=1, batch_size=48)
    train(data, scratch / "run", config)

    start = build_network(config, 13).state_dict()
    trained = load_file(scratch / "run/model.safetensors")
    heads = ("heads.category.1.weight", "heads.features.1.weight")
    for part in ("backbone.conv1.weight", "backbone.bn1.running_mean", *heads):
        assert not torch.equal(trained[part], start[part])


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_split_without_photos_is_refused(
    data: Path, config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: str
) -> None:
    prepared = load_prepared(data)
    other = prepared.photos[prepared.photos["split"] != split]
    monkeypatch.setattr(
        training.train, "load_prepared", lambda _: dataclasses.replace(prepared, photos=other)
    )
    with pytest.raises(TrainingError, match=f"the {split} split holds no photo"):
        train(data, tmp_path / "run", config)


def test_data_that_were_never_prepared_are_refused(config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="expected a data set made by `training prepare`"):
        train(tmp_path, tmp_path / "run", config)

    assert not (tmp_path / "run").exists()


def test_weights_that_cannot_be_written_are_named(
    data: Path, config: TrainConfig, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise training.train.SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(training.train, "save_file", full)
    with pytest.raises(TrainingError, match=r"model\.safetensors: cannot be written: .*No space"):
        train(data, scratch / "run", dataclasses.replace(config, epochs=1))

    assert not (scratch / "run/run.json").exists()


def test_the_data_set_serves_photos_as_the_network_takes_them(data: Path) -> None:
    prepared = load_prepared(data)
    photos = prepared.photos[:5]
    served = PhotoDataset(prepared, photos, 48)
    pixels, label = served[3]

    assert len(served) == 5
    assert (pixels.shape, pixels.dtype) == ((48, 48, 3), torch.uint8)
    assert label == photos["label"].iloc[3]
    expected = load_pixels(prepared, photos["sha256"].iloc[3], 48)
    np.testing.assert_array_equal(pixels.numpy(), expected)
    flipped, _ = PhotoDataset(prepared, photos, 48, lambda tensor: tensor.flip(0))[3]
    np.testing.assert_array_equal(flipped.numpy(), expected[::-1])


def test_an_epoch_serves_two_photos_of_each_listing_or_one_twice() -> None:
    listings = pd.Series(list("abacba"), index=range(50, 56))
    photos = TensorDataset(torch.arange(6), torch.tensor([0, 1, 0, 2, 1, 0]))
    pairs = PairDataset(photos, listings)
    torch.manual_seed(3)
    drawn = [pairs[number] for _ in range(40) for number in range(len(pairs))]

    assert len(pairs) == 3
    seen: dict[int, set[tuple[int, ...]]] = {}
    for inputs, label, number in drawn:
        assert label == number, "a, b and c come in the order of their labels here"
        seen.setdefault(number, set()).add(tuple(inputs.tolist()))
    assert seen[0] == {(0, 2), (2, 0), (0, 5), (5, 0), (2, 5), (5, 2)}
    assert seen[1] == {(1, 4), (4, 1)}
    assert seen[2] == {(3, 3)}


def test_the_contrastive_loss_draws_photos_of_a_listing_together(
    data: Path, config: TrainConfig, scratch: Path
) -> None:
    prepared = load_prepared(data)
    side = (prepared.photos["split"] == "train").to_numpy(copy=True)
    features = torch.from_numpy(frozen_features(build_network(config, 13), config, prepared)[side])
    listings = torch.from_numpy(pd.factorize(prepared.photos["product_id"][side])[0])
    losses = {}
    for weight in (0.0, 3.0):
        out = scratch / f"run-{weight}"
        chosen = dataclasses.replace(config, contrastive_weight=weight, label_smoothing=0, epochs=8)
        train(data, out, chosen)
        network = load_run(out, 13)[1]
        with torch.inference_mode():
            outputs = network.heads_of(features)
        torch.testing.assert_close(outputs["features"].norm(dim=1), torch.ones(len(features)))
        losses[weight] = {n: contrastive_loss(v, listings, 0.1) for n, v in outputs.items()}

    assert losses[3.0]["features"] < losses[0.0]["features"]
    assert losses[3.0]["category"] < losses[0.0]["category"]


def test_half_of_the_photos_are_mirrored_left_to_right() -> None:
    pixels = torch.arange(2 * 2 * 3, dtype=torch.uint8).reshape(2, 2, 3)
    torch.manual_seed(5)
    results = [mirrored(pixels) for _ in range(200)]
    turned = [result for result in results if not torch.equal(result, pixels)]

    assert 70 < len(turned) < 130
    assert all(torch.equal(result, pixels[:, [1, 0]]) for result in turned)
