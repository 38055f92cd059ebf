"""Changes training photos at random, so that the network cannot learn them by heart.

Only training photos are augmented, never validation or test photos.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lookalike.model.engines import torchvision_loading  # noqa: F401  before torchvision
from training.config import TrainConfig
from training.dataset import Transform

from torchvision.transforms import v2 as transforms  # isort: skip

ROTATION = 20  # degrees either way
CROP = (0.35, 1.0)  # share of the photo's area that is kept
MIXUP_ALPHA = 0.2  # mostly one of the two photos shows
CUTMIX_ALPHA = 1.0  # any share


def augmentation(config: TrainConfig, size: int) -> Transform:
    """Returns the augmentation that `augment` names.

    It maps uint8 of shape (side, side, 3) to (size, size, 3), and draws from torch's global
    generator.
    """
    made = {
        "hflip": transforms.RandomHorizontalFlip(),
        "vflip": transforms.RandomVerticalFlip(),
        "rotate": transforms.RandomRotation(ROTATION, transforms.InterpolationMode.BILINEAR),
        "crop": transforms.RandomResizedCrop(size, scale=CROP),
        # Cubuk et al. 2019, arXiv:1909.13719, with torchvision's default of two operations
        "randaugment": transforms.RandAugment(interpolation=transforms.InterpolationMode.BILINEAR),
    }
    steps = [step for name, step in made.items() if name in config.augmentations]
    change = transforms.Compose([*steps, transforms.Resize((size, size))])

    def augment(pixels: Tensor) -> Tensor:
        changed: Tensor = change(pixels.permute(2, 0, 1)).permute(1, 2, 0)
        return changed

    return augment


class Mixing:
    """Mixes photos of a share of the batches.

    By mixup (Zhang et al. 2017, arXiv:1710.09412) or CutMix (Yun et al. 2019, arXiv:1905.04899).

    Args:
        config: Names the shares.
        classes: Number of labels.
    """

    def __init__(self, config: TrainConfig, classes: int) -> None:
        self._config = config
        self._mixup = transforms.MixUp(alpha=MIXUP_ALPHA, num_classes=classes)
        self._cutmix = transforms.CutMix(alpha=CUTMIX_ALPHA, num_classes=classes)

    def __call__(self, values: Tensor, labels: Tensor) -> tuple[Tensor, Tensor] | None:
        """Mixes each row with the one before; returns None for a batch that stays as it is.

        Args:
            values: float of shape (N, channels, H, W) or (N, features).
            labels: int of shape (N,); the mixed ones are float of shape (N, classes).
        """
        draw = torch.rand(()).item()
        if draw >= self._config.mixup + self._config.cutmix:
            return None
        mix = self._mixup if draw < self._config.mixup else self._cutmix
        planes = values if values.ndim == 4 else values[..., None, None]
        mixed, shares = mix(planes, labels)
        return mixed.view_as(values), shares
