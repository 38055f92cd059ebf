"""Changes training photos at random, so that the network cannot learn them by heart.

Only training photos are changed; those that choose and judge never are.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lookalike.model.engines import torchvision_loading  # noqa: F401  before torchvision
from training.config import TrainConfig
from training.dataset import Transform

from torchvision.transforms import v2 as transforms  # isort: skip

ROTATION = 20  # degrees either way
CROP = (0.35, 1.0)  # share of the photo's area
MIXUP_ALPHA = 0.2  # mostly one of the two photos
CUTMIX_ALPHA = 1.0  # any share


def augmentation(config: TrainConfig, size: int) -> Transform:
    """Returns the changes that `augment` names.

    They go from uint8 of shape (side, side, 3) to (size, size, 3), and draw from torch's global
    generator.
    """
    made = {
        "hflip": transforms.RandomHorizontalFlip(),
        "vflip": transforms.RandomVerticalFlip(),
        "rotate": transforms.RandomRotation(ROTATION, transforms.InterpolationMode.BILINEAR),
        "crop": transforms.RandomResizedCrop(size, scale=CROP),
        # Cubuk et al. 2019, arXiv:1909.13719, with torchvision's two operations a photo
        "randaugment": transforms.RandAugment(interpolation=transforms.InterpolationMode.BILINEAR),
    }
    steps = [step for name, step in made.items() if name in config.augmentations]
    change = transforms.Compose([*steps, transforms.Resize((size, size))])

    def augment(pixels: Tensor) -> Tensor:
        changed: Tensor = change(pixels.permute(2, 0, 1)).permute(1, 2, 0)
        return changed

    return augment


class Mixing:
    """Mixes some batches.

    By mixup (Zhang et al. 2017, arXiv:1710.09412) or CutMix (Yun et al. 2019, arXiv:1905.04899).

    Args:
        config: Says which share of the batches.
        classes: Number of labels.
    """

    def __init__(self, config: TrainConfig, classes: int) -> None:
        self._config = config
        self._mixup = transforms.MixUp(alpha=MIXUP_ALPHA, num_classes=classes)
        self._cutmix = transforms.CutMix(alpha=CUTMIX_ALPHA, num_classes=classes)

    def __call__(self, values: Tensor, labels: Tensor) -> tuple[Tensor, Tensor] | None:
        """Returns the batch with each row mixed with the one before; None to leave it as it is.

        Args:
            values: float of shape (N, channels, H, W) or (N, features).
            labels: int of shape (N,); those returned are float of shape (N, classes).
        """
        draw = torch.rand(()).item()
        if draw >= self._config.mixup + self._config.cutmix:
            return None
        mix = self._mixup if draw < self._config.mixup else self._cutmix
        planes = values if values.ndim == 4 else values[..., None, None]
        mixed, shares = mix(planes, labels)
        return mixed.view_as(values), shares
