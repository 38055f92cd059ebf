"""The text tower as a torch module, for training and export."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from lookalike.model.bundle import Output
from lookalike.model.engines.torch_word_counts import WordCounts

HIDDEN = 512  # of the heads of embeddings


class TextNetwork(nn.Module):
    """A language model, the mean over its tokens, and a head for each output.

    Logits are those of its head plus those of a linear model of the words, which gives 0 until it
    is fitted.

    Input: ids and mask, int64 of shape (N, length). Output: float32 of shape (N, dimension) by
    name.

    Args:
        encoder: A BERT-like model of `transformers`.
        outputs: Those of the photos' network.
        dropout: Of the heads' inputs, while training.
    """

    def __init__(self, encoder: Any, outputs: tuple[Output, ...], dropout: float = 0.1) -> None:
        super().__init__()
        self.encoder = encoder
        self.outputs = outputs
        self.dropout = nn.Dropout(dropout)
        width = int(encoder.config.hidden_size)
        self.heads = nn.ModuleDict({output.name: _head(width, output) for output in outputs})
        self.counts = nn.ModuleDict(
            {o.name: WordCounts(o.dimension) for o in outputs if o.kind != "embedding"}
        )

    def forward(self, ids: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Returns every output by name."""
        values = self.heads_of(self.pooled(ids, mask))
        for name, counts in self.counts.items():
            values[name] = values[name] + counts(ids, mask)
        return values

    def pooled(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Returns the mean over the tokens, of shape (N, width)."""
        hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        counted = mask[..., None].to(hidden.dtype)
        mean: Tensor = (hidden * counted).sum(dim=1) / counted.sum(dim=1).clamp(min=1)
        return mean

    def heads_of(self, pooled: Tensor) -> dict[str, Tensor]:
        """Returns every output for pooled tokens, without the linear model of the words."""
        pooled = self.dropout(pooled)
        values = {output.name: self.heads[output.name](pooled) for output in self.outputs}
        for output in self.outputs:
            if output.kind == "embedding":
                values[output.name] = nn.functional.normalize(values[output.name], dim=1)
        return values


def _head(width: int, output: Output) -> nn.Module:
    if output.kind != "embedding":
        return nn.Linear(width, output.dimension)
    # Photos' features are not linear in words.
    return nn.Sequential(
        nn.Linear(width, HIDDEN), nn.GELU(), nn.Dropout(0.2), nn.Linear(HIDDEN, output.dimension)
    )
