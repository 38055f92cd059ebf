"""The training objective: classification, and contrastive learning on photos of one listing."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lookalike.model.engines import torchvision_loading  # noqa: F401  before lightning
from lookalike.model.engines.torch_network import Network
from training.augmentation import Mixing
from training.config import CATEGORY_OUTPUT, TrainConfig
from training.errors import TrainingError
from training.losses import contrastive_loss
from training.optimisation import optimizer_of, rate_at

import lightning  # isort: skip


class EmbeddingModule(lightning.LightningModule):
    """Trains a network with cross-entropy on categories and a contrastive loss on each output.

    Args:
        network: Trained in place.
        config: The run's settings.
        steps: Optimiser steps of the whole run, for the schedule.
        photos: Number of training photos of each category, int of shape (classes,).
    """

    def __init__(self, network: Network, config: TrainConfig, steps: int, photos: Tensor) -> None:
        super().__init__()
        # oneDNN trains convolutions over twice as fast in this layout, as do tensor cores
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._config = config
        self._steps = steps
        weights = photos.clamp(min=1).float() ** -config.class_balance
        weights *= photos.sum() / (weights * photos).sum()  # a photo weighs 1 on average
        self._cross_entropy = nn.CrossEntropyLoss(weights, label_smoothing=config.label_smoothing)
        self._mixing = Mixing(config, len(photos))
        layers = list(network.backbone.named_children())
        names = [name for name, _ in layers]
        frozen = names.index(config.last_frozen) + 1 if config.last_frozen else 0
        for number, (_, layer) in enumerate(layers):
            layer.requires_grad_(number >= frozen)
        # Always in eval mode: their BatchNorm statistics are frozen.
        self._settled = [layer for _, layer in layers[:frozen]]
        if config.freezes_batch_norm:
            self._settled.append(network.standardise)
            self._settled += [
                m for m in network.backbone.modules() if isinstance(m, nn.BatchNorm2d)
            ]
        self.train()

    def train(self, mode: bool = True) -> EmbeddingModule:
        """Sets training mode, but keeps frozen layers in eval mode."""
        super().train(mode)
        for module in self._settled:
            module.eval()
        return self

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        """Returns the outputs for photos, or for activations of the last frozen layer."""
        network: Network = self.network
        if self._config.caches_activations:
            assert self._config.last_frozen is not None
            inputs = inputs.contiguous(
                memory_format=torch.channels_last if inputs.ndim == 4 else torch.contiguous_format
            )
            pooled = network.pooled_after(self._config.last_frozen, inputs)
            return network.heads_of(pooled)
        outputs: dict[str, Tensor] = network(inputs)
        return outputs

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Returns the loss of a batch of pairs."""
        pairs, labels, listings = batch
        # First photos, then second ones, so that neighbours in the batch, which mixing blends, are
        # of different listings.
        inputs = pairs.transpose(0, 1).flatten(0, 1)
        labels, listings = labels.repeat(2), listings.repeat(2)
        mixed = self._mixed(inputs, labels)
        outputs = self(inputs if mixed is None else mixed[0])
        logits = outputs[CATEGORY_OUTPUT]
        loss: Tensor = self._cross_entropy(logits, labels if mixed is None else mixed[1])
        self._log("train/cross_entropy", loss)
        if mixed is None:
            self._log("train/accuracy", (logits.argmax(1) == labels).float().mean())
        if self._config.contrastive_weight:
            for name, vectors in outputs.items():
                if mixed is None:
                    contrast = contrastive_loss(vectors, listings, self._config.temperature)
                    self._log(f"train/contrastive/{name}", contrast)
                else:  # mixed photos have no pair; every weight still gets a gradient
                    contrast = vectors.sum() * 0
                loss = loss + self._config.contrastive_weight * contrast
        self._log("train/loss", loss)
        self._check_finite(loss)
        return loss

    def _mixed(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor] | None:
        if inputs.dtype != torch.uint8:
            return self._mixing(inputs, labels)
        mixed = self._mixing(inputs.permute(0, 3, 1, 2).float(), labels)
        return None if mixed is None else (mixed[0].permute(0, 2, 3, 1), mixed[1])

    def _check_finite(self, loss: Tensor) -> None:
        if torch.isfinite(loss):
            return
        last = getattr(self.trainer.checkpoint_callback, "last_model_path", "")
        raise TrainingError(
            f"the loss is {loss.item()} in epoch {self.current_epoch + 1}, step "
            f"{self.global_step}; the last good checkpoint is {last or 'none, as no epoch ended'}; "
            f"try a learning_rate below {self._config.learning_rate:g}, and another --out"
        )

    def _log(self, name: str, value: Tensor) -> None:
        self.log(name, value, on_step=False, on_epoch=True, sync_dist=True)

    def validation_step(self, batch: tuple[Tensor, Tensor]) -> None:
        """Logs loss and accuracy."""
        inputs, labels = batch
        logits = self(inputs)[CATEGORY_OUTPUT]
        self._log("validation/loss", nn.functional.cross_entropy(logits, labels))
        accuracy = (logits.argmax(1) == labels).float().mean()
        self.log("validation/accuracy", accuracy, prog_bar=True, sync_dist=True)

    def configure_optimizers(self) -> Any:
        """Returns the optimiser and a schedule that is updated at every step."""
        optimizer = optimizer_of(self._config, self.network.heads, self.network.backbone)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate_at(self._config, self._steps))
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }
