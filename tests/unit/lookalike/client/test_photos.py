"""Photos in every form that they may have."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lookalike.catalogue.images import ImageLimits, decode
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


def filled(mode: str, *, top: int = 200) -> Image.Image:
    """An image of any mode of Pillow's, of random values; those of greys reach `top`."""
    random = np.random.default_rng(5)
    if mode in {"I", "F"}:
        wide = random.uniform(0, top, (30, 40))
        return Image.fromarray(wide.astype(np.int32 if mode == "I" else np.float32))
    if mode.startswith("I;16"):
        image = Image.new(mode, (40, 30))
        image.frombytes(random.integers(0, top, 1200).astype("<u2").tobytes())
        return image
    if mode in {"P", "PA"}:
        return filled("RGB").convert("P").convert(mode)
    image = Image.new(mode, (40, 30))
    image.frombytes(random.integers(0, 255, len(image.tobytes()), np.uint8).tobytes())
    return image


def seen(encoded: bytes) -> Any:
    """What the embedder sees."""
    return np.asarray(decode(encoded, ImageLimits()))


# What no file holds is the same as in the mode that a file would hold it in.
HELD_AS = {"HSV": "RGB", "La": "LA", "RGBa": "RGBA"}


@pytest.mark.parametrize("top", [200, 60_000])
@pytest.mark.parametrize("mode", Image.MODES)
def test_an_image_of_every_mode_of_pillow_is_seen_as_the_file_of_it(
    tmp_path: Path, mode: str, top: int
) -> None:
    image = filled(mode, top=top)
    held = image.convert(HELD_AS[mode]) if mode in HELD_AS else image
    if mode == "I;16N":  # which Pillow can neither save nor convert
        held = Image.frombytes("I;16", image.size, image.tobytes())
    held.save(tmp_path / "file.tif")
    by_path = seen(read_photo(tmp_path / "file.tif"))

    assert by_path.std() > 10 or (top == 200 and "16" in mode), "there is something to see"
    assert np.array_equal(seen(read_photo(image)), by_path)
    with Image.open(tmp_path / "file.tif") as opened:
        assert np.array_equal(seen(read_photo(opened)), by_path)


@pytest.mark.parametrize("mode", Image.MODES)
def test_an_image_of_every_mode_is_upright_and_keeps_its_profile(mode: str) -> None:
    image = filled(mode)
    image.getexif()[0x0112] = 6
    image.info["icc_profile"] = b"a profile"
    with Image.open(io.BytesIO(read_photo(image))) as sent:
        assert sent.size == (30, 40)
        assert sent.getexif().get(0x0112, 1) == 1
        assert sent.info["icc_profile"] == b"a profile"


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "LA", "PA", "RGBA"])
def test_what_is_transparent_stays_so(tmp_path: Path, mode: str) -> None:
    image = filled(mode)
    if mode in {"L", "P", "RGB"}:
        image.info["transparency"] = image.getpixel((3, 3))
    file = tmp_path / "file.png"
    image.convert("RGBA" if mode == "PA" else mode).save(file)

    assert np.array_equal(seen(read_photo(image)), seen(file.read_bytes()))


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
