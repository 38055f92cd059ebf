"""What a training run is told, in one frozen dataclass that is saved beside its results."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from training.errors import TrainingError
from training.files import write_json


@dataclass(frozen=True)
class TrainConfig:
    """Settings of `train`; the command line's options have the same names.

    Attributes:
        weights: `imagenet` (torchvision's IMAGENET1K_V2, downloaded), `none`, or a file with a
            ResNet50 state_dict (.pt, .pth or .safetensors).
        stage: `frozen` trains the head on features computed once; `all` trains every layer.
        image_size: Side of the network's square input, in pixels.
        stride_in_1x1: Whether the weights are of the original ResNet variant; see `Architecture`.
        head_units: Width of the head's hidden layer; 0 for a linear head.
        dropout: Probability of dropping a head input while training.
        epochs: Passes over the training split.
        batch_size: Photos of one step.
        learning_rate: Peak of the schedule: linear warm-up over the first tenth, then cosine.
        weight_decay: AdamW's.
        label_smoothing: Share of the target spread over the other categories.
        seed: Of initialisation, shuffling and augmentation.
    """

    weights: str
    stage: str = "frozen"
    image_size: int = 224
    stride_in_1x1: bool = False
    head_units: int = 1024
    dropout: float = 0.5
    epochs: int = 30
    batch_size: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    label_smoothing: float = 0.1
    seed: int = 7

    def __post_init__(self) -> None:
        """Raises TrainingError naming the first setting that is out of its range."""
        ranges = {
            "image_size": self.image_size >= 1 or "at least 1",
            "head_units": self.head_units >= 0 or "at least 0",
            "dropout": 0 <= self.dropout < 1 or "from 0 to below 1",
            "epochs": self.epochs >= 1 or "at least 1",
            "batch_size": self.batch_size >= 1 or "at least 1",
            "learning_rate": 0 < self.learning_rate < math.inf or "above 0",
            "weight_decay": 0 <= self.weight_decay < math.inf or "at least 0",
            "label_smoothing": 0 <= self.label_smoothing < 1 or "from 0 to below 1",
            "stage": self.stage in {"frozen", "all"} or "`frozen` or `all`",
        }
        for name, allowed in ranges.items():
            if allowed is not True:
                raise TrainingError(f"{name} is {getattr(self, name)}; it must be {allowed}")

    def save(self, file: Path) -> None:
        """Writes the settings as JSON."""
        write_json(file, dataclasses.asdict(self))

    @classmethod
    def load(cls, file: Path) -> Self:
        """Reads what `save` wrote."""
        try:
            return cls(**json.loads(file.read_text()))
        except FileNotFoundError:
            raise TrainingError(f"{file}: missing; is this the directory of a run?") from None
        except (ValueError, TypeError, TrainingError) as error:
            raise TrainingError(f"{file}: not the settings of a run: {error}") from None

    def check_same(self, other: TrainConfig, file: Path) -> None:
        """Raises if a run that was started with `other` would go on with these settings."""
        mine, theirs = dataclasses.asdict(self), dataclasses.asdict(other)
        changed = [f"{k}: {theirs[k]} → {mine[k]}" for k in mine if mine[k] != theirs[k]]
        if changed:
            raise TrainingError(
                f"{file}: the run was started with other settings ({'; '.join(changed)}); "
                "use another --out, or remove the directory"
            )
