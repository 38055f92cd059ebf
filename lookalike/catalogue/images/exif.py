"""Reads the orientation of EXIF, and nothing else of it.

Pillow copies every value that a directory names, and directories may name the same bytes thousands
of times.
"""

from __future__ import annotations

import struct

_ORIENTATION = 0x0112
_SHORT = 3
_MAGIC = 42
_PREFIX = b"Exif\0\0"


def orientation(exif: bytes) -> int:
    """Returns the orientation, 1 to 8; 1 where there is none or it cannot be read."""
    tiff = exif[len(_PREFIX) :] if exif.startswith(_PREFIX) else exif
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    try:
        if order is None:
            return 1
        magic, start = struct.unpack_from(f"{order}HI", tiff, 2)
        (count,) = struct.unpack_from(f"{order}H", tiff, start)
        if magic != _MAGIC:
            return 1
        for number in range(count):
            tag, kind = struct.unpack_from(f"{order}HH", tiff, start + 2 + 12 * number)
            if tag == _ORIENTATION and kind == _SHORT:
                (value,) = struct.unpack_from(f"{order}H", tiff, start + 10 + 12 * number)
                return int(value) if 1 <= value <= 8 else 1
    except struct.error:
        pass  # cut off
    return 1
