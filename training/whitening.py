"""Whitens embeddings by the covariance within listings, after training.

Directions in which two photos of one thing differ much say little about which thing it is, and are
scaled down; directions in which they hardly differ are scaled up. This is the whitening part of the
projection that Mikolajczyk & Matas 2007, "Improving Descriptors for Fast Tree Matching by Optimal
Linear Projection" (ICCV), learn from matching pairs, and Radenović, Tolias & Chum 2018,
"Fine-tuning CNN Image Retrieval with No Human Annotation" (arXiv:1711.02512), use for photos. Their
subsequent rotation changes no distance. Embedding heads are linear, so the projection is folded
into their weights and costs nothing to serve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lookalike.model.engines.torch_network import Network


@dataclass(frozen=True)
class Whitened:
    """The result of whitening.

    Attributes:
        pairs: Number of pairs of photos of one listing.
        done: The whitened embeddings.
        left: Embeddings with more dimensions than pairs, left unchanged: their estimated
            covariance would be mostly noise.
    """

    pairs: int
    done: tuple[str, ...]
    left: tuple[str, ...]


def whiten_embeddings(
    network: Network, pooled: NDArray[np.float32], listings: Sequence[str], shrinkage: float
) -> Whitened:
    """Whitens the embeddings of a network in place.

    Args:
        network: In evaluation mode, so that its outputs are those of serving.
        pooled: Pooled features of training photos, of shape (photos, 3072).
        listings: The listing of each.
        shrinkage: Above 0, to 1; see `projection`.
    """
    with torch.inference_mode():
        outputs = network.heads_of(torch.from_numpy(pooled))
    pairs = len(listings) - len(set(listings))
    done: list[str] = []
    left: list[str] = []
    for output in network.outputs:
        if output.kind != "embedding":
            continue
        if pairs < output.dimension:
            left.append(output.name)
            continue
        covariance = within_listings(outputs[output.name].numpy(), listings)
        _fold(network.heads[output.name], projection(covariance, shrinkage))
        done.append(output.name)
    return Whitened(pairs, tuple(done), tuple(left))


def within_listings(vectors: NDArray[np.float32], listings: Sequence[str]) -> NDArray[np.float64]:
    """Returns the covariance of vectors about the mean of their listing.

    A listing of n photos counts as n - 1 pairs, the number of independent differences; for two
    photos this is half the covariance of their difference.

    Args:
        vectors: Of shape (photos, dimension).
        listings: The listing of each photo.
    """
    _, group, photos = np.unique(np.asarray(listings), return_inverse=True, return_counts=True)
    rows = vectors.astype(np.float64)
    means = np.zeros((len(photos), rows.shape[1]))
    np.add.at(means, group, rows)
    rows -= (means / photos[:, None])[group]
    pairs = len(rows) - len(photos)
    covariance: NDArray[np.float64] = rows.T @ rows / max(1, pairs)
    return covariance


def projection(covariance: NDArray[np.float64], shrinkage: float) -> NDArray[np.float64]:
    """Returns the whitening matrix: the symmetric inverse square root of the covariance.

    No mean is subtracted: the head, which is followed by normalisation, stays linear.

    Args:
        covariance: Of shape (dimension, dimension).
        shrinkage: Shrinkage towards the mean variance, above 0, to 1. Few pairs underestimate small
            variances, and dividing by them would amplify noise, of photos as of arithmetic in bf16
            and int8.
    """
    mean = np.trace(covariance) / len(covariance)
    if mean <= 0:  # the photos of each listing are all alike
        return np.eye(len(covariance))
    values, directions = np.linalg.eigh(covariance / mean)
    variances = (1 - shrinkage) * np.maximum(values, 0) + shrinkage
    projected: NDArray[np.float64] = (directions / np.sqrt(variances)) @ directions.T
    return projected


def _fold(head: nn.Module, projected: NDArray[np.float64]) -> None:
    """Multiplies the weights of a linear head by the matrix."""
    *_, linear = head.children()
    assert isinstance(linear, nn.Linear)
    matrix = torch.from_numpy(projected)
    with torch.no_grad():
        linear.weight.copy_(matrix @ linear.weight.double())
        linear.bias.copy_(matrix @ linear.bias.double())
