"""From bytes to pixels: what every kind of photo becomes, and what is refused."""

from __future__ import annotations

import base64
import struct
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFilter

from lookalike.catalogue.images import ImageLimits, decode
from lookalike.errors import InvalidImageError
from lookalike.model.preprocessing import letterbox, preprocess
from tests.photos import BLACK, BLUE, GREEN, RED, WHITE, encode, quarters

LIMITS = ImageLimits()
SIZE = 32


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


# Of `quarters`, 586 bytes: what decodes HEIC here does not encode it.
HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAX1tZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAA"
    "AAAAAAAAAAACJpbG9jAAAAAERAAAEAAQAAAAABoQABAAAAAAAAAKkAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAAB"
    "AABodmMxAAAAAA5waXRtAAAAAAABAAAA/WlwcnAAAADdaXBjbwAAAHZodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADw"
    "NgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQAqQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbq5Ka5uAhoMCAA"
    "AAMDIAAAAwAhYgABAAZEAcFzwIkAAAATY29scm5jbHgAAQANAAaAAAAAFGlzcGUAAAAAAAAAQAAAAEAAAAAoY2xhcA"
    "AAAEAAAAABAAAAMAAAAAEAAAAAAAAAAv////AAAAACAAAAEHBpeGkAAAAAAwgICAAAABhpcG1hAAAAAAAAAAEAAQWB"
    "AgMFhAAAALFtZGF0AAAApSgBrxOA5TH3/8ONP+mfT/XcmZOoMQv/M+PvDqr/CXLEG46eJ+UhP99tP9ediCjQmef/mz"
    "t3cwjgok9RBQ3nS9rPiKnw5sH3k/OxNoH3dnoW29wP/F7oACa+LTs1hOMClBxzrwODACoWTT8QA7Y+lcS+jVF+GC/f"
    "ttYXDKBvhloAF0f415YAnGBQOjYGu0/FxsNxcEBz/Mt6GtaWkag5AOW/PlV/VA=="
)


def test_heic_is_decoded_to_its_colours() -> None:
    assert_near(corners(decoded(HEIC)), [RED, GREEN, BLUE, WHITE], 12)
    with pytest.raises(InvalidImageError):
        decode(HEIC[:-100], LIMITS)


def profile_of(*primaries: tuple[float, float, float]) -> bytes:
    """A colour profile (ICC.1:2001-04) of gamma 2.2 with the XYZ of red, green and blue."""

    def xyz(values: tuple[float, float, float]) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in values))

    curve = b"curv\0\0\0\0" + struct.pack(">IHxx", 1, round(2.2 * 256))
    white = (0.9642, 1.0, 0.8249)
    tags = [(b"desc", b"desc\0\0\0\0" + struct.pack(">I", 5) + b"wide\0" + bytes(79))]
    tags += [(b"wtpt", xyz(white))]
    for colour, value in zip((b"r", b"g", b"b"), primaries, strict=True):
        tags += [(colour + b"XYZ", xyz(value)), (colour + b"TRC", curve)]
    table, body = struct.pack(">I", len(tags)), b""
    for name, content in tags:
        offset = 128 + 4 + 12 * len(tags) + len(body)
        table += name + struct.pack(">2I", offset, len(content))
        body += content
    header = struct.pack(
        ">I4sI4s4s4s12x4s28x12s48x",
        128 + len(table) + len(body), b"", 0x02100000, b"mntr", b"RGB ", b"XYZ ", b"acsp",
        xyz(white)[8:],
    )  # fmt: skip
    return header + table + body


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_colour_profiles_are_applied(kind: str) -> None:
    display_p3 = profile_of(
        (0.5151, 0.2412, -0.0011), (0.2919, 0.6922, 0.0419), (0.1572, 0.0666, 0.7841)
    )
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

    def shown(colour: tuple[int, int, int], profile: bytes) -> list[int]:
        image = Image.new("RGB", (16, 16), colour)
        pixels = decoded(encode(image, kind, quality=95, icc_profile=profile))
        return [int(value) for value in pixels[8, 8]]

    green = (100, 200, 100)
    plain = shown(green, b"")
    assert_near(shown(green, srgb), plain)
    assert_near(shown(green, b"damaged"), plain)
    assert_near(shown((120, 120, 120), display_p3), (120, 120, 120), 6)
    red, stronger, _ = shown(green, display_p3)
    assert stronger > plain[1]
    assert red < plain[0] - 10, "the same numbers are a purer green in a wider gamut"


def test_colour_profile_and_orientation_are_both_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    display_p3 = profile_of(
        (0.5151, 0.2412, -0.0011), (0.2919, 0.6922, 0.0419), (0.1572, 0.0666, 0.7841)
    )
    data = encode(quarters(), "PNG", exif=exif, icc_profile=display_p3)
    assert_near(corners(decoded(data)), [WHITE, BLUE, GREEN, RED], 12)


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


@pytest.mark.parametrize(("brightest", "shown"), [(255, 100), (256, 0), (65535, 0)])
def test_one_bright_pixel_anywhere_tells_that_greys_are_wide(brightest: int, shown: int) -> None:
    values = np.full((1000, 4), 100, np.int32)
    values[999, 3] = brightest
    pixels = decoded(encode(Image.fromarray(values), "TIFF"))
    assert set(pixels[:999].flat) == {shown}


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


@pytest.mark.parametrize("size", [32, 64, 224])
def test_scaled_decode_of_a_jpeg_stays_near_the_full_one(size: int) -> None:
    """Mean difference at most 2 of 255 grey levels, and 99 % of values within 16."""
    noise = Image.effect_noise((1601, 1203), 60).filter(ImageFilter.GaussianBlur(2))
    image = Image.merge("RGB", [noise, noise.rotate(180), quarters(noise.size).getchannel(0)])
    data = encode(image, "JPEG", quality=90)
    scaled = decode(data, LIMITS, fit=size)
    assert size <= max(scaled.size) < 1601, "it was not scaled at all"
    full = np.asarray(letterbox(decode(data, LIMITS), size), np.int64)
    difference = np.abs(preprocess(data, size, LIMITS) - full)
    assert difference.mean() <= 2
    assert np.percentile(difference, 99) <= 16
