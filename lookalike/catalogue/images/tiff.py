"""Reads the first directory of a TIFF (revision 6.0, and BigTIFF), and leaves out the others."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lookalike.catalogue.images.headers import (
    Header,
    HeaderError,
    check_parts,
    check_profile,
    conversion_ns,
)

_WIDTH, _HEIGHT, _BITS, _PACKED, _ROWS, _SAMPLES = 256, 257, 258, 259, 278, 277
_ORIENTATION, _OFFSETS, _LENGTHS, _PROFILE = 274, 273, 279, 34675
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_LENGTHS = 322, 323, 324, 325
# What says how pixels are kept. Directories of EXIF are not among it: their values may name the
# same bytes thousands of times, and Pillow copies each.
_DRAWS = frozenset((
    254, _WIDTH, _HEIGHT, _BITS, _PACKED, 262, 266, _OFFSETS, _SAMPLES, _ROWS, _LENGTHS, 284, 292,
    293, 317, 320, _TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_LENGTHS, 338, 339, 347,
    530, 532,
))  # fmt: skip
_JPEG = 7
_UNPACKED = {1, 2, 3, 4, 5, _JPEG, 8, 32773, 32946}  # none, CCITT, LZW, JPEG, deflate, PackBits
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
_NUMBERS = {1: "B", 3: "H", 4: "I", 16: "Q"}


@dataclass(frozen=True)
class _Layout:
    """How numbers stand in a file: byte order, and the two sizes of the format."""

    order: str
    big: bool

    @property
    def count(self) -> struct.Struct:
        """Number of a directory's entries."""
        return struct.Struct(self.order + ("Q" if self.big else "H"))

    @property
    def entry(self) -> struct.Struct:
        """Tag, type, number of values, and where they are or what they are."""
        return struct.Struct(self.order + ("HHQ8s" if self.big else "HHI4s"))

    @property
    def offset(self) -> struct.Struct:
        """A place in the file."""
        return struct.Struct(self.order + ("Q" if self.big else "I"))


@dataclass(frozen=True)
class _Entry:
    kind: int
    count: int
    value: bytes
    raw: bytes


def read(data: bytes) -> Header:
    """Returns a TIFF's header; of several pictures, the first one's.

    Raises:
        HeaderError: It is not one that can be decoded.
    """
    layout = _Layout("<" if data[:2] == b"II" else ">", data[2:4] in (b"\x2b\0", b"\0\x2b"))
    at = 8 if layout.big else 4
    try:
        entries = _entries(data, layout, layout.offset.unpack_from(data, at)[0])

        def numbers(tag: int, default: int) -> tuple[int, ...]:
            return _numbers(data, layout, entries[tag]) if tag in entries else (default,)

        width, height = numbers(_WIDTH, 0)[0], numbers(_HEIGHT, 0)[0]
        packed, samples = numbers(_PACKED, 1)[0], numbers(_SAMPLES, 1)[0]
        bits, rows = max(numbers(_BITS, 1)), numbers(_ROWS, height)[0]
        wide, high = numbers(_TILE_WIDTH, width)[0], numbers(_TILE_HEIGHT, rows)[0]
        tiled = _TILE_OFFSETS in entries
        offsets = numbers(_TILE_OFFSETS if tiled else _OFFSETS, 0)
        lengths = numbers(_TILE_LENGTHS if tiled else _LENGTHS, len(data))
        turned = numbers(_ORIENTATION, 1)[0]
        profile = _bytes(data, layout, entries[_PROFILE]) if _PROFILE in entries else b""
    except (struct.error, IndexError):
        raise HeaderError("TIFF with a damaged directory") from None
    if not width or not height or not samples:
        raise HeaderError(f"TIFF of {width}×{height} pixels with {samples} samples each")
    if packed not in _UNPACKED:
        raise HeaderError(f"TIFF packed by method {packed}, which is not decoded")
    _check_apart(offsets, lengths)
    wide, high = max(1, wide), max(1, min(high, height) if _TILE_HEIGHT not in entries else high)
    each = samples * max(bits, 8) / 8
    padded = (-(-width // wide) * wide) * (-(-height // high) * high) / (width * height)
    scans = -(-data.count(b"\xff\xda") // len(offsets)) if packed == _JPEG else 1
    kept = max(1, bits // 8) if samples == 1 else 4
    directory = layout.count.pack(sum(tag in _DRAWS for tag in entries)) + b"".join(
        entry.raw for tag, entry in entries.items() if tag in _DRAWS
    )
    return Header(
        "TIFF",
        width,
        height,
        bytes_per_pixel=kept + each * wide * high / (width * height),
        ns_per_pixel=conversion_ns(grey=samples < 3, alpha=samples in (2, 4), bits=bits)
        + 4 * each * padded * max(1, scans),
        size=len(data),
        drawing=lambda: b"".join(
            (
                data[:at],
                layout.offset.pack(len(data)),
                memoryview(data)[at + layout.offset.size :],
                directory,
                layout.offset.pack(0),
            )
        ),
        orientation=turned if 1 <= turned <= 8 else 1,
        profile=profile,
        passes=f"{scans:,} scans" if scans > 1 else "",
    )


def _check_apart(offsets: Sequence[int], lengths: Sequence[int]) -> None:
    """Raises HeaderError where strips or tiles share bytes: a decoder reads each one's anew."""
    if len(lengths) < len(offsets):
        raise HeaderError("TIFF that does not tell the length of each strip or tile")
    end = 0
    for start, length in sorted(zip(offsets, lengths, strict=False)):
        if length and start < end:
            raise HeaderError("TIFF whose strips or tiles share their bytes")
        end = max(end, start + length)


def _entries(data: bytes, layout: _Layout, start: int) -> Mapping[int, _Entry]:
    (count,) = layout.count.unpack_from(data, start)
    check_parts(count, "tags")
    first = start + layout.count.size
    found: dict[int, _Entry] = {}
    for number in range(count):
        place = first + number * layout.entry.size
        tag, kind, values, value = layout.entry.unpack_from(data, place)
        raw = data[place : place + layout.entry.size]
        found.setdefault(tag, _Entry(kind, values, value, raw))
    return found


def _bytes(data: bytes, layout: _Layout, entry: _Entry) -> bytes:
    size = _SIZES.get(entry.kind, 0) * entry.count
    if size <= len(entry.value):
        return entry.value[:size]
    check_profile(size)
    (place,) = layout.offset.unpack(entry.value)
    found = data[place : place + size]
    if len(found) < size:
        raise HeaderError("TIFF whose directory leads out of the file")
    return found


def _numbers(data: bytes, layout: _Layout, entry: _Entry) -> tuple[int, ...]:
    if entry.kind not in _NUMBERS or not entry.count:
        raise HeaderError("TIFF with a damaged directory")
    check_parts(entry.count, "strips or tiles")  # the only numbers that there may be many of
    return struct.unpack(
        f"{layout.order}{entry.count}{_NUMBERS[entry.kind]}", _bytes(data, layout, entry)
    )
