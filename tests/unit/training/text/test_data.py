"""Listings in batches of like length, and the weights of two towers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lookalike.model.text import batch_of
from training.text.data import OfLikeLength, TextDataset, Texts, collate
from training.text.fusion import fit_fusion

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


def test_the_tower_that_tells_more_weighs_more() -> None:
    dice = np.random.default_rng(7)
    labels = dice.integers(0, 13, 2000)
    truth = np.eye(13, dtype=np.float32)[labels]

    def says(strength: float) -> np.ndarray:
        noise = dice.normal(0, 1, truth.shape)
        return (strength * truth + noise).astype(np.float32)

    weak, strong = says(1), says(3)
    fusion = fit_fusion(weak, strong, labels)
    # Of logits with noise of a unit's deviation, these weights are the likelihood's.
    assert fusion.photos == pytest.approx(1, abs=0.2)
    assert fusion.words == pytest.approx(3, abs=0.4)
    together = fusion(weak, strong)
    right = [(logits.argmax(1) == labels).mean() for logits in (weak, strong, together)]
    assert right == sorted(right)
