"""Convolutions as matrix products: the same values and gradients, and nothing left behind."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lookalike.model.engines.torchvision_loading import torchvision
from training import convolutions
from training.convolutions import convolutions_as_products


@pytest.fixture(scope="module")
def backbone() -> nn.Module:
    torch.manual_seed(7)
    return torchvision.models.resnet50(weights=None).eval()


# 1x1; 3x3; with a stride; 1x1 with a stride; 1x1 of large maps; 7x7 with a stride, of the photos.
@pytest.mark.parametrize(
    "name",
    [
        "layer4.2.conv3",
        "layer4.2.conv2",
        "layer4.0.conv2",
        "layer4.0.downsample.0",
        "layer1.0.conv1",
        "conv1",
    ],
)
def test_values_and_gradients_are_those_of_convolutions(backbone: nn.Module, name: str) -> None:
    photos = torch.rand(2, 3, 48, 32).contiguous(memory_format=torch.channels_last)
    weight = backbone.get_submodule(name).weight
    found = []
    for _ in range(2):
        with convolutions_as_products(backbone):
            outputs = backbone(photos)
            found.append((outputs, torch.autograd.grad(outputs.sum(), weight)[0]))
        outputs = backbone(photos)
        found.append((outputs, torch.autograd.grad(outputs.sum(), weight)[0]))

    for values, gradient in found[1:]:
        torch.testing.assert_close(values, found[0][0], rtol=1e-3, atol=1e-4)
        assert gradient.shape == weight.shape
        distance = (gradient - found[0][1]).norm() / found[0][1].norm()
        assert distance < 1e-3


def test_the_gradient_of_photos_is_a_convolutions_too(backbone: nn.Module) -> None:
    photos = torch.rand(2, 3, 32, 32).contiguous(memory_format=torch.channels_last).requires_grad_()
    (expected,) = torch.autograd.grad(backbone(photos).sum(), photos)
    with convolutions_as_products(backbone):
        (found,) = torch.autograd.grad(backbone(photos).sum(), photos)
    assert (found - expected).norm() / expected.norm() < 1e-3


def test_half_precision_is_that_of_the_block(backbone: nn.Module) -> None:
    photos = torch.rand(2, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    weight = backbone.get_submodule("layer3.1.conv2").weight
    with convolutions_as_products(backbone), torch.autocast("cpu", torch.bfloat16):
        inside = backbone.get_submodule("layer1.0.conv2")(torch.rand(1, 64, 4, 4))
        outputs = backbone(photos)
    (gradient,) = torch.autograd.grad(outputs.float().sum(), weight)
    assert (inside.dtype, gradient.dtype) == (torch.bfloat16, torch.float32)


def test_what_would_take_too_much_memory_is_left_alone(
    backbone: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convolutions, "MOST_PATCHED", 2 * 4 * 4 * 64 * 9)
    layer = backbone.get_submodule("layer1.0.conv2")
    with convolutions_as_products(backbone):
        small, large = (layer(torch.rand(2, 64, side, 4)) for side in (4, 5))
    assert "Product" in type(small.grad_fn).__name__
    assert "Product" not in type(large.grad_fn).__name__


def test_modules_are_convolutions_again_afterwards(backbone: nn.Module) -> None:
    before = {name: type(module) for name, module in backbone.named_modules()}
    with convolutions_as_products(backbone):
        within = {
            name: type(module).__name__
            for name, module in backbone.named_modules()
            if type(module) is not before[name]
        }

    assert {name: type(module) for name, module in backbone.named_modules()} == before
    pointwise = {name for name, kind in within.items() if kind == "_Pointwise"}
    assert "layer4.0.conv1" in pointwise
    assert "layer4.0.conv2" not in pointwise, "3x3"
    assert "layer4.0.downsample.0" not in pointwise, "has a stride"
    assert "layer2.0.conv1" not in pointwise, "large maps"
    assert len(within) == 53
