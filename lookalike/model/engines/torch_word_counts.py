"""A linear model of which words a text holds, as a torch module beside a language model.

A language model fine-tuned on few listings knows what words mean, and forgets which of them sellers
use for what; a linear model of the words themselves knows that, and errs elsewhere.
"""

from __future__ import annotations

from torch import Tensor, cat, nn, zeros

BUCKETS = 131_071  # a prime; the word pieces and pairs of 4,443 listings fill three in five
# Engines may compute these integers as floats of 32 bits: what is below 2^24 stays exact.
_IDS = 32_749  # ids are taken modulo it
_FIRST, _SECOND = 509, 127


class WordCounts(nn.Module):
    """Logits by word pieces and pairs of neighbours, counted in buckets, weighed by rarity.

    As TF-IDF with a linear classifier, on hashed features (Weinberger et al. 2009,
    arXiv:0902.2206). Gives 0 until its weights are fitted.

    Input: ids and mask, int64 of shape (N, length). Output: float32 of shape (N, classes).

    Args:
        classes: Number of logits.
    """

    rarity: Tensor
    weights: Tensor
    bias: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        # Buffers, not parameters: they are fitted at once, by another method than the rest.
        self.register_buffer("rarity", zeros(BUCKETS))
        self.register_buffer("weights", zeros(BUCKETS, classes))
        self.register_buffer("bias", zeros(classes))

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Returns the logits."""
        where, counted = buckets_of(ids, mask)
        rare = self.rarity[where] * counted.to(self.rarity.dtype)
        length = rare.square().sum(dim=1, keepdim=True).clamp(min=1e-6).sqrt()
        logits: Tensor = (self.weights[where] * rare[..., None]).sum(dim=1) / length + self.bias
        return logits


def buckets_of(ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the bucket of each word piece and each pair, and 1 where there is one, 0 elsewhere.

    Args:
        ids: int64 of shape (N, length).
        mask: Likewise; 1 for tokens.

    Returns:
        Both int64 of shape (N, 2 x length - 1).
    """
    first = ids % _IDS
    pairs = (first[:, :-1] * _FIRST % BUCKETS * _SECOND + first[:, 1:]) % BUCKETS
    return cat([ids % BUCKETS, pairs], dim=1), cat([mask, mask[:, 1:]], dim=1)
