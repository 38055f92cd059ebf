"""Optimiser, learning-rate schedule and moving average of the weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from training.config import TrainConfig

WARM_UP = 0.1  # share of the steps
FINAL_RATE = 1e-6
MOMENTUM = 0.9


def optimizer_of(config: TrainConfig, heads: nn.Module, backbone: nn.Module) -> Any:
    """Returns the optimiser, with one parameter group for the heads and one for the backbone."""
    groups = [
        {"name": name, "params": params, "lr": config.learning_rate * share}
        for name, module, share in (
            ("heads", heads, 1.0),
            ("backbone", backbone, config.backbone_rate),
        )
        if (params := [weight for weight in module.parameters() if weight.requires_grad])
    ]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=MOMENTUM, weight_decay=config.weight_decay)
    return torch.optim.AdamW(groups, weight_decay=config.weight_decay, fused=True)


def rate_at(config: TrainConfig, steps: int) -> Callable[[int], float]:
    """Returns the schedule: the learning rate at a step as a share of the peak.

    Args:
        config: Names the schedule and the peak.
        steps: Optimiser steps of the whole run.
    """
    warm_up = max(1, round(steps * WARM_UP)) if config.schedule == "warmup-cos" else 0
    final = min(1.0, FINAL_RATE / config.learning_rate)

    def share(step: int) -> float:
        if config.schedule == "flat":
            return 1.0
        if step < warm_up:
            return (step + 1) / warm_up
        progress = min(1.0, (step - warm_up) / max(1, steps - warm_up))
        return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress))

    return share


def moving_average(
    decay: float,
) -> Callable[[list[Tensor], list[Tensor], Tensor | int], None]:
    """Returns the update of an exponential moving average, for lightning's WeightAveraging.

    The decay grows with the number of steps up to `decay`, so that the initial random weights are
    soon forgotten.
    """

    def update(averages: list[Tensor], currents: list[Tensor], count: Tensor | int) -> None:
        memory = min(decay, (1 + float(count)) / (10 + float(count)))
        with torch.no_grad():
            for average, current in zip(averages, currents, strict=True):
                if average.is_floating_point():  # not so BatchNorm's count of batches
                    average.lerp_(current, 1 - memory)  # in place: copies took a fifth of a step
                else:
                    average.copy_(current)

    return update
