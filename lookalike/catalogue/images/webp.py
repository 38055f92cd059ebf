"""Reads the chunks of a WebP (RFC 9649)."""

from __future__ import annotations

import struct

from lookalike.catalogue.images.exif import orientation
from lookalike.catalogue.images.headers import (
    Header,
    HeaderError,
    check_parts,
    check_profile,
    conversion_ns,
)

# libwebp's picture, its two canvases, and Pillow's copies.
_BYTES_PER_PIXEL = 16
_NS_PER_PIXEL = 20


def read(data: bytes) -> Header:
    """Returns a WebP's header; of an animation, its first picture's.

    Raises:
        HeaderError: It has no picture.
    """
    sizes: list[tuple[int, int]] = []
    exif = profile = b""
    position, parts = 12, 0
    while position + 8 <= len(data):
        parts += 1
        check_parts(parts, "chunks")
        name, length = struct.unpack_from("<4sI", data, position)
        start = position + 8
        if name == b"VP8X":
            sizes.append((1 + _three(data, start + 4), 1 + _three(data, start + 7)))
        elif name == b"VP8 ":
            wide, high = struct.unpack("<2H", data[start + 6 : start + 10].ljust(4, b"\0"))
            sizes.append((wide & 0x3FFF, high & 0x3FFF))
        elif name == b"VP8L":
            bits = int.from_bytes(data[start + 1 : start + 5], "little")
            sizes.append((1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)))
        elif name == b"EXIF":
            exif = data[start : start + length]
        elif name == b"ICCP":
            check_profile(length)
            profile = data[start : start + length]
        position = start + length + (length & 1)
    if not sizes:
        raise HeaderError("WebP without a picture")
    width, height = (max(sides) for sides in zip(*sizes, strict=True))
    if not width or not height:
        raise HeaderError(f"WebP of {width}×{height} pixels")
    return Header(
        "WEBP",
        width,
        height,
        _BYTES_PER_PIXEL,
        _NS_PER_PIXEL + conversion_ns(grey=False, alpha=True),
        size=len(data),
        drawing=lambda: data,
        orientation=orientation(exif),
        profile=profile,
    )


def _three(data: bytes, position: int) -> int:
    """Returns an integer of three bytes."""
    return int.from_bytes(data[position : position + 3], "little")
