"""1x1 convolutions as matrix products: the same values and gradients, and nothing left behind."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lookalike.model.engines.torchvision_loading import torchvision
from training.convolutions import pointwise_as_products


@pytest.fixture(scope="module")
def backbone() -> nn.Module:
    torch.manual_seed(7)
    return torchvision.models.resnet50(weights=None).eval()


def test_values_and_gradients_are_those_of_convolutions(backbone: nn.Module) -> None:
    photos = torch.rand(2, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    weight = backbone.get_submodule("layer4.2.conv3").weight
    found = []
    for _ in range(2):
        with pointwise_as_products(backbone):
            outputs = backbone(photos)
        found.append((outputs, torch.autograd.grad(outputs.sum(), weight)[0]))
        outputs = backbone(photos)
        found.append((outputs, torch.autograd.grad(outputs.sum(), weight)[0]))

    for values, gradient in found[1:]:
        torch.testing.assert_close(values, found[0][0], rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(gradient, found[0][1], rtol=1e-3, atol=1e-4)


def test_modules_are_convolutions_again_afterwards(backbone: nn.Module) -> None:
    before = {name: type(module) for name, module in backbone.named_modules()}
    with pointwise_as_products(backbone):
        within = {
            name for name, module in backbone.named_modules() if type(module) is not before[name]
        }

    assert {name: type(module) for name, module in backbone.named_modules()} == before
    assert "layer4.0.conv1" in within
    assert "layer4.0.conv2" not in within, "3x3"
    assert "layer4.0.downsample.0" not in within, "has a stride"
    assert "layer2.0.conv1" not in within, "large maps"
