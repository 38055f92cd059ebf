"""Configures the training loop: devices, precision, checkpoints, logs, progress."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch.utils.data import DataLoader

from lookalike.model.engines import torchvision_loading  # noqa: F401  before lightning
from lookalike.progress import ProgressLines
from training.errors import TrainingError
from training.optimisation import moving_average

import lightning  # isort: skip
from lightning.pytorch.callbacks import (  # isort: skip
    Callback,
    EarlyStopping,
    LearningRateMonitor,
    ModelCheckpoint,
    ProgressBar,
    RichProgressBar,
    WeightAveraging,
)
from lightning.pytorch.loggers import TensorBoardLogger  # isort: skip
from lightning.pytorch.utilities import rank_zero_only  # isort: skip

JUDGED_BY = "validation/accuracy"


@dataclass(frozen=True)
class Hardware:
    """The hardware of a run; it changes the speed, not the result.

    Attributes:
        devices: Processes on each machine, one per GPU if there are any.
        nodes: Machines; start the command on each, with the addresses that Lightning reads from
            the environment (`MASTER_ADDR`, `NODE_RANK`, or those of torchrun or Slurm).
        workers: Processes that decode and augment photos for each device; 0 to do so between
            steps.
        threads: Threads of torch's arithmetic in each process; 0 for one per core.
    """

    devices: int = 1
    nodes: int = 1
    workers: int = 0
    threads: int = 0

    def __post_init__(self) -> None:
        """Raises TrainingError naming the first number that is out of its range."""
        for name, least in (("devices", 1), ("nodes", 1), ("workers", 0), ("threads", 0)):
            if getattr(self, name) < least:
                raise TrainingError(f"{name} is {getattr(self, name)}; it must be at least {least}")

    @property
    def processes(self) -> int:
        """The number of processes that share a batch."""
        return self.devices * self.nodes

    def loader_options(self) -> dict[str, Any]:
        """Returns the options of a DataLoader."""
        options: dict[str, Any] = {"num_workers": self.workers}
        if self.workers:  # spawned, since forking a process with threads can hang
            options |= {"multiprocessing_context": "spawn", "persistent_workers": True}
        return options | {"pin_memory": torch.cuda.is_available()}


def is_first_process() -> bool:
    """Returns whether this is the main process, not one that Lightning started."""
    return getattr(rank_zero_only, "rank", 0) == 0


def checkpoints(out: Path) -> ModelCheckpoint:
    """Returns the callback that keeps the checkpoints of the last and the best epochs.

    The second best is kept too: a new best replaces the old one before last.ckpt refers to it, so
    a run interrupted in between would otherwise resume without any best.
    """
    return ModelCheckpoint(
        out / "checkpoints", monitor=JUDGED_BY, mode="max", save_top_k=2, save_last=True
    )


def make_trainer(
    out: Path,
    hardware: Hardware,
    checkpoint: ModelCheckpoint,
    *,
    epochs: int,
    ema: float = 0.0,
    patience: int = 0,
    learns_batch_norm: bool = False,
) -> lightning.Trainer:
    """Returns the Lightning trainer of a run.

    Args:
        out: The run's directory.
        hardware: The hardware to use.
        checkpoint: The callback from `checkpoints`.
        epochs: Passes over the training split.
        ema: Decay of the moving average of weights; 0 for none.
        patience: Epochs without a better one to stop after; 0 to go on.
        learns_batch_norm: Whether statistics of batches are learnt, which devices then share.
    """
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    callbacks: list[Callback] = [checkpoint, _progress(), LearningRateMonitor("epoch")]
    if ema:
        callbacks.append(WeightAveraging(multi_avg_fn=moving_average(ema)))
    if patience:
        callbacks.append(EarlyStopping(JUDGED_BY, mode="max", patience=patience))
    cuda = torch.cuda.is_available()
    return lightning.Trainer(
        max_epochs=epochs,
        accelerator="cuda" if cuda else "cpu",
        devices=hardware.devices,
        num_nodes=hardware.nodes,
        sync_batchnorm=cuda and hardware.processes > 1 and learns_batch_norm,
        # bf16 is twice as fast where the CPU supports it; elsewhere autocast would only emulate it.
        precision="bf16-mixed" if cuda or _computes_in_bf16() else "32-true",
        logger=TensorBoardLogger(out, name="", version="tensorboard"),
        callbacks=callbacks,
        enable_model_summary=False,
        log_every_n_steps=1,
        num_sanity_val_steps=0,
    )


def fit(
    trainer: lightning.Trainer,
    module: lightning.LightningModule,
    training: DataLoader[Any],
    validation: DataLoader[Any],
    out: Path,
) -> None:
    """Trains, from the last checkpoint of the run's directory if there is one."""
    last = out / "checkpoints/last.ckpt"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")  # hints about worker counts
        trainer.fit(
            module, training, validation,
            ckpt_path=last if last.exists() else None,
            weights_only=True,
        )  # fmt: skip


class _EpochLines(ProgressBar):
    """Prints a line an epoch, and more in long epochs, for output that is not a terminal."""

    _shown = True

    def disable(self) -> None:
        """Turns output off; Lightning calls it in every process but the first."""
        self._shown = False

    def on_train_epoch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Starts to count the epoch's steps."""
        title = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        self._steps = ProgressLines(title, unit="steps")

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Prints a line if it is time for one."""
        if self._shown:
            self._steps.reach(batch_idx + 1, int(trainer.num_training_batches))

    def on_validation_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Prints the line."""
        if self._shown:
            print(
                f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}: "
                f"validation accuracy {trainer.callback_metrics[JUDGED_BY]:.3f}",
                flush=True,
            )


def _progress() -> ProgressBar:
    return RichProgressBar(leave=False) if Console().is_terminal else _EpochLines()


def _computes_in_bf16() -> bool:
    return torch.cpu._is_avx512_bf16_supported()
