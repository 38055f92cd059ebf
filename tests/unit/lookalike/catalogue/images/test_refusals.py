"""Photos that are refused, whatever is done to their bytes."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lookalike.catalogue.images import ImageLimits
from lookalike.errors import ImageTooLargeError, InvalidImageError, LookalikeError
from lookalike.model.preprocessing import preprocess
from tests.examples import examples
from tests.photos import encode, quarters

LIMITS = ImageLimits()
SIZE = 32


def png_of_declared_size(width: int, height: int, bits: int = 8) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(10)))
        + chunk(b"IEND", b"")
    )


def jpeg(
    frame: int = 0xC0, bits: int = 8, height: int = 48, layers: int = 1, scans: int = 1
) -> bytes:
    """A JPEG's markers, with nothing in its scans."""

    def segment(code: int, body: bytes) -> bytes:
        return bytes((255, code)) + struct.pack(">H", len(body) + 2) + body

    parts = b"".join(bytes((layer, 0x11, 0)) for layer in range(layers))
    header = struct.pack(">BHHB", bits, height, 64, layers) + parts
    scan = segment(0xDA, b"\1\0\0\0\x3f\0") + b"\xff\0\x12"
    return b"\xff\xd8" + segment(frame, header) + scan * scans + b"\xff\xd9"


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
        b"RIFF\0\0\0\0WAVE",
        b"\0\0\0\x18ftypisom",
        encode(quarters(), "ICO"),
        encode(quarters(), "PPM"),
    ],
)
def test_other_bytes_are_refused_with_the_formats_that_there_are(data: bytes) -> None:
    error = refusal(data)
    assert isinstance(error, InvalidImageError)
    assert error.message.startswith(
        "image is not one of JPEG, PNG, WEBP, GIF, BMP, TIFF, AVIF, HEIF; it begins"
    )


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xff\xd8\xff", "JPEG without a frame header (SOF)"),
        (b"\xff\xd8\xff\xe0\x10\0", "JPEG that ends within its headers"),
        (jpeg(bits=12), "JPEG of 12 bits a sample; only 8 are decoded"),
        (jpeg(frame=0xC3), "JPEG of process SOF3, which is not decoded"),
        (jpeg(layers=2), "JPEG of 2 components; only 1, 3 and 4 are decoded"),
        (jpeg(height=0), "JPEG of 64×0 pixels"),
        (b"\x89PNG\r\n\x1a\n", "PNG without a sound header (IHDR)"),
        (png_of_declared_size(64, 0), "PNG of 64×0 pixels"),
        (png_of_declared_size(64, 48, bits=3), "PNG of colour type 2 with 3 bits"),
        (b"GIF89a", "GIF that ends within its headers"),
        (encode(quarters(), "TIFF")[:100], "TIFF with a damaged directory"),
        (encode(quarters(), "TIFF", compression="lzma"), "TIFF packed by method 34925"),
        (b"RIFF\4\0\0\0WEBP", "WebP without a picture"),
        (b"BM" + bytes(40), "BMP of 0×0 pixels"),
        (b"\0\0\0\x18ftypavif", "AVIF without a picture whose size is told"),
    ],
)
def test_a_photo_that_its_decoder_would_not_take_is_told_why(data: bytes, words: str) -> None:
    error = refusal(data)
    assert isinstance(error, InvalidImageError)
    assert f"image cannot be decoded: {words}" in error.message


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


def test_pixels_are_counted_before_any_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("a decoder saw it"))
    assert isinstance(refusal(png_of_declared_size(50_000, 50_000)), ImageTooLargeError)
    assert isinstance(refusal(png_of_declared_size(2**31 - 1, 2**31 - 1)), ImageTooLargeError)


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
