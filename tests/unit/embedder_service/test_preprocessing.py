"""From bytes to pixels: what every kind of photo becomes, and what is refused."""

from __future__ import annotations

import io
import struct
import zlib
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from embedder_service import preprocessing
from embedder_service.preprocessing import ImageLimits, decode, letterbox, preprocess
from lookalike.errors import ImageTooLargeError, InvalidImageError, LookalikeError

LIMITS = ImageLimits()
SIZE = 32
RED, GREEN, BLUE, WHITE, BLACK = (
    (255, 0, 0),
    (0, 255, 0),
    (0, 0, 255),
    (255, 255, 255),
    (0, 0, 0),
)


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def quarters(size: tuple[int, int] = (64, 48)) -> Image.Image:
    """Red and green above, blue and white below."""
    image = Image.new("RGB", size, WHITE)
    pen, (width, height) = ImageDraw.Draw(image), size
    for colour, x, y in [(RED, 0, 0), (GREEN, 1, 0), (BLUE, 0, 1)]:
        left, top = x * width // 2, y * height // 2
        pen.rectangle((left, top, left + width // 2 - 1, top + height // 2 - 1), fill=colour)
    return image


def corners(pixels: NDArray[np.uint8]) -> list[tuple[int, ...]]:
    """Colours in the middle of the four quarters, above before below."""
    height, width, _ = pixels.shape
    at = [(height // 4, width // 4), (height // 4, 3 * width // 4)]
    at += [(3 * height // 4, width // 4), (3 * height // 4, 3 * width // 4)]
    return [tuple(int(v) for v in pixels[y, x]) for y, x in at]


def decoded(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(decode(data, LIMITS))


def assert_near(found: object, expected: object, tolerance: int = 3) -> None:
    difference = np.abs(np.asarray(found, np.int64) - np.asarray(expected, np.int64))
    assert difference.max() <= tolerance, found


@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("JPEG", {"quality": 95, "subsampling": 0}, 8),
        ("JPEG", {"quality": 95, "progressive": True}, 8),
        ("MPO", {"quality": 95, "save_all": True, "append_images": [quarters().rotate(90)]}, 8),
        ("PNG", {}, 0),
        ("PNG", {"interlace": 1}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("WEBP", {"quality": 95}, 40),
        ("GIF", {}, 0),
        ("BMP", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
    ],
)
def test_every_format_is_decoded_to_its_colours(
    kind: str, options: dict[str, Any], tolerance: int
) -> None:
    data = encode(quarters(), kind, **options)
    image = decode(data, LIMITS)
    assert (image.mode, image.size) == ("RGB", (64, 48))
    assert_near(corners(np.asarray(image)), [RED, GREEN, BLUE, WHITE], tolerance)
    pixels = preprocess(data, SIZE, LIMITS)
    assert (pixels.shape, pixels.dtype) == ((SIZE, SIZE, 3), np.uint8)


def test_first_frame_of_an_animation_is_taken() -> None:
    frames = {"save_all": True, "append_images": [Image.new("RGB", (8, 8), BLUE)]}
    for kind in ("GIF", "WEBP", "TIFF"):
        data = encode(Image.new("RGB", (8, 8), RED), kind, **frames)
        assert_near(decoded(data)[4, 4], RED, 3)


# What a viewer does to make each orientation upright, as operations on the upright photo undone.
STORED = {
    1: lambda image: image,
    2: lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    3: lambda image: image.transpose(Image.Transpose.ROTATE_180),
    4: lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    5: lambda image: image.transpose(Image.Transpose.TRANSPOSE),
    6: lambda image: image.transpose(Image.Transpose.ROTATE_90),
    7: lambda image: image.transpose(Image.Transpose.TRANSVERSE),
    8: lambda image: image.transpose(Image.Transpose.ROTATE_270),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_photo_is_turned_upright_as_its_exif_says(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(STORED[orientation](quarters()), kind, exif=exif, quality=95)
    image = decode(data, LIMITS)
    assert image.size == (64, 48)
    assert_near(corners(np.asarray(image)), [RED, GREEN, BLUE, WHITE], 40)
    # The scaled decode turns it too.
    upright = preprocess(encode(quarters(), kind, quality=95), SIZE, LIMITS)
    assert_near(corners(preprocess(data, SIZE, LIMITS)[4:28]), corners(upright[4:28]), 40)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # which tell of the damage
@pytest.mark.parametrize("damage", [b"Exif\0\0garbage", b"Exif\0\0MM\0*\0\0\0\x08\0\x09"])
def test_damaged_exif_does_not_make_a_good_photo_bad(damage: bytes) -> None:
    data = encode(quarters(), "JPEG", exif=damage, quality=95)
    assert_near(corners(decoded(data)), [RED, GREEN, BLUE, WHITE], 40)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb(kind: str) -> None:
    data = encode(quarters().convert("CMYK"), kind, quality=95)
    assert_near(corners(decoded(data)), [RED, GREEN, BLUE, WHITE], 40)


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "TIFF"])
def test_palette_becomes_rgb(kind: str) -> None:
    data = encode(quarters().quantize(4), kind)
    assert_near(corners(decoded(data)), [RED, GREEN, BLUE, WHITE])


def test_transparent_parts_become_white_and_half_transparent_ones_half_white() -> None:
    image = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    image.putpixel((1, 1), (*RED, 128))
    image.putpixel((2, 2), (*RED, 255))
    for kind in ("PNG", "TIFF"):
        pixels = decoded(encode(image, kind))
        assert_near(pixels[0, 0], WHITE, 0)
        assert_near(pixels[1, 1], (255, 127, 127), 1)
        assert_near(pixels[2, 2], RED, 0)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P"])
@pytest.mark.parametrize("kind", ["PNG"])
def test_colour_declared_transparent_becomes_white(mode: str, kind: str) -> None:
    image = Image.new("L", (4, 4), 0)
    image.putpixel((1, 1), 255 if mode == "1" else 100)
    image = image.convert(mode)
    if mode == "LA":
        image.putalpha(image.getchannel(0).point(lambda v: 255 if v else 0))
        data = encode(image, kind)
    else:
        data = encode(image, kind, transparency=image.getpixel((0, 0)))
    pixels = decoded(data)
    assert_near(pixels[0, 0], WHITE, 0)
    assert_near(pixels[1, 1], WHITE if mode == "1" else (100, 100, 100), 0)


def test_gif_with_transparency_has_it_white() -> None:
    image = quarters().quantize(4)
    data = encode(image, "GIF", transparency=image.getpixel((5, 5)))
    assert_near(corners(decoded(data)), [WHITE, GREEN, BLUE, WHITE])


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_and_not_clipped(kind: str) -> None:
    ramp = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(1, 64).repeat(4, axis=0)
    pixels = decoded(encode(Image.fromarray(ramp), kind))
    assert_near(pixels, (ramp[..., None] / 257).astype(int).repeat(3, axis=2), 1)


def test_dark_16_bit_grey_stays_dark() -> None:
    dark = Image.fromarray(np.full((4, 4), 200, np.uint16))
    assert_near(decoded(encode(dark, "PNG")), BLACK, 1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -5.0, 1e30])
def test_odd_floating_point_values_do_no_harm(value: float) -> None:
    values = np.full((4, 4), 128, np.float32)
    values[0, 0] = value
    assert decoded(encode(Image.fromarray(values), "TIFF")).shape == (4, 4, 3)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "GIF"])
def test_1_bit_becomes_black_and_white(kind: str) -> None:
    image = Image.new("1", (8, 8), 0)
    image.paste(1, (4, 0, 8, 8))
    pixels = decoded(encode(image, kind))
    assert_near(pixels[4, 1], BLACK, 0)
    assert_near(pixels[4, 6], WHITE, 0)


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
    filled = (square == RED).all(axis=2)
    assert filled.any(axis=0).all() or filled.any(axis=1).all()
    assert filled.any()


@pytest.mark.parametrize("size", [32, 64, 224])
def test_scaled_decode_of_a_jpeg_stays_near_the_full_one(size: int) -> None:
    """Mean difference at most 2 of 255 grey levels, and 99 % of values within 16."""
    noise = Image.effect_noise((1601, 1203), 60).filter(ImageFilter.GaussianBlur(2))
    image = Image.merge("RGB", [noise, noise.rotate(180), quarters(noise.size).getchannel(0)])
    data = encode(image, "JPEG", quality=90)
    scaled = decode(data, LIMITS, at_least=size)
    assert size <= min(scaled.size)
    assert max(scaled.size) < 1601, "it was not scaled at all"
    full = np.asarray(letterbox(decode(data, LIMITS), size), np.int64)
    difference = np.abs(preprocess(data, size, LIMITS) - full)
    assert difference.mean() <= 2
    assert np.percentile(difference, 99) <= 16


def refusal(data: bytes, limits: ImageLimits = LIMITS) -> LookalikeError:
    with pytest.raises(LookalikeError) as caught:
        preprocess(data, SIZE, limits)
    assert caught.value.field == "image"
    return caught.value


def test_empty_photo_is_refused() -> None:
    error = refusal(b"")
    assert isinstance(error, InvalidImageError)
    assert error.message == "image is empty (0 bytes)"


@pytest.mark.parametrize(
    "data",
    [
        b"this is no photo",
        b"<!doctype html><html><body>404 Not Found</body></html>",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7\n",
        bytes(1000),
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        encode(quarters(), "ICO"),
        encode(quarters(), "PPM"),
    ],
)
def test_other_bytes_are_refused_with_the_formats_that_there_are(data: bytes) -> None:
    error = refusal(data)
    assert isinstance(error, InvalidImageError)
    assert error.message.startswith(
        "image is not one of JPEG, PNG, WEBP, GIF, BMP, TIFF; it begins"
    )


def test_bytes_over_the_limit_are_refused_with_both_numbers() -> None:
    data = encode(quarters(), "PNG")
    assert preprocess(data, SIZE, ImageLimits(max_bytes=len(data))).shape == (SIZE, SIZE, 3)
    error = refusal(data, ImageLimits(max_bytes=len(data) - 1))
    assert isinstance(error, ImageTooLargeError)
    assert f"image has {len(data):,} bytes; the limit is {len(data) - 1:,}" in error.message
    assert "LOOKALIKE_EMBEDDER_MAX_IMAGE_BYTES" in error.message


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_pixels_over_the_limit_are_refused_with_both_numbers(kind: str) -> None:
    data = encode(quarters((50, 40)), kind)
    assert preprocess(data, SIZE, ImageLimits(max_pixels=2000)).shape == (SIZE, SIZE, 3)
    error = refusal(data, ImageLimits(max_pixels=1999))
    assert isinstance(error, ImageTooLargeError)
    assert "50×40 = 2,000 pixels; the limit is 1,999" in error.message


def png_of_declared_size(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(10)))
        + chunk(b"IEND", b"")
    )


def test_pixels_are_counted_before_any_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preprocessing, "_to_rgb", lambda _: pytest.fail("it was decoded"))
    monkeypatch.setattr(Image.Image, "load", lambda _: pytest.fail("it was decoded"))
    assert isinstance(refusal(png_of_declared_size(50_000, 50_000)), ImageTooLargeError)
    assert isinstance(refusal(png_of_declared_size(2**31 - 1, 2**31 - 1)), ImageTooLargeError)


def test_decompression_bomb_in_a_text_chunk_is_refused() -> None:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("comment", "x" * 5_000_000, zip=True)
    assert isinstance(refusal(encode(quarters(), "PNG", pnginfo=info)), InvalidImageError)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_truncated_photo_is_refused(kind: str) -> None:
    noise = Image.effect_noise((64, 48), 90).convert("RGB")
    data = encode(noise, kind)
    for length in (len(data) // 4, len(data) // 2, len(data) * 9 // 10):
        assert isinstance(refusal(data[:length]), InvalidImageError)


PHOTOS = {
    "JPEG": encode(quarters(), "JPEG"),
    "progressive JPEG": encode(quarters(), "JPEG", progressive=True),
    "PNG": encode(quarters(), "PNG"),
    "palette PNG": encode(quarters().quantize(4), "PNG", transparency=0),
    "WEBP": encode(quarters(), "WEBP"),
    "GIF": encode(quarters().quantize(4), "GIF", transparency=1),
    "BMP": encode(quarters((16, 12)), "BMP"),
    "TIFF": encode(quarters((16, 12)), "TIFF"),
    "TIFF with LZW": encode(quarters(), "TIFF", compression="tiff_lzw"),
    "JPEG with EXIF": encode(quarters(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01" + bytes(20)),
}


@pytest.mark.filterwarnings("ignore")  # Pillow's, about the damage
@pytest.mark.parametrize("photo", PHOTOS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_damaged_photo_is_decoded_or_refused_and_nothing_else(
    photo: str, data: st.DataObject
) -> None:
    damaged = bytearray(PHOTOS[photo])
    for _ in range(data.draw(st.integers(1, 8))):
        # Most of the structure is in the first bytes.
        end = data.draw(st.sampled_from([min(200, len(damaged)), len(damaged)]))
        position = data.draw(st.integers(0, end - 1))
        damaged[position] ^= 1 << data.draw(st.integers(0, 7))
    with suppress(InvalidImageError, ImageTooLargeError):
        pixels = preprocess(bytes(damaged), SIZE, ImageLimits(max_pixels=1_000_000))
        assert pixels.shape == (SIZE, SIZE, 3)


@given(st.binary(max_size=300), st.sampled_from([b"", *(p[:32] for p in PHOTOS.values())]))
@settings(max_examples=100, deadline=None)
def test_arbitrary_bytes_are_refused_and_nothing_else(tail: bytes, head: bytes) -> None:
    with suppress(InvalidImageError, ImageTooLargeError):
        preprocess(head + tail, SIZE, ImageLimits(max_pixels=1_000_000))
