"""Fits the linear model of words that a text tower's logits are added to.

Both err elsewhere: their sum is right more often than either. The linear model is fitted to the
training listings, by their titles too, as if those were listings of their own; how much each of
both counts is fitted to the likelihood of the validation listings.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from lookalike.model.engines.torch_text_network import TextNetwork
from lookalike.model.engines.torch_word_counts import BUCKETS, buckets_of
from training.calibration import likeliest_weights
from training.config import CATEGORY_OUTPUT
from training.text.data import Texts

_ITERATIONS = 200


@dataclass(frozen=True)
class Counted:
    """How the tower and the linear model were added.

    Attributes:
        tower: What the tower's logits were multiplied by.
        counts: Likewise the linear model's.
        tower_accuracy: Of the tower alone, on validation listings.
        counts_accuracy: Of the linear model alone.
        accuracy: Of their sum.
    """

    tower: float
    counts: float
    tower_accuracy: float
    counts_accuracy: float
    accuracy: float


def fit_word_counts(
    network: TextNetwork,
    texts: Texts,
    said: NDArray[np.float32],
    *,
    inverse: float,
    spread: float,
) -> Counted | None:
    """Fits the linear model and adds it to the network's logits, in place.

    Args:
        network: A trained tower without one.
        texts: All listings.
        said: The tower's logits of the validation listings, of shape (listings, classes).
        inverse: Inverse of the strength of regularisation.
        spread: Standard deviation that the sum is to have.

    Returns:
        None if the training listings are of one category; the network then stays as it is.
    """
    learnt, chosen = texts.rows("train"), texts.rows("validation")
    if len(np.unique(texts.roots[learnt])) < 2:
        return None
    whole = _counts(texts.whole)
    held = np.asarray((whole[learnt] > 0).sum(axis=0)).ravel()
    # As scikit-learn's TfidfVectorizer weighs words; what no training listing holds counts too, so
    # that a text of unknown words has small logits.
    rarity = np.log((1 + len(learnt)) / (1 + held)) + 1
    whole, titles = _weighed(whole, rarity), _weighed(_counts(texts.titles), rarity)
    model = LogisticRegression(C=inverse, max_iter=_ITERATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(
            sparse.vstack([whole[learnt], titles[learnt]]),
            np.concatenate([texts.roots[learnt], texts.roots[learnt]]),
        )
    weights, bias = _of_all_classes(model, said.shape[1])
    counted = (whole[chosen] @ weights + bias).astype(np.float32)
    labels = texts.roots[chosen]
    tower, counts = likeliest_weights([said, counted], labels)
    # How sure the sum is, its temperature says; the index compares it with photos.
    scale = spread / float((tower * said + counts * counted).std())
    tower, counts = tower * scale, counts * scale
    _write(network, tower, (counts * weights, counts * bias), rarity)

    def accuracy(logits: NDArray[np.float32]) -> float:
        return float((logits.argmax(axis=1) == labels).mean())

    both = np.float32(tower) * said + np.float32(counts) * counted
    return Counted(tower, counts, accuracy(said), accuracy(counted), accuracy(both))


def _counts(rows: list[list[int]]) -> sparse.csr_matrix:
    """Returns how often each text holds what falls into each bucket."""
    found = []
    for ids in rows:
        row = torch.tensor([ids], dtype=torch.int64)
        found.append(buckets_of(row, torch.ones_like(row))[0][0].numpy())
    lengths = [len(buckets) for buckets in found]
    owners = np.repeat(np.arange(len(rows)), lengths)
    shape = (len(rows), BUCKETS)
    counts = sparse.csr_matrix((np.ones(sum(lengths)), (owners, np.concatenate(found))), shape)
    counts.sum_duplicates()
    return counts


def _weighed(counts: sparse.csr_matrix, rarity: NDArray[np.float64]) -> sparse.csr_matrix:
    """Returns what `WordCounts` multiplies its weights by."""
    length = np.sqrt(np.maximum(counts @ rarity**2, 1e-6))
    return (sparse.diags(1 / length) @ counts @ sparse.diags(rarity)).tocsr()


def _of_all_classes(
    model: LogisticRegression, classes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns weights of shape (buckets, classes) and a bias.

    A category without a training listing gets the lowest bias, and no weight.
    """
    known, bias = model.coef_, model.intercept_
    if len(known) == 1:  # of two classes scikit-learn keeps the difference
        known, bias = np.concatenate([-known, known]) / 2, np.concatenate([-bias, bias]) / 2
    weights = np.zeros((known.shape[1], classes))
    biases = np.full(classes, bias.min())
    weights[:, model.classes_], biases[model.classes_] = known.T, bias
    return weights, biases


def _write(
    network: TextNetwork,
    tower: float,
    counts: tuple[NDArray[np.float64], NDArray[np.float64]],
    rarity: NDArray[np.float64],
) -> None:
    head, wide = network.heads[CATEGORY_OUTPUT], network.counts[CATEGORY_OUTPUT]
    with torch.no_grad():
        for values in head.parameters():
            values.mul_(tower)
        for name, found in (("weights", counts[0]), ("bias", counts[1]), ("rarity", rarity)):
            getattr(wide, name).copy_(torch.from_numpy(found))
