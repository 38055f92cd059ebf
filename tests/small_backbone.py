"""A network of ResNet50's layout in its place, with a tenth of its weights and few blocks.

What is tested with it does not depend on how deep or wide the backbone is: names of layers, the
channels of the two levels that heads read, BatchNorm, residual blocks. A run, a bundle and a
conversion then take moments. Processes do not see it: the torch engine of a service and a training
of several processes build the real one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lookalike.model.engines.torchvision_loading import torchvision


def small_backbone(*, weights: None = None, **options: Any) -> Any:
    """Returns one block a stage, with 2,048 channels at its end as ResNet50 has them."""
    resnet = torchvision.models.resnet
    assert weights is None
    return resnet.ResNet(resnet.Bottleneck, [1, 1, 1, 1], width_per_group=8, **options)


@contextmanager
def small_backbones() -> Iterator[None]:
    """Has networks made with the small backbone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torchvision.models, "resnet50", small_backbone)
        yield


@contextmanager
def real_backbones() -> Iterator[None]:
    """Has networks made with ResNet50, even amid tests that have small ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torchvision.models, "resnet50", torchvision.models.resnet.resnet50)
        yield
