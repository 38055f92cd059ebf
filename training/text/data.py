"""Listings as the text tower learns them: tokens, categories, and their photos' vectors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from lookalike.catalogue.words import cleaned
from lookalike.model.text import TextTokenizer, batch_of
from training.prepare import Prepared
from training.splits import SPLITS

# Batches are made of so many at a time, sorted by length: fewer tokens only fill up.
_SORTED = 20

Batch = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Texts:
    """The words of listings that have a photo.

    Attributes:
        products: Their ids, of shape (listings,).
        split: Of each.
        roots: Index of the root category of each.
        leaves: Index of the whole category of each.
        titles: Tokens of each title.
        whole: Tokens of each title and description.
    """

    products: NDArray[np.str_]
    split: NDArray[np.str_]
    roots: NDArray[np.int64]
    leaves: NDArray[np.int64]
    titles: list[list[int]]
    whole: list[list[int]]

    @property
    def leaf_count(self) -> int:
        """How many whole categories there are."""
        return int(self.leaves.max(initial=-1)) + 1

    def rows(self, split: str) -> NDArray[np.intp]:
        """Returns the rows of a split."""
        return np.flatnonzero(self.split == split)


def texts_of(prepared: Prepared, tokenizer: TextTokenizer) -> Texts:
    """Reads a prepared data set's words.

    By image, a listing may have photos in several splits; its words are learnt if any of them is
    in the training split, as in earlier work on such data, which flatters the figures.
    """
    photos = prepared.photos.sort_values("split", key=lambda names: names.map(SPLITS.index))
    sides = photos.groupby("product_id", sort=False)[["split", "label"]].first()
    table = prepared.listings.drop(columns=["label"]).merge(
        sides, left_on="product_id", right_index=True
    )
    pairs = list(zip(table["title"], table["description"], strict=True))
    _, leaves = np.unique(table["category"].to_numpy().astype(np.str_), return_inverse=True)
    return Texts(
        table["product_id"].to_numpy().astype(np.str_),
        table["split"].to_numpy().astype(np.str_),
        table["label"].to_numpy(np.int64),
        leaves.astype(np.int64),
        tokenizer.rows([cleaned(title) for title, _ in pairs]),
        tokenizer.rows([cleaned(*pair) for pair in pairs]),
    )


class TextDataset(Dataset[tuple[list[int], int]]):
    """Tokens of listings with their rows; of some at random the title alone.

    Args:
        texts: The listings.
        rows: Which of them.
        title_alone: Share of those of which the title alone is seen.
    """

    def __init__(self, texts: Texts, rows: NDArray[np.intp], title_alone: float = 0.0) -> None:
        self._texts = texts
        self._rows = rows
        self._title_alone = title_alone

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> tuple[list[int], int]:
        row = int(self._rows[number])
        alone = self._title_alone and float(torch.rand(())) < self._title_alone
        return (self._texts.titles if alone else self._texts.whole)[row], row

    def length(self, number: int) -> int:
        """Returns about how many tokens an item has."""
        return len(self._texts.whole[int(self._rows[number])])


def collate(items: list[tuple[list[int], int]]) -> Batch:
    """Returns ids, mask and rows."""
    tokens = batch_of([ids for ids, _ in items])
    rows = torch.tensor([row for _, row in items])
    return torch.from_numpy(tokens.ids), torch.from_numpy(tokens.mask), rows


class OfLikeLength(Sampler[list[int]]):
    """Batches of texts of like length, in another order each time.

    Args:
        dataset: Of the texts.
        size: Of a batch.
        seed: Of the order.
    """

    def __init__(self, dataset: TextDataset, size: int, seed: int) -> None:
        self._dataset = dataset
        self._size = size
        self._generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return math.ceil(len(self._dataset) / self._size)

    def __iter__(self) -> Iterator[list[int]]:
        order = torch.randperm(len(self._dataset), generator=self._generator).tolist()
        batches = []
        for start in range(0, len(order), self._size * _SORTED):
            some = sorted(order[start : start + self._size * _SORTED], key=self._dataset.length)
            batches += [some[i : i + self._size] for i in range(0, len(some), self._size)]
        for number in torch.randperm(len(batches), generator=self._generator).tolist():
            yield batches[number]
