"""Listings in batches of like length, and in splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lookalike.model.text import TextTokenizer, batch_of
from training.prepare import Prepared
from training.text.data import OfLikeLength, TextDataset, Texts, collate, texts_of

COUNT = 100


@pytest.fixture
def texts() -> Texts:
    numbers = np.arange(COUNT)
    return Texts(
        numbers.astype(np.str_), np.where(numbers < 90, "train", "test"), numbers % 13, numbers % 3,
        [[1]] * COUNT, [[2] * (1 + row % 50) for row in range(COUNT)],
    )  # fmt: skip


def test_every_listing_is_in_one_batch_in_another_order_each_time(texts: Texts) -> None:
    dataset = TextDataset(texts, texts.rows("train"))
    batches = OfLikeLength(dataset, 8, seed=7)
    first, second = list(batches), list(batches)
    assert len(first) == len(batches) == 12
    for order in (first, second):
        assert sorted(number for batch in order for number in batch) == list(range(90))
    assert first != second
    filled = [collate([dataset[number] for number in batch])[0] for batch in first]
    assert sum(ids.numel() for ids in filled) < 1.5 * sum(map(len, texts.whole[:90]))


def test_of_some_the_title_alone_is_seen(texts: Texts) -> None:
    torch.manual_seed(1)
    dataset = TextDataset(texts, texts.rows("train"), title_alone=0.5)
    alone = sum(dataset[number][0] == [1] for number in range(90))
    assert 30 < alone < 60
    ids, mask, rows = collate([dataset[3], dataset[8]])
    assert rows.tolist() == [3, 8]
    assert ids.shape == mask.shape == (2, 16)


def test_shorter_texts_are_filled_up_and_masked() -> None:
    tokens = batch_of([[5], [6] * 17, []])
    assert tokens.ids.shape == (3, 32)
    assert tokens.mask.sum(axis=1).tolist() == [1, 17, 0]
    assert batch_of([[]]).ids.shape == (1, 16)


def test_a_listing_of_a_training_photo_is_learnt_though_another_photo_is_judged(
    encoder: Path,
) -> None:
    photos = pd.DataFrame({
        "product_id": ["a", "a", "b", "b", "c"],
        "split": ["test", "train", "test", "validation", "test"],
        "label": [0, 0, 1, 1, 2],
    })  # fmt: skip
    listings = pd.DataFrame({
        "product_id": ["a", "b", "c"], "title": ["Lamp", "Desk", "Van"], "description": [""] * 3,
        "category": ["x", "y", "z"], "label": [0, 1, 2],
    })  # fmt: skip
    prepared = Prepared(Path(), listings, photos, ("x", "y", "z"), {})
    texts = texts_of(prepared, TextTokenizer(encoder / "tokenizer.json", 16))
    assert texts.split.tolist() == ["train", "validation", "test"]
    assert texts.roots.tolist() == [0, 1, 2]
