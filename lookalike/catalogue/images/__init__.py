"""From a photo's bytes to upright RGB in sRGB; every safety limit on photos. Knows no model.

The embedder, training, thumbnails and contact sheets all see what is decoded here. What a photo
will cost is told from its headers and markers, and refused before a decoder sees it; the decoder
gets the parts that draw, and none that describe.
"""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, features

from lookalike.catalogue.images import bmp, gif, isobmff, jpeg, png, tiff, webp
from lookalike.catalogue.images.headers import MAX_SIDE, Header, HeaderError
from lookalike.catalogue.images.pixels import fitted, upright_rgb
from lookalike.errors import ImageTooLargeError, InvalidImageError

__all__ = ["FORMATS", "Header", "ImageLimits", "decode", "draw", "fitted", "survey", "thumbnail"]

FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]
if features.check("avif"):
    FORMATS.append("AVIF")
if importlib.util.find_spec("pi_heif"):  # comes with the services, not with the command line
    import pi_heif

    pi_heif.register_heif_opener()
    FORMATS.append("HEIF")

_READERS = {
    b"\xff\xd8\xff": jpeg.read,
    png.SIGNATURE: png.read,
    b"GIF87a": gif.read,
    b"GIF89a": gif.read,
    b"BM": bmp.read,
    **dict.fromkeys((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), tiff.read),
}

# Pillow would warn, and refuse only at twice its own limit; `survey` has compared the sizes with
# the configured limit.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True)
class ImageLimits:
    """Largest photo accepted.

    Attributes:
        max_bytes: Encoded.
        max_pixels: Decoded, width × height.
        settings: Begins the names of the settings of these two, for a refusal to tell.
        max_memory: Bytes that its decoding may hold.
        max_seconds: Time that its decoding may take on an ordinary core.
    """

    max_bytes: int = 12 << 20
    max_pixels: int = 64_000_000
    settings: str = ""
    max_memory: int = 512_000_000
    max_seconds: float = 2.0

    def named(self, setting: str) -> str:
        """Returns what a refusal says of a setting, if there is one."""
        return f" ({self.settings}_{setting})" if self.settings else ""


def survey(data: bytes, limits: ImageLimits) -> Header:
    """Returns what a photo will cost; decodes nothing.

    Args:
        data: Encoded photo.
        limits: What is refused.

    Raises:
        InvalidImageError: The bytes are no photo that can be decoded.
        ImageTooLargeError: A limit is exceeded.
    """
    if not data:
        raise InvalidImageError("image is empty (0 bytes)", field="image")
    if len(data) > limits.max_bytes:
        raise ImageTooLargeError(
            f"image has {len(data):,} bytes; the limit is {limits.max_bytes:,}"
            + limits.named("MAX_IMAGE_BYTES"),
            field="image",
        )
    read = _reader(data)
    if read is None:
        raise InvalidImageError(
            f"image is not one of {', '.join(FORMATS)}; it begins with {data[:8].hex(' ')}",
            field="image",
        )
    try:
        header = read(data)
    except HeaderError as error:
        raise InvalidImageError(f"image cannot be decoded: {error}", field="image") from None
    _check(header, limits)
    return header


def decode(data: bytes, limits: ImageLimits, *, fit: int = 0) -> Image.Image:
    """Returns an upright RGB image in sRGB; transparent parts become white.

    Args:
        data: Encoded photo.
        limits: What is refused.
        fit: Side of the square that the photo will be made to fit: a JPEG is then decoded at the
            smallest fraction of its size that is not below that (a DCT-scaled decode costs a
            fraction of a full one), and others are made smaller before they are copied; 0 for full
            size.

    Raises:
        InvalidImageError: The bytes are no photo that can be decoded.
        ImageTooLargeError: A limit is exceeded.
    """
    return draw(survey(data, limits), fit=fit)


def draw(header: Header, *, fit: int = 0) -> Image.Image:
    """Decodes a photo that was surveyed; see `decode`."""
    try:
        with Image.open(io.BytesIO(header.drawing()), formats=[header.kind]) as image:
            if fit:
                image.draft("RGB", fitted(image.size, fit))
            image.load()
            # A HEIF's profile stays in the file, since its decoder knows which picture it is of.
            profile = header.profile or image.info.get("icc_profile") or b""
            return upright_rgb(image, orientation=header.orientation, profile=profile, fit=fit)
    except MemoryError:
        raise
    except Exception as error:  # a decoder fed hostile bytes may raise anything
        raise InvalidImageError(f"image cannot be decoded: {error}", field="image") from error


def thumbnail(data: bytes, limits: ImageLimits, side: int) -> Image.Image:
    """Returns a small copy of a photo, at most `side` pixels wide and high; raises as `decode`."""
    # Decoded twice as large, since the smallest steps of a JPEG are coarse.
    small = decode(data, limits, fit=2 * side)
    small.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    return small


def _reader(data: bytes) -> Callable[[bytes], Header] | None:
    """Returns the reader of a photo's format, told by its signature."""
    if data[:4] == b"RIFF":
        return webp.read if data[8:12] == b"WEBP" else None
    if data[4:8] == b"ftyp":
        return isobmff.read if isobmff.KINDS.get(data[8:12]) in FORMATS else None
    return next((read for start, read in _READERS.items() if data.startswith(start)), None)


def _check(header: Header, limits: ImageLimits) -> None:
    pixels = f"image is {header.width}×{header.height} = {header.pixels:,} pixels"
    setting = limits.named("MAX_IMAGE_PIXELS")
    if header.pixels > limits.max_pixels:
        raise ImageTooLargeError(
            f"{pixels}; the limit is {limits.max_pixels:,}{setting}", field="image"
        )
    if max(header.width, header.height) > MAX_SIDE:
        raise ImageTooLargeError(
            f"image is {header.width}×{header.height} pixels; the limit of a side is {MAX_SIDE:,}",
            field="image",
        )
    shown = f"{pixels} of {header.kind}" + (f" in {header.passes}" if header.passes else "")
    if header.memory > limits.max_memory:
        raise ImageTooLargeError(
            f"{shown}, which take {header.memory:,} bytes of memory to decode; "
            f"the limit is {limits.max_memory:,}",
            field="image",
        )
    if header.seconds > limits.max_seconds:
        raise ImageTooLargeError(
            f"{shown}, which take about {header.seconds:,.1f} s to decode; "
            f"the limit is {limits.max_seconds:g}",
            field="image",
        )
