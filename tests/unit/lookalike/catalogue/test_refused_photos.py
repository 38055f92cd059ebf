"""Photos that are refused, whatever is done to their bytes."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lookalike.catalogue import images
from lookalike.catalogue.images import ImageLimits
from lookalike.errors import ImageTooLargeError, InvalidImageError, LookalikeError
from lookalike.model.preprocessing import preprocess
from tests.examples import examples
from tests.photos import encode, quarters

LIMITS = ImageLimits()
SIZE = 32


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
        "image is not one of JPEG, PNG, WEBP, GIF, BMP, TIFF, HEIF; it begins"
    )


def test_bytes_over_the_limit_are_refused_with_both_numbers() -> None:
    data = encode(quarters(), "PNG")
    assert preprocess(data, SIZE, ImageLimits(max_bytes=len(data))).shape == (SIZE, SIZE, 3)
    error = refusal(data, ImageLimits(max_bytes=len(data) - 1, settings="LOOKALIKE_EMBEDDER"))
    assert isinstance(error, ImageTooLargeError)
    assert f"image has {len(data):,} bytes; the limit is {len(data) - 1:,}" in error.message
    assert error.message.endswith(" (LOOKALIKE_EMBEDDER_MAX_IMAGE_BYTES)")
    other = refusal(data, ImageLimits(max_bytes=len(data) - 1))
    assert other.message.endswith(f"{len(data) - 1:,}"), "there is no setting to name"


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
    monkeypatch.setattr(images, "_to_rgb", lambda _: pytest.fail("it was decoded"))
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
@settings(max_examples=examples(20), deadline=None)
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
@settings(max_examples=examples(35), deadline=None)
def test_arbitrary_bytes_are_refused_and_nothing_else(tail: bytes, head: bytes) -> None:
    with suppress(InvalidImageError, ImageTooLargeError):
        preprocess(head + tail, SIZE, ImageLimits(max_pixels=1_000_000))
