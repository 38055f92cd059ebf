"""Prepared photos as tensors, alone or in pairs of one listing.

Pixels stay uint8 until the network normalises them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from embedder_service.preprocessing import letterbox
from training.images import photo_path
from training.prepare import Prepared

Transform = Callable[[Tensor], Tensor]


def load_pixels(prepared: Prepared, sha256: str, size: int) -> NDArray[np.uint8]:
    """Returns a prepared photo, uint8 of shape (size, size, 3)."""
    with Image.open(photo_path(prepared.image_folder, sha256)) as image:
        return np.array(letterbox(image.convert("RGB"), size))


class PhotoDataset(Dataset[tuple[Tensor, int]]):
    """Photos' pixels and labels.

    Args:
        prepared: The data set.
        photos: The rows of it to serve, columns sha256 and label.
        size: Side of the network's input, in pixels.
        transform: Augmentation, from and to uint8 of shape (size, size, 3); none for evaluation.
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
        self._size = size
        self._transform = transform

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        pixels = torch.from_numpy(load_pixels(self._prepared, self._sha256[row], self._size))
        if self._transform is not None:
            pixels = self._transform(pixels)
        return pixels, self._labels[row]


class PairDataset(Dataset[tuple[Tensor, int, int]]):
    """Two photos of each listing, its label, and its number: what contrastive losses are fed.

    Of more than two photos each epoch draws two; of one photo there are two views.

    Args:
        photos: Inputs and labels, one a photo.
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


def mirrored(pixels: Tensor) -> Tensor:
    """Returns the photo, half of the time mirrored left to right."""
    return pixels.flip(1) if torch.rand(()) < 0.5 else pixels
