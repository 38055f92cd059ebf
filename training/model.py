"""Builds the network and loads its starting weights."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from lookalike.model.bundle import Architecture, Output, Preprocessing
from lookalike.model.engines.torch_network import Network
from lookalike.model.engines.torchvision_loading import torchvision
from training.config import CATEGORY_OUTPUT, TrainConfig
from training.errors import TrainingError

# Of 0, 0.25 and 1, the one that learns most in a few hundred steps from scratch.
RESIDUAL_SCALE = 0.25


def build_network(config: TrainConfig, classes: int) -> Network:
    """Returns the network with starting weights and newly initialised heads.

    Args:
        config: Names the weights and the size of the heads.
        classes: Number of categories.
    """
    state = _starting_weights(config.weights)
    torch.manual_seed(config.seed)
    network = Network(
        architecture_of(config), Preprocessing(config.image_size), outputs_of(config, classes)
    )
    if state is None:
        _open_residuals(network)
    else:
        _load_backbone(network, state, config.weights)
    return network


def standardise(network: Network, features: NDArray[np.float32]) -> None:
    """Sets the standardisation of the heads' inputs to the statistics of these features.

    Args:
        network: Changed in place.
        features: Pooled features of some photos, of shape (photos, 3072).
    """
    values = torch.from_numpy(features)
    network.standardise.running_mean = values.mean(dim=0)
    network.standardise.running_var = values.var(dim=0)


def architecture_of(config: TrainConfig) -> Architecture:
    """Returns the architecture of this run's network."""
    return Architecture(
        stride_in_1x1=config.stride_in_1x1, head_units=config.head_units, dropout=config.dropout
    )


def outputs_of(config: TrainConfig, classes: int) -> tuple[Output, ...]:
    """Returns the network's outputs: the logits, which are the default, and the embeddings."""
    further = (Output(name, size, "embedding") for name, size in config.embeddings.items())
    return (Output(CATEGORY_OUTPUT, classes, "logits"), *further)


def _open_residuals(network: Network) -> None:
    """Lets the residual blocks contribute from the start, at a part of their usual scale.

    The network begins with scale 0, from which AdamW moves by no more than its learning rate a
    step: a short run from scratch would end before the blocks count.
    """
    for module in network.backbone.modules():
        if isinstance(module, torchvision.models.resnet.Bottleneck):
            torch.nn.init.constant_(module.bn3.weight, RESIDUAL_SCALE)


def _starting_weights(weights: str) -> dict[str, Any] | None:
    if weights == "none":
        return None
    if weights == "imagenet":
        source = torchvision.models.ResNet50_Weights.IMAGENET1K_V2
        try:
            return dict(source.get_state_dict(progress=True, check_hash=True))
        except (OSError, RuntimeError) as error:  # the latter for a wrong hash
            raise TrainingError(
                f"ImageNet weights cannot be downloaded from {source.url}: {error}; "
                "give a file with --weights PATH, or --weights none"
            ) from None
    file = Path(weights)
    if not file.is_file():
        raise TrainingError(f"--weights {weights}: no such file; or use imagenet or none")
    try:
        if file.suffix == ".safetensors":
            return dict(load_file(file))
        return dict(torch.load(file, map_location="cpu", weights_only=True))
    except pickle.UnpicklingError:  # torch's message recommends loading the file unsafely
        raise TrainingError(
            f"--weights {weights}: not a state_dict: not of torch.save, or not of tensors alone"
        ) from None
    except Exception as error:  # torch re-raises any error of the unpickler
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise TrainingError(f"--weights {weights}: not a state_dict: {reason}") from None


def _load_backbone(network: Network, state: dict[str, Any], weights: str) -> None:
    """Loads everything but the classifier of another task (`fc`)."""
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            kind = type(value).__name__
            raise TrainingError(
                f"--weights {weights}: not a state_dict: {name!r} is of type {kind}"
            )
    backbone = {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}
    try:
        keys = network.backbone.load_state_dict(backbone, strict=False)
    except RuntimeError as error:  # a headline, then a line for each shape that differs
        wrong = [line.strip() for line in str(error).splitlines()[1:]]
    else:
        wrong = [f"{name} is missing" for name in keys.missing_keys]
        wrong += [f"{name} is unknown" for name in keys.unexpected_keys]
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if wrong[1:] else ""
        raise TrainingError(f"--weights {weights}: not a ResNet50's: {wrong[0]}{more}")
