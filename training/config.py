"""What a training run is told, in one frozen dataclass that is saved beside its results."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from training.errors import TrainingError
from training.files import write_json

_OUTPUTS = re.compile(r"(?:(?!category:)[a-z][a-z0-9_]*:[1-9]\d{0,4}(?:,(?!$)|$))*")
STAGES = ("frozen", "all")


def _option(default: Any, text: str, **more: Any) -> Any:
    """Declares a setting with its default and what `train --help` says of it."""
    return field(default=default, metadata={"help": text, **more})


@dataclass(frozen=True)
class TrainConfig:
    """Settings of `train`; the command line's options have the same names and texts."""

    # `imagenet` (torchvision's IMAGENET1K_V2, downloaded), `none`, or a file with a ResNet50's
    # state_dict (.pt, .pth or .safetensors)
    weights: str
    stage: str = _option(
        "frozen", "frozen: the head, on features computed once; all: every layer", choices=STAGES
    )
    outputs: str = _option(
        "features:128",
        "embeddings beside the category's logits, NAME:DIMENSION each, separated by commas",
    )
    image_size: int = _option(224, "side of the network's square input, in pixels")
    stride_in_1x1: bool = _option(
        False, "the weights are of the original ResNet50, which strides in 1x1 convolutions"
    )
    head_units: int = _option(1024, "width of the head's hidden layer; 0 for a linear head")
    dropout: float = _option(0.5, "probability of dropping a head's input while training")
    epochs: int = _option(30, "passes over the training split")
    batch_size: int = _option(256, "photos of one step")
    learning_rate: float = _option(
        1e-3, "peak of the schedule: linear warm-up over the first tenth, then cosine"
    )
    weight_decay: float = _option(1e-4, "AdamW's")
    label_smoothing: float = _option(0.1, "share of the target spread over the other categories")
    contrastive_weight: float = _option(
        0.3, "weight of the contrastive loss of each output, on photos of one listing; 0 for none"
    )
    temperature: float = _option(0.1, "the contrastive loss's")
    seed: int = _option(7, "of initialisation, shuffling and augmentation")

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
            "contrastive_weight": 0 <= self.contrastive_weight < math.inf or "at least 0",
            "temperature": 0 < self.temperature < math.inf or "above 0",
            "outputs": (
                _OUTPUTS.fullmatch(self.outputs) is not None
                and len(self.embeddings) == self.outputs.count(":")
            )
            or "like features:128,other:64, or empty",
            "stage": self.stage in STAGES or "`frozen` or `all`",
        }
        for name, allowed in ranges.items():
            if allowed is not True:
                raise TrainingError(f"{name} is {getattr(self, name)}; it must be {allowed}")

    @property
    def embeddings(self) -> dict[str, int]:
        """The dimension of each further output by name."""
        pairs = (part.split(":") for part in self.outputs.split(",") if part)
        return {name: int(dimension) for name, dimension in pairs}

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
