"""Training: what is learned, what an interruption costs, and what a second run leaves alone."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import training.train
import training.trainer
from lookalike.files import FileError, write_json
from training.config import TrainConfig
from training.errors import TrainingError
from training.features import pooled_features
from training.model import build_network
from training.objective import EmbeddingModule
from training.prepare import load_prepared, prepare
from training.train import train
from training.trainer import Hardware
from training.whitening import whiten_embeddings

Step = Callable[[EmbeddingModule], None]


class InterruptionError(Exception):
    """Stands for whatever ends a run: a full disk, a machine that is taken away."""


def on_each_step(monkeypatch: pytest.MonkeyPatch, action: Step) -> None:
    """Calls `action` before every training step."""
    step = EmbeddingModule.training_step

    def watched(self: EmbeddingModule, batch: tuple[Tensor, Tensor]) -> Tensor:
        action(self)
        return step(self, batch)

    monkeypatch.setattr(EmbeddingModule, "training_step", watched)


def with_accuracies(monkeypatch: pytest.MonkeyPatch, accuracies: dict[int, float]) -> None:
    """Lets validation measure these, by epoch."""

    def validation_step(self: EmbeddingModule, batch: tuple[Tensor, Tensor]) -> None:
        self.log("validation/accuracy", torch.tensor(accuracies[self.current_epoch]))

    monkeypatch.setattr(EmbeddingModule, "validation_step", validation_step)


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
    monkeypatch.delattr(training.train, "cached_activations")

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


def test_an_interrupted_run_goes_on_as_often_as_needed(
    data: Path, config: TrainConfig, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(config, epochs=3)
    out = scratch / "run"
    epochs: list[int] = []
    fail_in = 1

    def watch(module: EmbeddingModule) -> None:
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
        patched.setattr(training.train, "save_weights", interrupted)
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
    save_last = training.trainer.ModelCheckpoint._save_last_checkpoint

    def interrupted(self: Any, trainer: Any, candidates: Any) -> None:
        if trainer.current_epoch == 1:
            raise InterruptionError
        save_last(self, trainer, candidates)

    with monkeypatch.context() as patched:
        with_accuracies(patched, {0: 0.5, 1: 0.9})
        patched.setattr(training.trainer.ModelCheckpoint, "_save_last_checkpoint", interrupted)
        with pytest.raises(InterruptionError):
            train(data, out, config)
    with_accuracies(monkeypatch, {1: 0.25})
    report = train(data, out, config)

    assert (report["best_epoch"], report["validation_accuracy"]) == (0, 0.5)


def test_the_weights_of_the_best_epoch_are_kept_and_not_the_last(
    data: Path, config: TrainConfig, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(config, ema=0.0)
    with_accuracies(monkeypatch, {0: 0.75, 1: 0.25})
    heads: list[Tensor] = []
    name = "heads.category.1.weight"
    on_each_step(
        monkeypatch,
        lambda module: heads.append(module.network.state_dict()[name].clone()),
    )
    report = train(data, scratch / "run", config)

    assert (report["best_epoch"], report["validation_accuracy"]) == (0, 0.75)
    kept = load_file(scratch / "run/model.safetensors")[name]
    second = steps_an_epoch(data, config)
    assert torch.equal(kept, heads[second]), "as they were when the second epoch began"


def test_the_average_of_the_weights_is_judged_and_kept(
    data: Path, config: TrainConfig, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "heads.category.1.weight"
    judged: list[Tensor] = []
    step = EmbeddingModule.validation_step

    def watched(self: EmbeddingModule, batch: tuple[Tensor, Tensor]) -> None:
        judged.append(self.network.state_dict()[name].clone())
        step(self, batch)

    monkeypatch.setattr(EmbeddingModule, "validation_step", watched)
    config = dataclasses.replace(config, ema=0.99, epochs=1)
    train(data, scratch / "run", config)

    kept = load_file(scratch / "run/model.safetensors")[name]
    assert torch.equal(kept, judged[-1])
    last = torch.load(scratch / "run/checkpoints/last.ckpt", weights_only=True)
    assert not torch.equal(kept, last["current_model_state"][f"network.{name}"])


def test_embeddings_are_whitened_once_however_often_the_run_is_interrupted(
    data: Path, config: TrainConfig, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(config, epochs=1, outputs="features:8,wide:200")
    out = scratch / "run"
    for late in ("save_weights", "write_json"):  # once before the weights are written, once after

        def interrupted(target: Any, *rest: Any, late: str = late) -> None:
            if late == "save_weights" or target.name == "run.json":
                raise InterruptionError
            write_json(target, *rest)

        with monkeypatch.context() as patched:
            patched.setattr(training.train, late, interrupted)
            with pytest.raises(InterruptionError):
                train(data, out, config)
    report = train(data, out, config)

    photos = load_prepared(data).photos.query("split == 'train'")
    pairs = len(photos) - photos["product_id"].nunique()
    assert 8 <= pairs < 200
    assert report["whitened"] == {"pairs": pairs, "done": ["features"], "left": ["wide"]}
    (best,) = (out / "checkpoints").glob("epoch=*")
    learnt = torch.load(best, weights_only=True)["state_dict"]
    learnt = {
        name.removeprefix("network."): tensor
        for name, tensor in learnt.items()
        if name.startswith("network.")
    }
    kept = load_file(out / "model.safetensors")
    changed = {name for name, tensor in kept.items() if not torch.equal(tensor, learnt[name])}
    assert changed == {"heads.features.1.weight", "heads.features.1.bias"}
    prepared = load_prepared(data)
    network = build_network(config, 13).eval()
    network.load_state_dict(learnt)
    rows = (prepared.photos["split"] == "train").to_numpy(copy=True)
    pooled = pooled_features(network, config, prepared, rows)
    whiten_embeddings(network, pooled, photos["product_id"].tolist(), config.whiten)
    torch.testing.assert_close(kept["heads.features.1.weight"], network.heads["features"][1].weight)


def test_embeddings_are_left_as_they_were_learnt_where_that_is_asked_for(
    data: Path, config: TrainConfig, scratch: Path
) -> None:
    config = dataclasses.replace(config, epochs=1, outputs="features:8", whiten=0.0)
    report = train(data, scratch / "run", config)

    assert "whitened" not in report
    (best,) = (scratch / "run/checkpoints").glob("epoch=*")
    learnt = torch.load(best, weights_only=True)["state_dict"]
    kept = load_file(scratch / "run/model.safetensors")
    assert all(torch.equal(tensor, learnt[f"network.{name}"]) for name, tensor in kept.items())


def test_training_stops_when_it_gets_no_better(
    data: Path, config: TrainConfig, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_accuracies(monkeypatch, {0: 0.2, 1: 0.6, 2: 0.5, 3: 0.6, 4: 0.9})
    report = train(data, scratch / "run", dataclasses.replace(config, epochs=5, patience=2))

    assert (report["epochs"], report["best_epoch"]) == (4, 1)


def test_a_loss_that_is_no_number_stops_with_the_step_and_the_last_good_checkpoint(
    data: Path, config: TrainConfig, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def poison(module: EmbeddingModule) -> None:
        if module.current_epoch == 1:
            torch.nn.init.constant_(module.network.heads["category"][1].weight, float("nan"))

    on_each_step(monkeypatch, poison)
    steps = steps_an_epoch(data, config)
    last = scratch / "run/checkpoints/last.ckpt"
    with pytest.raises(TrainingError) as stopped:
        train(data, scratch / "run", config)

    message = str(stopped.value)
    assert (
        f"the loss is nan in epoch 2, step {steps}; the last good checkpoint is {last}" in message
    )
    assert "try a learning_rate below 0.001" in message
    assert torch.load(last, weights_only=True)["epoch"] == 0
    assert not (scratch / "run/run.json").exists()


@pytest.mark.long
def test_two_processes_share_the_batches_and_one_reports(data: Path, scratch: Path) -> None:
    command = f"train --data {data} --out {scratch / 'run'} --weights none --devices 2"
    options = "--image-size 32 --head-units 16 --epochs 1 --batch-size 32"
    done = subprocess.run(
        [sys.executable, "-m", "training", *command.split(), *options.split()],
        capture_output=True, text=True, check=True, timeout=240,
    )  # fmt: skip

    assert done.stdout.count("best epoch 1 of 1") == 1
    last = torch.load(scratch / "run/checkpoints/last.ckpt", weights_only=True)
    listings = load_prepared(data).photos.query("split == 'train'")["product_id"].nunique()
    # each takes half of the listings, and half of the batch's 16 pairs at a time
    assert last["global_step"] == math.ceil(math.ceil(listings / 2) / 8)
    assert (scratch / "run/model.safetensors").exists()


@pytest.mark.parametrize("number", ["devices", "nodes", "workers"])
def test_hardware_out_of_range_is_refused_by_name(number: str) -> None:
    with pytest.raises(TrainingError, match=f"{number} is -1; it must be at least"):
        Hardware(**{number: -1})


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_split_without_photos_is_refused(
    data: Path, config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: str
) -> None:
    prepared = load_prepared(data)
    other = prepared.photos[prepared.photos["split"] != split]
    monkeypatch.setattr(
        training.train,
        "load_prepared",
        lambda _: dataclasses.replace(prepared, photos=other),
    )
    with pytest.raises(TrainingError, match=f"the {split} split holds no photo"):
        train(data, tmp_path / "run", config)


def test_data_that_were_never_prepared_are_refused(config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="expected a data set made by `training prepare`"):
        train(tmp_path, tmp_path / "run", config)

    assert not (tmp_path / "run").exists()


def test_weights_that_cannot_be_written_are_named(
    data: Path, config: TrainConfig, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise training.train.SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(training.train, "save_file", full)
    with pytest.raises(FileError, match=r"model\.safetensors: cannot be written: .*No space"):
        train(data, scratch / "run", dataclasses.replace(config, epochs=1))

    assert not (scratch / "run/run.json").exists()
