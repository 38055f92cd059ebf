"""The network's pixels: a photo letterboxed into a square."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lookalike.catalogue.images import ImageLimits
from lookalike.model.preprocessing import letterbox, preprocess
from tests.photos import RED, encode

LIMITS = ImageLimits()
SIZE = 32


@pytest.mark.parametrize(
    ("size", "inside"),
    [
        ((64, 32), (0, 8, 32, 24)),
        ((32, 64), (8, 0, 24, 32)),
        ((32, 32), (0, 0, 32, 32)),
        ((8, 8), (0, 0, 32, 32)),
        ((1, 1), (0, 0, 32, 32)),
        ((8, 4), (0, 8, 32, 24)),
        ((1, 2000), (15, 0, 16, 32)),
        ((3000, 1), (0, 15, 32, 16)),
        ((33, 32), (0, 0, 32, 31)),
    ],
)
def test_letterbox_fits_the_photo_into_the_middle_on_black(
    size: tuple[int, int], inside: tuple[int, int, int, int]
) -> None:
    pixels = preprocess(encode(Image.new("RGB", size, RED), "PNG"), SIZE, LIMITS)
    expected = np.zeros((SIZE, SIZE, 3), np.uint8)
    left, top, right, bottom = inside
    expected[top:bottom, left:right] = RED
    np.testing.assert_array_equal(pixels, expected)


@given(st.integers(1, 400), st.integers(1, 400), st.integers(1, 64))
@settings(max_examples=60, deadline=None)
def test_letterbox_always_gives_a_square_that_the_longer_side_fills(
    width: int, height: int, size: int
) -> None:
    square = np.asarray(letterbox(Image.new("RGB", (width, height), RED), size))
    assert square.shape == (size, size, 3)
    # Pillow's weights are whole numbers, which over 400 pixels may miss the colour by one.
    filled = (np.abs(square.astype(int) - RED) <= 1).all(axis=2)
    assert filled.any(axis=0).all() or filled.any(axis=1).all()
    assert filled.any()
