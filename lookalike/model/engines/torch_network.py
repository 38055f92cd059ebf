"""The bundle's network as a torch module, for training, export and the torch engine."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lookalike.model.bundle import Architecture, Output, Preprocessing
from lookalike.model.engines.torchvision_loading import torchvision

# The heads read the spatial means of these layers, concatenated: the last layer tells what a thing
# is, the one before also tells it from others of its kind.
LEVELS = {"layer3": 1024, "layer4": 2048}
POOLED_FEATURES = sum(LEVELS.values())
POOLING = "avgpool"


class Network(nn.Module):
    """Normalisation, backbone, pooling of two levels, and one head for each output.

    Input: uint8 of shape (N, size, size, 3), RGB. Output: float32 of shape (N, dimension) by name.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, architecture: Architecture, preprocessing: Preprocessing, outputs: tuple[Output, ...]
    ) -> None:
        super().__init__()
        self.outputs = outputs
        # Constants of the manifest, not weights: kept out of the state_dict.
        self.register_buffer("mean", _per_channel(preprocessing.mean), persistent=False)
        self.register_buffer("std", _per_channel(preprocessing.std), persistent=False)
        # Residual blocks that start near identities learn far sooner from scratch (Goyal et al.
        # 2017, arXiv:1706.02677, section 5.1): `training` opens them a little; loaded weights
        # replace this.
        self.backbone = torchvision.models.resnet50(weights=None, zero_init_residual=True)
        self.backbone.fc = nn.Identity()
        if architecture.stride_in_1x1:
            _move_stride_to_1x1(self.backbone)
        # One level's values are many times the other's; standardised, all channels count equally.
        self.standardise = nn.BatchNorm1d(POOLED_FEATURES, affine=False)
        self.heads = nn.ModuleDict({output.name: _head(architecture, output) for output in outputs})

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Returns every output by name."""
        return self.heads_of(self.pooled(images))

    def pooled(self, images: Tensor) -> Tensor:
        """Returns the backbone's pooled features, float32 of shape (N, 3072): LEVELS in order."""
        return self.pooled_after(None, self._normalised(images))

    def values_at(self, layer: str, images: Tensor) -> Tensor:
        """Returns the activations of a backbone layer such as `layer3`: (N, channels, H, W).

        For `avgpool` these are the pooled features.
        """
        if layer == POOLING:
            return self.pooled(images)
        values = self._normalised(images)
        for name, module in self.backbone.named_children():
            values = module(values)
            if name == layer:
                break
        return values

    def pooled_after(self, layer: str | None, values: Tensor) -> Tensor:
        """Returns the pooled features for a layer's activations; for normalised photos if None.

        Not for layers between the two levels, whose activations lack those of the first level.
        """
        if layer == POOLING:
            return values
        maps = [values] if layer in LEVELS else []
        names = [name for name, _ in self.backbone.named_children()]
        start = names.index(layer) + 1 if layer else 0
        for name in names[start : names.index(POOLING)]:
            values = self.backbone.get_submodule(name)(values)
            if name in LEVELS:
                maps.append(values)
        return torch.cat([values.mean(dim=(2, 3)) for values in maps], dim=1)

    def _normalised(self, images: Tensor) -> Tensor:
        return (images.permute(0, 3, 1, 2).float() / 255 - self.mean) / self.std

    def heads_of(self, features: Tensor) -> dict[str, Tensor]:
        """Returns every output for pooled features."""
        features = self.standardise(features)
        values = {output.name: self.heads[output.name](features) for output in self.outputs}
        for output in self.outputs:
            if output.kind == "embedding":
                values[output.name] = nn.functional.normalize(values[output.name], dim=1)
        return values


def _head(architecture: Architecture, output: Output) -> nn.Sequential:
    if output.kind == "embedding" or not architecture.head_units:
        return nn.Sequential(
            nn.Dropout(architecture.dropout), nn.Linear(POOLED_FEATURES, output.dimension)
        )
    return nn.Sequential(
        nn.Dropout(architecture.dropout),
        nn.Linear(POOLED_FEATURES, architecture.head_units),
        nn.ReLU(),
        nn.Dropout(architecture.dropout),
        nn.Linear(architecture.head_units, output.dimension),
    )


def _move_stride_to_1x1(backbone: nn.Module) -> None:
    for stage in ("layer2", "layer3", "layer4"):
        block = backbone.get_submodule(f"{stage}.0")
        for name, stride in (("conv1", (2, 2)), ("conv2", (1, 1))):
            convolution = block.get_submodule(name)
            assert isinstance(convolution, nn.Conv2d)
            convolution.stride = stride


def _per_channel(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values).view(1, 3, 1, 1)
