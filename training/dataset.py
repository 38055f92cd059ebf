"""Datasets of prepared photos as tensors, single or in pairs of one listing.

Pixels stay uint8 until the network normalises them. With frozen layers, a photo can be represented
by its cached activations at the last of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from lookalike.catalogue.photo_files import photo_path
from lookalike.model.preprocessing import letterbox
from training.prepare import Prepared

Transform = Callable[[Tensor], Tensor]
Values = Sequence[NDArray[np.floating[Any]]]


def load_pixels(prepared: Prepared, sha256: str, size: int) -> NDArray[np.uint8]:
    """Loads a prepared photo as uint8 of shape (size, size, 3)."""
    with Image.open(photo_path(prepared.image_folder, sha256)) as image:
        return np.array(letterbox(image.convert("RGB"), size))


class PhotoDataset(Dataset[tuple[Tensor, int]]):
    """Photos' pixels and labels.

    Args:
        prepared: The data set.
        photos: The rows to use, columns sha256 and label.
        size: Side of the pixels without a transform.
        transform: Augmentation of photos as stored, uint8 of shape (side, side, 3); it decides
            the size. None for evaluation.
    """

    def __init__(
        self,
        prepared: Prepared,
        photos: pd.DataFrame,
        size: int,
        transform: Transform | None = None,
    ) -> None:
        self._prepared = prepared
        self._sha256 = photos["sha256"].tolist()
        self._labels = photos["label"].tolist()
        self._size = size if transform is None else prepared.image_size
        self._transform = transform

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        pixels = torch.from_numpy(load_pixels(self._prepared, self._sha256[row], self._size))
        if self._transform is not None:
            pixels = self._transform(pixels)
        return pixels, self._labels[row]


class CachedFeatureDataset(Dataset[tuple[Tensor, int]]):
    """Cached activations of photos, of a random view at each access, and their labels.

    Args:
        views: Activations in one or more views, one row per photo.
        labels: The photos' labels.
        mirrored: Flip half of the maps left to right, which approximates the activations of the
            mirrored photo.
    """

    def __init__(
        self, views: Sequence[Values], labels: Sequence[int], *, mirrored: bool = False
    ) -> None:
        self._views = views
        self._labels = labels
        self._mirrored = mirrored

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        view = int(torch.randint(len(self._views), ())) if len(self._views) > 1 else 0
        values = torch.from_numpy(np.array(self._views[view][row], np.float32))
        if self._mirrored and values.ndim == 3 and torch.rand(()) < 0.5:
            values = values.flip(2)
        return values, self._labels[row]


class PairDataset(Dataset[tuple[Tensor, int, int]]):
    """Pairs of photos of one listing with its label and number, for contrastive losses.

    Draws two of more than two photos at each access; a single photo is paired with itself.

    Args:
        photos: Inputs and labels, one per photo.
        listings: The listing of each of them.
    """

    def __init__(self, photos: Dataset[tuple[Tensor, int]], listings: pd.Series) -> None:
        self._photos = photos
        self._rows = list(listings.groupby(listings).indices.values())

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, listing: int) -> tuple[Tensor, int, int]:
        rows = self._rows[listing]
        first, second = torch.randperm(max(2, len(rows)))[:2].tolist()
        (one, label), (other, _) = (self._photos[rows[n % len(rows)]] for n in (first, second))
        return torch.stack([one, other]), label, listing
