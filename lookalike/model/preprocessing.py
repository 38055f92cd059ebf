"""From a photo's bytes to the network's pixels, for serving and training alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lookalike.catalogue.images import Header, ImageLimits, draw, fitted, survey


def preprocess(data: bytes, size: int, limits: ImageLimits) -> NDArray[np.uint8]:
    """Returns a photo as the network takes it.

    Args:
        data: Encoded photo.
        size: Side of the square, in pixels.
        limits: What is refused.

    Returns:
        uint8 of shape (size, size, 3), RGB, letterboxed on black.

    Raises:
        InvalidImageError: The bytes are no photo that can be decoded.
        ImageTooLargeError: A limit is exceeded.
    """
    return preprocess_surveyed(survey(data, limits), size)


def preprocess_surveyed(photo: Header, size: int) -> NDArray[np.uint8]:
    """Returns what `preprocess` does, for a photo that was surveyed."""
    return np.asarray(letterbox(draw(photo, fit=size), size))


def letterbox(image: Image.Image, size: int) -> Image.Image:
    """Returns the image scaled to fit a square of `size` pixels, centred on black."""
    if image.size == (size, size):
        return image
    width, height = fitted(image.size, size)
    resized = image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
    square = Image.new("RGB", (size, size))
    square.paste(resized, ((size - width) // 2, (size - height) // 2))
    return square
