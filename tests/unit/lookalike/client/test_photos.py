"""Photos in every form that they may have."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lookalike.client.photos import read_photo


def test_photo_in_every_form_is_the_same_photo(tmp_path: Path, draw_photo: Any) -> None:
    photo = draw_photo(1)
    path = tmp_path / "photo.jpg"
    path.write_bytes(photo)
    with path.open("rb") as file:
        forms = [photo, bytearray(photo), memoryview(photo), path, str(path), io.BytesIO(photo)]
        assert {read_photo(form) for form in (*forms, file)} == {photo}


def test_pixels_are_sent_without_loss_and_upright(draw_photo: Any) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    image = Image.open(io.BytesIO(draw_photo(1, exif=exif)))
    upright = Image.open(io.BytesIO(read_photo(image)))
    assert upright.format == "PNG"
    assert upright.size == image.size[::-1]
    pixels = np.asarray(upright)
    again = Image.open(io.BytesIO(read_photo(pixels)))
    assert np.array_equal(np.asarray(again), pixels)
    assert read_photo(image.convert("CMYK"))


@pytest.mark.parametrize(
    "photo", [3, io.StringIO("text"), np.zeros((2, 2, 3)), np.zeros((2, 2), np.uint8)]
)
def test_what_is_no_photo_is_a_type_error(photo: Any) -> None:
    with pytest.raises(TypeError):
        read_photo(photo)


def test_missing_file_is_the_error_that_it_always_is(client: Any, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        client.classify(tmp_path / "none.jpg")
    with pytest.raises(FileNotFoundError):
        client.embed(str(tmp_path / "none.jpg"))
