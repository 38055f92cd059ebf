"""The contrastive loss."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def contrastive_loss(vectors: Tensor, groups: Tensor, temperature: float) -> Tensor:
    """Computes the supervised contrastive loss of Khosla et al. 2020 (arXiv:2004.11362, eq. 2).

    It pulls the directions of one group's vectors together and pushes those of other groups away.
    Groups are listings. A row alone in its group only pushes; without any pair the loss is 0.

    Args:
        vectors: float of shape (N, dimension).
        groups: int of shape (N,).
        temperature: A smaller one weighs near negatives more.
    """
    directions = functional.normalize(vectors.float(), dim=1)
    similarity = directions @ directions.T / temperature
    itself = torch.eye(len(groups), dtype=torch.bool, device=groups.device)
    log_share = functional.log_softmax(similarity.masked_fill(itself, -torch.inf), dim=1)
    positive = (groups[:, None] == groups[None]) & ~itself
    pairs = positive.sum(dim=1)
    paired = pairs > 0
    if not paired.any():
        return vectors.sum() * 0  # keeps a gradient for every parameter
    pulled = log_share.masked_fill(~positive, 0).sum(dim=1)
    return -(pulled[paired] / pairs[paired]).mean()
