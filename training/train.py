"""Fine-tunes the network: the heads on frozen features, or every layer.

A run's directory holds config.json, TensorBoard logs, checkpoints/, and at the end
model.safetensors with the weights of the best epoch and run.json; run.json means complete.
"""

from __future__ import annotations

import logging
import math
import warnings
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from embedder_service.engines import torchvision_loading  # noqa: F401  before lightning
from embedder_service.engines.torch_network import Network
from training.config import TrainConfig
from training.dataset import PairDataset, PhotoDataset, mirrored
from training.errors import TrainingError
from training.features import frozen_features
from training.files import read_json, replacing, write_json
from training.losses import contrastive_loss
from training.model import CATEGORY_OUTPUT, build_network
from training.prepare import Prepared, check_same_data, load_prepared

import lightning  # isort: skip
from lightning.pytorch.callbacks import ModelCheckpoint, ProgressBar, RichProgressBar  # isort: skip
from lightning.pytorch.loggers import TensorBoardLogger  # isort: skip

WARM_UP = 0.1


class JointObjective(lightning.LightningModule):
    """Cross-entropy on the categories, and a contrastive loss on each output, for search.

    Args:
        network: Trained in place.
        config: The run's settings.
        steps: Optimiser steps of the whole run, for the schedule.
    """

    def __init__(self, network: Network, config: TrainConfig, steps: int) -> None:
        super().__init__()
        self.network = network
        self._config = config
        self._steps = steps
        self._frozen = config.stage == "frozen"
        self._cross_entropy = nn.CrossEntropyLoss(label_smoothing=config.label_smoothing)
        network.backbone.requires_grad_(not self._frozen)

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        """Returns the outputs of photos, or of features where the backbone is frozen."""
        if self._frozen:
            return self.network.heads_of(inputs)
        outputs: dict[str, Tensor] = self.network(inputs)
        return outputs

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Returns the loss of a batch of pairs."""
        inputs, labels, listings = batch
        outputs = self(inputs.flatten(0, 1))
        labels, listings = labels.repeat_interleave(2), listings.repeat_interleave(2)
        loss: Tensor = self._cross_entropy(outputs[CATEGORY_OUTPUT], labels)
        self._log("train/cross_entropy", loss)
        if self._config.contrastive_weight:
            for name, vectors in outputs.items():
                contrast = contrastive_loss(vectors, listings, self._config.temperature)
                self._log(f"train/contrastive/{name}", contrast)
                loss = loss + self._config.contrastive_weight * contrast
        self._log("train/loss", loss)
        return loss

    def _log(self, name: str, value: Tensor) -> None:
        self.log(name, value, on_step=False, on_epoch=True)

    def validation_step(self, batch: tuple[Tensor, Tensor]) -> None:
        """Logs loss and accuracy."""
        inputs, labels = batch
        logits = self(inputs)[CATEGORY_OUTPUT]
        self.log("validation/loss", nn.functional.cross_entropy(logits, labels))
        accuracy = (logits.argmax(1) == labels).float().mean()
        self.log("validation/accuracy", accuracy, prog_bar=True)

    def configure_optimizers(self) -> Any:
        """AdamW; linear warm-up, then cosine to zero, a step at a time."""
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(
            trained, lr=self._config.learning_rate, weight_decay=self._config.weight_decay
        )
        warm_up = max(1, round(self._steps * WARM_UP))

        def factor(step: int) -> float:
            if step < warm_up:
                return (step + 1) / warm_up
            progress = (step - warm_up) / max(1, self._steps - warm_up)
            return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def train(data: Path, out: Path, config: TrainConfig) -> dict[str, Any]:
    """Trains, or goes on with an interrupted run, or returns what a complete one reported.

    Args:
        data: A prepared data set.
        out: The run's directory.
        config: The settings; those of a run that is already there must be the same.
    """
    prepared = load_prepared(data)
    if (out / "config.json").exists():
        config.check_same(TrainConfig.load(out / "config.json"), out / "config.json")
    check_same_data(prepared, out, "use another --out, or remove the directory")
    if (out / "run.json").exists():
        return dict(read_json(out / "run.json", "a run's report"))
    out.mkdir(parents=True, exist_ok=True)
    config.save(out / "config.json")
    write_json(out / "data.json", prepared.report["options"])
    network = build_network(config, len(prepared.categories))
    training, validation = _loaders(network, config, prepared)
    module = JointObjective(network, config, config.epochs * len(training))
    # The second best is kept too: a new best replaces the old one before last.ckpt knows of it, so
    # a run interrupted in between would otherwise go on without any best.
    checkpoint = ModelCheckpoint(
        out / "checkpoints",
        monitor="validation/accuracy",
        mode="max",
        save_top_k=2,
        save_last=True,
    )
    trainer = _trainer(out, config, checkpoint)
    last = out / "checkpoints/last.ckpt"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")  # hints about worker counts
        trainer.fit(
            module, training, validation,
            ckpt_path=last if last.exists() else None,
            weights_only=True,
        )  # fmt: skip
    return _finish(out, module, checkpoint, config)


def _loaders(
    network: Network, config: TrainConfig, prepared: Prepared
) -> tuple[DataLoader[Any], DataLoader[Any]]:
    photos = prepared.photos
    sides = [(photos["split"] == side).to_numpy(copy=True) for side in ("train", "validation")]
    for name, side in zip(("train", "validation"), sides, strict=True):
        if not side.any():
            raise TrainingError(f"{prepared.path}: the {name} split holds no photo")
    datasets: list[Dataset[Any]]
    if config.stage == "frozen":
        features = torch.from_numpy(frozen_features(network, config, prepared))
        labels = torch.from_numpy(photos["label"].to_numpy(copy=True))
        datasets = [TensorDataset(features[side], labels[side]) for side in sides]
    else:
        datasets = [
            PhotoDataset(prepared, photos[side], config.image_size, transform)
            for side, transform in zip(sides, (mirrored, None), strict=True)
        ]
    # The order of a run must not depend on how often it was resumed within its process.
    generator = torch.Generator().manual_seed(config.seed)
    pairs = PairDataset(datasets[0], photos["product_id"][sides[0]])
    return (
        DataLoader(pairs, max(1, config.batch_size // 2), shuffle=True, generator=generator),
        DataLoader(datasets[1], config.batch_size),
    )


def _trainer(out: Path, config: TrainConfig, checkpoint: ModelCheckpoint) -> lightning.Trainer:
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return lightning.Trainer(
        max_epochs=config.epochs,
        # bf16 doubles the rate where it is native; elsewhere autocast would only emulate it.
        precision="bf16-mixed" if _computes_in_bf16() else "32-true",
        logger=TensorBoardLogger(out, name="", version="tensorboard"),
        callbacks=[checkpoint, _progress()],
        enable_model_summary=False,
        log_every_n_steps=1,
        num_sanity_val_steps=0,
    )


class _EpochLines(ProgressBar):
    """One line an epoch, for output that is not a terminal."""

    def on_validation_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Prints the line."""
        accuracy = trainer.callback_metrics["validation/accuracy"]
        print(
            f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}: "
            f"validation accuracy {accuracy:.3f}",
            flush=True,
        )


def _progress() -> ProgressBar:
    return RichProgressBar(leave=False) if Console().is_terminal else _EpochLines()


def _computes_in_bf16() -> bool:
    return torch.cuda.is_available() or torch.cpu._is_avx512_bf16_supported()


def _finish(
    out: Path, module: JointObjective, checkpoint: ModelCheckpoint, config: TrainConfig
) -> dict[str, Any]:
    best = torch.load(checkpoint.best_model_path, map_location="cpu", weights_only=True)
    module.load_state_dict(best["state_dict"])
    state = {name: tensor.contiguous() for name, tensor in module.network.state_dict().items()}
    with replacing(out / "model.safetensors") as aside:
        try:
            save_file(state, aside)
        except SafetensorError as error:  # a full disk, for one, is no OSError there
            raise OSError(str(error)) from None
    report = {
        "epochs": config.epochs,
        "best_epoch": int(best["epoch"]),
        "validation_accuracy": float(checkpoint.best_model_score or 0.0),
    }
    write_json(out / "run.json", report)
    return report
