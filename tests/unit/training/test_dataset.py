"""Photos as tensors: one by one, in pairs of a listing, and as kept values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader, TensorDataset

from training.config import TrainConfig
from training.dataset import CachedFeatureDataset, PairDataset, PhotoDataset, load_pixels
from training.prepare import load_prepared
from training.trainer import Hardware


def test_the_data_set_serves_photos_as_the_network_takes_them(data: Path) -> None:
    prepared = load_prepared(data)
    photos = prepared.photos[:5]
    served = PhotoDataset(prepared, photos, 48)
    pixels, label = served[3]

    assert len(served) == 5
    assert (pixels.shape, pixels.dtype) == ((48, 48, 3), torch.uint8)
    assert label == photos["label"].iloc[3]
    expected = load_pixels(prepared, photos["sha256"].iloc[3], 48)
    np.testing.assert_array_equal(pixels.numpy(), expected)
    stored = load_pixels(prepared, photos["sha256"].iloc[3], prepared.image_size)
    flipped, _ = PhotoDataset(prepared, photos, 48, lambda tensor: tensor.flip(0))[3]
    np.testing.assert_array_equal(flipped.numpy(), stored[::-1])


def test_an_epoch_serves_two_photos_of_each_listing_or_one_twice() -> None:
    listings = pd.Series(list("abacba"), index=range(50, 56))
    photos = TensorDataset(torch.arange(6), torch.tensor([0, 1, 0, 2, 1, 0]))
    pairs = PairDataset(photos, listings)
    torch.manual_seed(3)
    drawn = [pairs[number] for _ in range(40) for number in range(len(pairs))]

    assert len(pairs) == 3
    seen: dict[int, set[tuple[int, ...]]] = {}
    for inputs, label, number in drawn:
        assert label == number, "a, b and c come in the order of their labels here"
        seen.setdefault(number, set()).add(tuple(inputs.tolist()))
    assert seen[0] == {(0, 2), (2, 0), (0, 5), (5, 0), (2, 5), (5, 2)}
    assert seen[1] == {(1, 4), (4, 1)}
    assert seen[2] == {(3, 3)}


def test_kept_values_come_in_any_of_their_views_and_some_mirrored() -> None:
    maps = np.arange(2 * 2 * 1 * 2, dtype=np.float16).reshape(2, 2, 1, 2)
    served = CachedFeatureDataset([maps[0][None], maps[1][None]], [4], mirrored=True)
    torch.manual_seed(5)
    drawn = [served[0] for _ in range(200)]

    assert {label for _, label in drawn} == {4}
    assert {values.dtype for values, _ in drawn} == {torch.float32}
    seen = [tuple(values.flatten().tolist()) for values, _ in drawn]
    counts = {values: seen.count(values) for values in seen}
    assert set(counts) == {(0, 1, 2, 3), (1, 0, 3, 2), (4, 5, 6, 7), (5, 4, 7, 6)}
    assert min(counts.values()) > 25


def test_workers_serve_the_same_photos(data: Path, config: TrainConfig) -> None:
    options = Hardware(workers=1).loader_options()
    prepared = load_prepared(data)
    served = PhotoDataset(prepared, prepared.photos[:6], 32)
    alone = [pixels for pixels, _ in DataLoader(served, 3)]
    helped = [pixels for pixels, _ in DataLoader(served, 3, **options)]

    assert all(torch.equal(one, other) for one, other in zip(alone, helped, strict=True))
