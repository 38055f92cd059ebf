"""The floor of finding photos by words: a frozen language model and a learnt projection.

The text tower is to find a listing's photos by its title better than vectors of a language model
that was never fine-tuned, brought to the photos' space by the best linear map.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lookalike.model.text import batch_of

_BATCH = 64
_STEPS = 300
_LISTINGS = 256  # of a step
_RATE = 5e-3
_SEED = 7


def sentence_vectors(encoder: Any, rows: list[list[int]]) -> NDArray[np.float32]:
    """Returns unit vectors of texts: the mean over their tokens, of shape (texts, width).

    Args:
        encoder: A BERT-like model of `transformers`.
        rows: Tokens of each text.
    """
    encoder = encoder.eval()
    found = np.zeros((len(rows), int(encoder.config.hidden_size)), np.float32)
    order = sorted(range(len(rows)), key=lambda row: len(rows[row]))
    with torch.inference_mode():
        for start in range(0, len(order), _BATCH):
            some = order[start : start + _BATCH]
            tokens = batch_of([rows[row] for row in some])
            ids, mask = torch.from_numpy(tokens.ids), torch.from_numpy(tokens.mask)
            hidden = encoder(input_ids=ids, attention_mask=mask).last_hidden_state
            counted = mask[..., None].to(hidden.dtype)
            mean = (hidden * counted).sum(dim=1) / counted.sum(dim=1).clamp(min=1)
            found[some] = nn.functional.normalize(mean, dim=1).numpy()
    return found


def fit_projection(
    words: NDArray[np.float32],
    photos: NDArray[np.float32],
    owners: NDArray[np.intp],
    temperature: float,
) -> NDArray[np.float32]:
    """Learns the linear map from words to photos that finds a listing's photos best.

    The loss is the text tower's: the share of a listing's own photos in a softmax over all.

    Args:
        words: Of training listings, of shape (listings, width).
        photos: Unit vectors of training photos, of shape (photos, dimension).
        owners: Row of each photo's listing, of shape (photos,).
        temperature: Of the softmax.

    Returns:
        Of shape (width, dimension).
    """
    dice = torch.Generator().manual_seed(_SEED)
    known, pool = torch.from_numpy(words), torch.from_numpy(photos)
    whose = torch.from_numpy(np.asarray(owners, np.int64))
    weights = torch.zeros(words.shape[1], photos.shape[1])
    nn.init.normal_(weights, std=words.shape[1] ** -0.5, generator=dice)
    weights.requires_grad_(True)
    optimizer = torch.optim.AdamW([weights], lr=_RATE, weight_decay=0.01)
    having = torch.unique(whose)
    for step in range(_STEPS):
        optimizer.param_groups[0]["lr"] = _RATE * (1 - step / _STEPS)
        rows = having[torch.randperm(len(having), generator=dice)[:_LISTINGS]]
        loss = _loss(projected(known[rows], weights), pool, rows[:, None] == whose, temperature)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    learnt: NDArray[np.float32] = weights.detach().numpy()
    return learnt


def projected(words: Tensor, weights: Tensor) -> Tensor:
    """Returns unit vectors in the photos' space."""
    return nn.functional.normalize(words @ weights, dim=1)


def _loss(words: Tensor, photos: Tensor, own: Tensor, temperature: float) -> Tensor:
    share = nn.functional.log_softmax(words @ photos.T / temperature, dim=1)
    return -share.masked_fill(~own, -torch.inf).logsumexp(dim=1).mean()
