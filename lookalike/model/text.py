"""A listing's words as the tokens of a text tower."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

# Lengths of batches are multiples of it: engines prepare for each length that they meet.
_STEP = 16


@dataclass(frozen=True)
class Tokens:
    """A batch of texts, each filled up to the longest.

    Attributes:
        ids: int64 of shape (N, length).
        mask: int64 of shape (N, length); 1 for tokens, 0 for what fills up.
    """

    ids: NDArray[np.int64]
    mask: NDArray[np.int64]


class TextTokenizer:
    """Splits words into a tower's tokens.

    Args:
        file: `tokenizer.json` of Hugging Face's `tokenizers`.
        max_tokens: Most of a text, with those at its ends.
    """

    def __init__(self, file: Path, max_tokens: int) -> None:
        self._tokenizer = Tokenizer.from_file(str(file))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)

    def rows(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns the ids of each text."""
        found = self._tokenizer.encode_batch_fast(list(texts))
        return [encoding.ids for encoding in found]

    def row(self, text: str) -> tuple[list[int], bool]:
        """Returns the ids of a text, and whether there were more."""
        encoding = self._tokenizer.encode(text)
        return encoding.ids, bool(encoding.overflowing)


def batch_of(rows: Sequence[Sequence[int]]) -> Tokens:
    """Returns texts of several lengths as a batch; there must be at least one."""
    longest = max(map(len, rows))
    shape = len(rows), -(-max(1, longest) // _STEP) * _STEP
    ids, mask = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for row, known in enumerate(rows):
        ids[row, : len(known)] = known
        mask[row, : len(known)] = 1
    return Tokens(ids, mask)
