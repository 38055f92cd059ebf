"""What training minimises beside cross-entropy. Knows nothing of networks."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def contrastive_loss(vectors: Tensor, groups: Tensor, temperature: float) -> Tensor:
    """Draws vectors of one group together and pushes all others of the batch away, by direction.

    The supervised contrastive loss of Khosla et al. 2020 (arXiv:2004.11362, equation 2), with
    listings as groups. Rows alone in their group only push; without any pair the loss is 0.

    Args:
        vectors: float of shape (N, dimension).
        groups: int of shape (N,).
        temperature: Smaller weighs the nearest others more.
    """
    directions = functional.normalize(vectors.float(), dim=1)
    similarity = directions @ directions.T / temperature
    itself = torch.eye(len(groups), dtype=torch.bool, device=groups.device)
    log_share = functional.log_softmax(similarity.masked_fill(itself, -torch.inf), dim=1)
    positive = (groups[:, None] == groups[None]) & ~itself
    pairs = positive.sum(dim=1)
    paired = pairs > 0
    if not paired.any():
        return vectors.sum() * 0  # with a gradient, so that every parameter has one
    pulled = log_share.masked_fill(~positive, 0).sum(dim=1)
    return -(pulled[paired] / pairs[paired]).mean()
