"""Reads the header of a BMP."""

from __future__ import annotations

import struct

from lookalike.catalogue.images.headers import Header, HeaderError, conversion_ns

_OLD = 12  # bytes of OS/2's header
_RUN_LENGTHS = (1, 2)


def read(data: bytes) -> Header:
    """Returns a BMP's header.

    Raises:
        HeaderError: It is damaged, or packed by run lengths, which Pillow unpacks in the
            interpreter while everyone else waits.
    """
    try:
        (size,) = struct.unpack_from("<I", data, 14)
        if size == _OLD:
            width, height, _, bits = struct.unpack_from("<4H", data, 18)
            packed = 0
        else:
            width, height, _, bits, packed = struct.unpack_from("<2i2HI", data, 18)
    except struct.error:
        raise HeaderError("BMP that ends within its header") from None
    height = abs(height)  # negative where its rows begin above
    if width <= 0 or not height:
        raise HeaderError(f"BMP of {width}×{height} pixels")
    if packed in _RUN_LENGTHS:
        raise HeaderError("BMP packed by run lengths, which is not decoded")
    depth = 1 if bits <= 8 else 4
    spent = conversion_ns(grey=bits <= 8, alpha=bits > 24) + depth
    return Header("BMP", width, height, depth, spent, len(data), lambda: data)
