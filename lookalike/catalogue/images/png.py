"""Reads the chunks of a PNG (W3C, third edition), and leaves out those that do not draw."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from lookalike.catalogue.images.exif import orientation
from lookalike.catalogue.images.headers import (
    MAX_PROFILE_BYTES,
    Header,
    HeaderError,
    check_parts,
    check_profile,
    conversion_ns,
)

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_END = b"\0\0\0\0IEND\xaeB`\x82"


def read(data: bytes) -> Header:
    """Returns a PNG's header; of an animation, its default picture's.

    Raises:
        HeaderError: It is not one that can be decoded.
    """
    kept: dict[bytes, memoryview] = {}
    pixels: list[memoryview] = []
    exif = profile = b""
    for name, whole in _chunks(data):
        body = whole[8:-4]
        if name == b"IDAT":
            pixels.append(body)
        elif not _is_sound(whole):
            if name in (b"IHDR", b"PLTE"):
                raise HeaderError(f"PNG with a damaged {name.decode()} chunk")
            # the others are left out, as browsers do: the picture can be drawn without
        elif name in (b"IHDR", b"PLTE", b"tRNS"):
            kept.setdefault(name, whole)
        elif name == b"eXIf":
            exif = bytes(body)
        elif name == b"iCCP":
            profile = _inflated(bytes(body))
    if b"IHDR" not in kept or len(kept[b"IHDR"]) != 25:
        raise HeaderError("PNG without a sound header (IHDR)")
    width, height, depth, colour = struct.unpack_from(">2I2B", kept[b"IHDR"], 8)
    if depth not in _DEPTHS.get(colour, ()):
        raise HeaderError(f"PNG of colour type {colour} with {depth} bits, which there is not")
    if not width or not height:
        raise HeaderError(f"PNG of {width}×{height} pixels")
    if not pixels:
        raise HeaderError("PNG without pixels (IDAT)")
    samples = _CHANNELS[colour] * depth / 8
    grey = colour in (0, 3)
    return Header(
        "PNG",
        width,
        height,
        bytes_per_pixel=max(1.0, samples) if grey else 4,
        ns_per_pixel=conversion_ns(grey=grey, alpha=colour > 3 or b"tRNS" in kept, bits=depth)
        + 2 * max(1.0, samples),
        size=len(data),
        # One chunk of pixels: Pillow takes each in turn, in the interpreter.
        drawing=lambda: b"".join([SIGNATURE, *kept.values(), *_chunk(b"IDAT", *pixels), _END]),
        orientation=orientation(exif),
        profile=profile,
    )


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Yields the chunks up to the end, whole, with their names; the last may be cut off."""
    view = memoryview(data)
    position, parts = len(SIGNATURE), 0
    while position + 12 <= len(data):
        parts += 1
        check_parts(parts, "chunks")
        length, name = struct.unpack_from(">I4s", data, position)
        if name == b"IEND":
            return
        yield name, view[position : position + 12 + length]
        position += 12 + length


def _is_sound(chunk: memoryview) -> bool:
    (length,) = struct.unpack_from(">I", chunk)
    return len(chunk) == 12 + length and zlib.crc32(chunk[4:-4]) == int.from_bytes(
        chunk[-4:], "big"
    )


def _chunk(name: bytes, *bodies: bytes | memoryview) -> list[bytes | memoryview]:
    sum_ = zlib.crc32(name)
    for body in bodies:
        sum_ = zlib.crc32(body, sum_)
    length = sum(map(len, bodies))
    return [struct.pack(">I", length) + name, *bodies, struct.pack(">I", sum_)]


def _inflated(body: bytes) -> bytes:
    """Returns the profile of an iCCP chunk; empty if it is damaged."""
    _, _, packed = body.partition(b"\0")
    inflater = zlib.decompressobj()
    try:
        profile = inflater.decompress(packed[1:], MAX_PROFILE_BYTES + 1)
    except zlib.error:
        return b""
    check_profile(len(profile))
    return profile
