"""Reads the markers of a JPEG (ITU-T T.81, annex B)."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from functools import partial

from lookalike.catalogue.images.exif import orientation
from lookalike.catalogue.images.headers import Header, HeaderError, check_parts, check_profile

# Neither a stuffed zero of the picture's data nor a restart marker.
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
_FIRST = 0xC0  # of those that have a body
_SOI, _EOI, _SOS, _APP1, _APP2 = 0xD8, 0xD9, 0xDA, 0xE1, 0xE2
# Comments and what applications write, but for JFIF's and Adobe's, which tell the colours.
_DESCRIBE = {*range(0xE1, 0xF0), 0xFE} - {0xEE}
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_DECODED = {0xC0: False, 0xC1: False, 0xC2: True, 0xC9: False, 0xCA: True}  # progressive or not
_START_OF_SCAN = bytes((0xFF, _SOS))
_EXIF, _ICC = b"Exif\0\0", b"ICC_PROFILE\0"


def read(data: bytes) -> Header:
    """Returns a JPEG's header.

    Raises:
        HeaderError: It is not one that can be decoded.
    """
    frame: bytes | None = None
    progressive, scans, scanned = False, 0, 0
    exif, profile = b"", dict[int, bytes]()
    reading: list[bytes | memoryview] = [data[:2]]
    for code, start, body in _segments(data):
        end = start + 4 + len(body)
        if code in _FRAMES:
            if code not in _DECODED:
                raise HeaderError(f"JPEG of process SOF{code - 0xC0}, which is not decoded")
            frame, progressive = body, _DECODED[code]
        elif code == _APP1 and body.startswith(_EXIF):
            exif = exif or body
        elif code == _APP2 and body.startswith(_ICC) and len(body) > len(_ICC) + 2:
            profile[body[len(_ICC)]] = body[len(_ICC) + 2 :]
        if code == _SOS:
            scans, scanned = scans + 1, scanned + sum(body[:1])
            if scans == 1:  # the rest as it is, whatever stands between its scans
                reading.append(memoryview(data)[start:])
            if data.find(_START_OF_SCAN, end) < 0:
                break  # which spares the search of all its data
        elif not scans and code not in _DESCRIBE:
            reading.append(memoryview(data)[start:end])
    if frame is None:
        raise HeaderError("JPEG without a frame header (SOF)")
    if not scans:
        raise HeaderError("JPEG without a scan (SOS)")
    height, width, layers, sampled, padded = _frame(frame)
    whole = b"".join(profile[number] for number in sorted(profile))
    check_profile(len(whole))
    # Where a scan holds a part of what a pixel needs, all coefficients are kept, of 2 bytes.
    kept = 2 * sampled if progressive or scans > 1 else 0
    return Header(
        "JPEG",
        width,
        height,
        bytes_per_pixel=(1 if layers == 1 else 4) + kept * padded,
        # A scan that holds nothing still goes over the coefficients.
        ns_per_pixel=padded * (4 + (0.65 * scanned if kept else 0)),
        size=len(data),
        drawing=partial(b"".join, reading),
        orientation=orientation(exif),
        profile=whole,
        passes=f"{scans:,} scans" if scans > 1 else "",
    )


def _segments(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yields the code, the place and the body of each segment, up to the end of the picture."""
    position, parts = 2, 0
    while marker := _MARKER.search(data, position):
        parts += 1
        check_parts(parts, "markers")
        code, position = marker[1][0], marker.end()
        if code == _EOI:
            return
        # Of markers that there are not, a decoder that looks for a restart skips two bytes alone.
        if code >= _FIRST and code != _SOI:
            body = _body(data, position)
            yield code, marker.start(), body
            position += len(body) + 2


def _body(data: bytes, position: int) -> bytes:
    length = int.from_bytes(data[position : position + 2], "big")
    body = data[position + 2 : position + length]
    if length < 2 or len(body) < length - 2:
        raise HeaderError("JPEG that ends within its headers")
    return body


def _frame(body: bytes) -> tuple[int, int, int, float, float]:
    """Returns height, width, components, samples for each pixel, and pixels of blocks for each."""
    try:
        bits, height, width, layers = struct.unpack_from(">BHHB", body)
        factors = [divmod(body[6 + 3 * layer + 1], 16) for layer in range(layers)]
    except (struct.error, IndexError):
        raise HeaderError("JPEG with a damaged frame header (SOF)") from None
    if bits != 8:
        raise HeaderError(f"JPEG of {bits} bits a sample; only 8 are decoded")
    if layers not in (1, 3, 4):
        raise HeaderError(f"JPEG of {layers} components; only 1, 3 and 4 are decoded")
    across = 8 * max((h for h, _ in factors), default=0)
    down = 8 * max((v for _, v in factors), default=0)
    if not across or not down or not height or not width:
        raise HeaderError(f"JPEG of {width}×{height} pixels, with samples {factors}")
    sampled = 64 * sum(h * v for h, v in factors) / (across * down)
    padded = -(-width // across) * across * -(-height // down) * down / (width * height)
    return height, width, layers, sampled, padded
