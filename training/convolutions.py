"""Trains convolutions by matrix products, which CPUs compute faster.

The maps of the last stages are small and their weights large, and oneDNN spends most of a 1x1
convolution's time on bringing the weights into its own layout and back. At 64 pixels a step of
`layer4`'s takes a fifth of the time, at 224 pixels two thirds.

The gradient of any convolution's weights is a product too. oneDNN's threads compute it together,
and spin while they wait for one another: where other programs hold a core, one that takes 6 ms
took 800.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lookalike.model.engines.torch_network import LEVELS

# Values of all patches of a batch, up to which they are written out for the product: 64 MB in
# bf16. Beyond, as in the first stages at 224 pixels, that costs more than it saves.
MOST_PATCHED = 1 << 25


class _Pointwise(nn.Conv2d):
    """A 1x1 convolution without stride or bias, as a product over channels."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  the base class's name
        """Returns what the convolution does, up to rounding; channels last, as the input is."""
        products = functional.linear(input.permute(0, 2, 3, 1), self.weight.flatten(1))
        return products.permute(0, 3, 1, 2)


class _Convolution(nn.Conv2d):
    """A convolution without bias, dilation or groups; its weights' gradient is a product."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  the base class's name
        """Returns what the convolution does."""
        weight = self.weight
        assert not isinstance(self.padding, str)  # `same`, which ResNet50 has not
        rows, columns = (
            (size + 2 * padding - kernel) // stride + 1
            for size, padding, kernel, stride in zip(
                input.shape[2:], self.padding, self.kernel_size, self.stride, strict=True
            )
        )
        if len(input) * rows * columns * weight[0].numel() > MOST_PATCHED:
            return super().forward(input)
        if torch.is_autocast_enabled("cpu"):
            kind = torch.get_autocast_dtype("cpu")
            input, weight = input.to(kind), weight.to(kind)  # noqa: A001
        convolved: Tensor = _WeightsByProduct.apply(  # type: ignore[no-untyped-call]
            input, weight, self.stride, self.padding
        )
        return convolved


class _WeightsByProduct(torch.autograd.Function):
    """Convolves; the gradient of the weights is that of the outputs times the patches read."""

    @staticmethod
    def forward(ctx: Any, photos: Tensor, weight: Tensor, stride: Any, padding: Any) -> Tensor:
        ctx.save_for_backward(photos, weight)
        ctx.stride, ctx.padding = stride, padding
        return functional.conv2d(photos, weight, None, stride, padding)

    @staticmethod
    def backward(ctx: Any, *of_outputs: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        photos, weight = ctx.saved_tensors
        (gradient,) = of_outputs
        of_photos = None
        if ctx.needs_input_grad[0]:
            of_photos = torch.ops.aten.convolution_backward(
                gradient, photos, weight, None, ctx.stride, ctx.padding, [1, 1],
                False, [0, 0], 1, [True, False, False],
            )[0]  # fmt: skip
        outputs, inputs, height, width = weight.shape
        down, across = ctx.padding
        padded = functional.pad(photos.permute(0, 2, 3, 1), (0, 0, across, across, down, down))
        patches = padded.unfold(1, height, ctx.stride[0]).unfold(2, width, ctx.stride[1])
        patches = patches.permute(0, 1, 2, 4, 5, 3).reshape(-1, height * width * inputs)
        product = gradient.permute(0, 2, 3, 1).reshape(-1, outputs).T @ patches
        of_weight = product.view(outputs, height, width, inputs).permute(0, 3, 1, 2)
        return of_photos, of_weight, None, None


@contextmanager
def convolutions_as_products(backbone: nn.Module) -> Iterator[None]:
    """Replaces convolutions within the block; not on CUDA.

    Args:
        backbone: A ResNet50; its weights and their names stay the same.
    """
    replaced = []
    if not torch.cuda.is_available():
        for name, module in backbone.named_modules():
            if type(module) is nn.Conv2d:
                plain = module.kernel_size == module.stride == (1, 1)
                late = name.partition(".")[0] in LEVELS
                module.__class__ = _Pointwise if plain and late else _Convolution
                replaced.append(module)
    try:
        yield
    finally:
        for module in replaced:
            module.__class__ = nn.Conv2d
