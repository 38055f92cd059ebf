"""Settings of a training run: one frozen dataclass, saved with the results."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from lookalike.files import write_json
from training.errors import TrainingError

CATEGORY_OUTPUT = "category"
FEATURES_OUTPUT = "features"  # also ranks listings, unless another embedding was fitted to
_OUTPUTS = re.compile(r"(?:(?!category:)[a-z][a-z0-9_]*:[1-9]\d{0,4}(?:,(?!$)|$))*")
# The last frozen layer, by stage; `all` freezes none.
LAST_FROZEN = {"frozen": "avgpool", "layer4": "layer3", "layer3": "layer2", "all": None}
STAGES = tuple(LAST_FROZEN)
OPTIMIZERS = ("adamw", "sgd")
SCHEDULES = ("warmup-cos", "cos", "flat")
LABELS = ("root", "leaf")
# In the order in which they are applied.
AUGMENTATIONS = ("hflip", "vflip", "rotate", "crop", "randaugment")


def option(default: Any, text: str, **more: Any) -> Any:
    """Declares a setting with its default and help text."""
    return field(default=default, metadata={"help": text, **more})


class Settings(ABC):
    """Settings of a run, a frozen dataclass: checked when made, saved with the results."""

    def __post_init__(self) -> None:
        """Raises TrainingError naming the first setting that is out of its range."""
        for name, rule in self.ranges().items():
            if rule is not True:
                raise TrainingError(f"{name} is {getattr(self, name)}; it must be {rule}")
        self.check_together()

    @abstractmethod
    def ranges(self) -> dict[str, bool | str]:
        """Returns True, or what it must be, by name."""

    def check_together(self) -> None:  # noqa: B027  not all have such
        """Raises TrainingError for settings that contradict each other."""

    def save(self, file: Path) -> None:
        """Writes the settings as JSON."""
        write_json(file, self._values())

    @classmethod
    def load(cls, file: Path) -> Self:
        """Reads what `save` wrote."""
        try:
            return cls(**json.loads(file.read_text()))
        except FileNotFoundError:
            raise TrainingError(f"{file}: missing; is this the directory of a run?") from None
        except (ValueError, TypeError, TrainingError) as error:
            raise TrainingError(f"{file}: not the settings of a run: {error}") from None

    def check_same(self, other: Self, file: Path) -> None:
        """Raises TrainingError if a run that was started with `other` cannot resume with these."""
        mine, theirs = self._values(), other._values()
        changed = [f"{k}: {theirs[k]} → {mine[k]}" for k in mine if mine[k] != theirs[k]]
        if changed:
            raise TrainingError(
                f"{file}: the run was started with other settings ({'; '.join(changed)}); "
                "use another --out, or remove the directory"
            )

    def _values(self) -> dict[str, Any]:
        return dataclasses.asdict(self)  # type: ignore[call-overload, no-any-return]


@dataclass(frozen=True)
class TrainConfig(Settings):
    """Settings of `train`; the command line's options have the same names and texts."""

    # `imagenet` (torchvision's IMAGENET1K_V2, downloaded), `none`, or a file with a ResNet50's
    # state_dict (.pt, .pth or .safetensors)
    weights: str
    stage: str = option(
        "frozen",
        "what learns: frozen, the heads alone; layer4 or layer3, the backbone from there on; all",
        choices=STAGES,
    )
    labels: str = option(
        "root", "the 13 root categories, or every leaf of the category tree", choices=LABELS
    )
    outputs: str = option(
        "features:128",
        "embeddings beside the category's logits, NAME:DIMENSION each, separated by commas",
    )
    image_size: int = option(224, "side of the network's square input, in pixels")
    train_size: int = option(
        0, "side of training photos; 0 for image-size. A smaller one is faster and may judge better"
    )
    stride_in_1x1: bool = option(
        False, "the weights are of the original ResNet50, which strides in 1x1 convolutions"
    )
    head_units: int = option(1024, "width of the head's hidden layer; 0 for a linear head")
    dropout: float = option(0.5, "probability of dropping a head's input while training")
    views: int = option(
        1,
        "copies of each training photo whose values at the last frozen layer are computed once and "
        "kept, the first plain, the others augmented; 0 to compute them anew each epoch",
    )
    augment: str = option(
        "hflip,crop",
        f"changes to training photos, separated by commas: {', '.join(AUGMENTATIONS)}",
    )
    mixup: float = option(0.0, "share of the batches whose photos are blended in pairs")
    cutmix: float = option(0.0, "share of the batches with patches of another photo pasted in")
    epochs: int = option(30, "passes over the training split")
    patience: int = option(0, "stop after so many epochs without a better one; 0 to go on")
    batch_size: int = option(256, "photos of one step, on all devices together")
    optimizer: str = option("adamw", "how weights are moved", choices=OPTIMIZERS)
    learning_rate: float = option(1e-3, "the schedule's peak")
    backbone_rate: float = option(0.1, "the backbone's learning rate, as a share of the heads'")
    schedule: str = option(
        "warmup-cos",
        "warmup-cos: linear over the first tenth, then cosine to 1e-6; cos: cosine to 1e-6; flat",
        choices=SCHEDULES,
    )
    weight_decay: float = option(1e-4, "the optimizer's")
    ema: float = option(
        0.99, "decay of the moving average of weights that is judged and kept; 0 for none"
    )
    label_smoothing: float = option(0.1, "share of the target spread over the other categories")
    class_balance: float = option(
        0.0, "0: every photo weighs the same; 1: every category does; between: in between"
    )
    contrastive_weight: float = option(
        0.1, "weight of the contrastive loss of each output, on photos of one listing; 0 for none"
    )
    temperature: float = option(0.1, "the contrastive loss's")
    whiten: float = option(
        0.05,
        "whiten embeddings by how photos of one listing differ, with variances drawn towards their "
        "mean by this share; 0 not to whiten",
    )
    seed: int = option(7, "of initialisation, shuffling and augmentation")

    def ranges(self) -> dict[str, bool | str]:
        """Returns True, or what it must be, by name."""
        share = "from 0 to 1"
        ranges: dict[str, bool | str] = {
            "image_size": self.image_size >= 1 or "at least 1",
            "train_size": self.train_size >= 0 or "at least 0",
            "head_units": self.head_units >= 0 or "at least 0",
            "dropout": 0 <= self.dropout < 1 or "from 0 to below 1",
            "views": self.views >= 0 or "at least 0",
            "augment": self._augments_are_known() or f"of {', '.join(AUGMENTATIONS)}, each once",
            "mixup": 0 <= self.mixup <= 1 or share,
            "cutmix": 0 <= self.cutmix <= 1 - self.mixup or "from 0 to 1 - mixup",
            "epochs": self.epochs >= 1 or "at least 1",
            "patience": self.patience >= 0 or "at least 0",
            "batch_size": self.batch_size >= 1 or "at least 1",
            "learning_rate": 0 < self.learning_rate < math.inf or "above 0",
            "backbone_rate": 0 < self.backbone_rate < math.inf or "above 0",
            "weight_decay": 0 <= self.weight_decay < math.inf or "at least 0",
            "ema": 0 <= self.ema < 1 or "from 0 to below 1",
            "label_smoothing": 0 <= self.label_smoothing < 1 or "from 0 to below 1",
            "class_balance": 0 <= self.class_balance <= 1 or share,
            "contrastive_weight": 0 <= self.contrastive_weight < math.inf or "at least 0",
            "temperature": 0 < self.temperature < math.inf or "above 0",
            "whiten": 0 <= self.whiten <= 1 or share,
            "outputs": (
                _OUTPUTS.fullmatch(self.outputs) is not None
                and len(self.embeddings) == self.outputs.count(":")
            )
            or "like features:128,other:64, or empty",
        }
        choices = {
            "stage": STAGES,
            "labels": LABELS,
            "optimizer": OPTIMIZERS,
            "schedule": SCHEDULES,
        }
        for name, allowed in choices.items():
            ranges[name] = getattr(self, name) in allowed or f"one of {', '.join(allowed)}"
        return ranges

    def check_together(self) -> None:
        """Raises TrainingError for settings that contradict each other."""
        if self.outputs and not self.contrastive_weight:
            raise TrainingError(
                f"outputs is {self.outputs} and contrastive_weight is 0: nothing would train them; "
                "leave outputs empty, or give a weight above 0"
            )
        if self.stage == "frozen" and self.views and self.cutmix:
            raise TrainingError(
                "cutmix mixes photos, but stage frozen keeps what is pooled of them; use mixup, "
                "views 0, or another stage"
            )

    def _augments_are_known(self) -> bool:
        names = self.augmentations
        return len(set(names)) == len(names) and set(names) <= set(AUGMENTATIONS)

    @property
    def augmentations(self) -> list[str]:
        """The names in `augment`."""
        return [name for name in self.augment.split(",") if name]

    @property
    def last_frozen(self) -> str | None:
        """The last frozen layer of the backbone; None if all layers are trained."""
        return LAST_FROZEN[self.stage]

    @property
    def caches_activations(self) -> bool:
        """Whether training reads cached activations of the last frozen layer."""
        return self.last_frozen is not None and self.views > 0

    @property
    def freezes_batch_norm(self) -> bool:
        """Whether BatchNorm keeps its pretrained statistics; small data give worse ones."""
        return self.weights != "none"

    @property
    def embeddings(self) -> dict[str, int]:
        """The dimension of each embedding output by name."""
        pairs = (part.split(":") for part in self.outputs.split(",") if part)
        return {name: int(dimension) for name, dimension in pairs}
