"""What the text tower learns: categories, and to find a listing's photos by its words."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from lookalike.model.engines import torchvision_loading  # noqa: F401  before lightning
from lookalike.model.engines.torch_text_network import TextNetwork
from training.config import CATEGORY_OUTPUT, FEATURES_OUTPUT
from training.errors import TrainingError
from training.optimisation import WARM_UP
from training.text.config import TextConfig
from training.text.data import Batch, Texts

import lightning  # isort: skip

_SHARPEST = 50.0  # of the scale of cosines, which is learnt


class TextModule(lightning.LightningModule):
    """Trains a text tower beside a network of photos that stays as it is.

    As in locked-image tuning (Zhai et al. 2021, arXiv:2111.07991), words move to where the photos
    are. The whole category is told by a head of its own, which is left out afterwards: it tells
    more of a thing than 13 roots do.

    Args:
        network: Trained in place.
        texts: All listings.
        features: Of the training photos, unit vectors of shape (photos, dimension); empty without.
        owners: The row of each one's listing among the texts.
        config: The run's settings.
        steps: Optimiser steps of the whole run.
    """

    roots: Tensor
    leaves: Tensor
    features: Tensor
    owners: Tensor

    def __init__(  # noqa: PLR0917
        self,
        network: TextNetwork,
        texts: Texts,
        features: Tensor,
        owners: Tensor,
        config: TextConfig,
        steps: int,
    ) -> None:
        super().__init__()
        self.network = network
        width = int(network.encoder.config.hidden_size)
        self.leaf = nn.Linear(width, texts.leaf_count)
        self.scale = nn.Parameter(torch.tensor(math.log(1 / config.temperature)))
        self._config = config
        self._steps = steps
        for name, values in (
            ("roots", torch.tensor(texts.roots)), ("leaves", torch.tensor(texts.leaves)),
            ("features", features), ("owners", owners),
        ):  # fmt: skip
            self.register_buffer(name, values, persistent=False)
        network.encoder.requires_grad_(not config.frozen)
        self.train()

    def train(self, mode: bool = True) -> TextModule:
        """Sets training mode, but keeps a frozen language model in eval mode."""
        super().train(mode)
        if self._config.frozen:
            self.network.encoder.eval()
        return self

    def training_step(self, batch: Batch) -> Tensor:
        """Returns the loss of a batch of listings."""
        ids, mask, rows = batch
        pooled = self.network.pooled(ids, mask)
        outputs = self.network.heads_of(pooled)
        smoothing = self._config.label_smoothing
        loss = nn.functional.cross_entropy(
            outputs[CATEGORY_OUTPUT].float(), self.roots[rows],
            label_smoothing=smoothing,
        )  # fmt: skip
        self._log("train/cross_entropy", loss)
        if self._config.leaf_weight:
            leaf = nn.functional.cross_entropy(
                self.leaf(pooled).float(), self.leaves[rows],
                label_smoothing=smoothing,
            )  # fmt: skip
            self._log("train/leaf", leaf)
            loss = loss + self._config.leaf_weight * leaf
        if self._config.photo_weight and len(self.features):
            found = self._photo_loss(outputs[FEATURES_OUTPUT].float(), rows)
            self._log("train/photo", found)
            loss = loss + self._config.photo_weight * found
        if not torch.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss.item()} in epoch {self.current_epoch + 1}; try a "
                f"learning_rate below {self._config.learning_rate:g}, and another --out"
            )
        return loss

    def _photo_loss(self, words: Tensor, rows: Tensor) -> Tensor:
        """Returns the loss of finding a listing's photos among all of the training split."""
        scale = self.scale.exp().clamp(max=_SHARPEST)
        share = nn.functional.log_softmax(words @ self.features.T * scale, dim=1)
        own = rows[:, None] == self.owners[None]
        paired = own.any(dim=1)
        mine = share.masked_fill(~own, -torch.inf).logsumexp(dim=1)
        return -mine[paired].mean() if paired.any() else words.sum() * 0

    def validation_step(self, batch: Batch) -> None:
        """Logs accuracy."""
        ids, mask, rows = batch
        guessed = self.network(ids, mask)[CATEGORY_OUTPUT].argmax(dim=1)
        accuracy = (guessed == self.roots[rows]).float().mean()
        self.log(
            "validation/accuracy", accuracy, prog_bar=True, sync_dist=True, batch_size=len(rows)
        )

    def configure_optimizers(self) -> Any:
        """Returns AdamW and a schedule: linear warm-up, then linear to 0."""
        config = self._config
        language = [w for w in self.network.encoder.parameters() if w.requires_grad]
        known = {id(weight) for weight in self.network.encoder.parameters()}
        heads = [weight for weight in self.parameters() if id(weight) not in known]
        groups = [{"name": "heads", "params": heads, "lr": config.head_rate}]
        if language:
            rate_of_language = {"params": language, "lr": config.learning_rate}
            groups.append({"name": "language model", **rate_of_language})
        optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay, fused=True)
        warm_up = max(1, round(self._steps * WARM_UP))

        def rate(step: int) -> float:
            return min((step + 1) / warm_up, max(0.0, 1 - step / max(1, self._steps)))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def _log(self, name: str, value: Tensor) -> None:
        self.log(name, value, on_step=False, on_epoch=True, sync_dist=True)
