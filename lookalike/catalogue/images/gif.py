"""Reads the blocks of a GIF (version 89a) up to its first picture."""

from __future__ import annotations

import struct
from functools import partial

from lookalike.catalogue.images.headers import Header, HeaderError, check_parts, conversion_ns

_EXTENSION, _PICTURE = 0x21, 0x2C
_CONTROL = 0xF9  # transparency
_BYTES_PER_PIXEL = 1  # the palette's indices
_NS_PER_PIXEL = 6


def read(data: bytes) -> Header:
    """Returns a GIF's header; of an animation, its first picture's.

    Raises:
        HeaderError: It has no picture.
    """
    view = memoryview(data)
    try:
        width, height, flags = struct.unpack_from("<2HB", data, 6)
        position = 13 + (3 << (flags & 7) + 1 if flags & 128 else 0)
        reading: list[bytes | memoryview] = [view[:position]]
        parts = 0
        while data[position] == _EXTENSION:
            started, label = position, data[position + 1]
            position += 2
            while length := data[position]:
                position += length + 1
                parts += 1
                check_parts(parts, "blocks before its first picture")
            position += 1
            if label == _CONTROL:
                reading.append(view[started:position])
        if data[position] != _PICTURE:
            raise HeaderError("GIF without a picture")
        left, top, wide, high = struct.unpack_from("<4H", data, position + 1)
    except (struct.error, IndexError):
        raise HeaderError("GIF that ends within its headers") from None
    width, height = max(width, left + wide), max(height, top + high)
    if not width or not height:
        raise HeaderError(f"GIF of {width}×{height} pixels")
    reading.append(view[position:])
    spent = _NS_PER_PIXEL + conversion_ns(grey=True, alpha=True)
    drawing = partial(b"".join, reading)
    return Header("GIF", width, height, _BYTES_PER_PIXEL, spent, len(data), drawing)
