"""Reads the boxes of HEIF and AVIF (ISO/IEC 23008-12), and hides what only describes the photo."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from lookalike.catalogue.images.headers import Header, HeaderError, check_parts, check_profile

# Planes of the decoder, the picture of tiles, and the copies on the way to Pillow.
_BYTES_PER_PIXEL = 14
_NS_PER_PIXEL = 50
_MAX_DEPTH = 4  # of pictures made of pictures
_HIDDEN = (b"Exif", b"mime")
# Brands that a file begins with.
KINDS = dict.fromkeys((b"avif", b"avis"), "AVIF") | dict.fromkeys(
    (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"), "HEIF"
)


class _Box(NamedTuple):
    name: bytes
    start: int  # of what it holds
    end: int


@dataclass
class _Items:
    """What `meta` says of the items."""

    primary: int = 0
    sizes: list[tuple[int, int] | None] = field(default_factory=list)  # by property
    properties: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    made_of: dict[int, list[int]] = field(default_factory=dict)
    hidden: list[int] = field(default_factory=list)  # places of the types of items
    parts: int = 0

    def count(self, parts: int = 1) -> None:
        """Counts boxes, references and associations; raises HeaderError for too many."""
        self.parts += parts
        check_parts(self.parts, "boxes")


def read(data: bytes) -> Header:
    """Returns the header of a HEIF or AVIF.

    Raises:
        HeaderError: It has no picture whose size is told.
    """
    kind = KINDS[data[8:12]]
    items = _Items()
    try:
        for box in _boxes(data, 0, len(data), items):
            if box.name == b"meta":
                _meta(data, box, items)
    except (struct.error, IndexError):
        raise HeaderError(f"{kind} with damaged boxes") from None
    size = _size(items, items.primary)
    if size is None or not all(size):
        raise HeaderError(f"{kind} without a picture whose size is told")
    width, height = size
    tiles = len(items.made_of.get(items.primary, ()))
    coded = _coded(items, items.primary, _MAX_DEPTH, {})
    share = max(1.0, coded / (width * height))
    return Header(
        kind,
        width,
        height,
        bytes_per_pixel=_BYTES_PER_PIXEL * share,
        ns_per_pixel=_NS_PER_PIXEL * share,
        size=len(data),
        drawing=partial(_drawing, data, items.hidden),
        passes=f"{tiles:,} tiles" if tiles else "",
    )


def _drawing(data: bytes, hidden: list[int]) -> bytes:
    """Returns the file with items that only describe the photo of a type that nobody reads."""
    if not hidden:
        return data
    shown = bytearray(data)
    for place in hidden:
        shown[place : place + 4] = b"skip"
    return bytes(shown)


def _boxes(data: bytes, start: int, end: int, items: _Items) -> Iterator[_Box]:
    while start + 8 <= end:
        items.count()
        size, name = struct.unpack_from(">I4s", data, start)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, start + 8)
            head = 16
        stop = end if size == 0 else start + size
        if stop < start + head:
            raise HeaderError("boxes of a size that cannot be")
        yield _Box(name, start + head, min(stop, end))
        start = stop


def _meta(data: bytes, meta: _Box, items: _Items) -> None:
    for box in _boxes(data, meta.start + 4, meta.end, items):
        if box.name == b"pitm":
            wide = data[box.start] > 0
            (items.primary,) = struct.unpack_from(">I" if wide else ">H", data, box.start + 4)
        elif box.name == b"iinf":
            _kinds(data, box, items)
        elif box.name == b"iref":
            _references(data, box, items)
        elif box.name == b"iprp":
            for part in _boxes(data, box.start, box.end, items):
                if part.name == b"ipco":
                    _properties(data, part, items)
                elif part.name == b"ipma":
                    _associations(data, part, items)


def _kinds(data: bytes, box: _Box, items: _Items) -> None:
    start = box.start + (8 if data[box.start] else 6)
    for entry in _boxes(data, start, box.end, items):
        version = data[entry.start]
        if version >= 2:
            wide = version > 2
            place = entry.start + (10 if wide else 8)
            if data[place : place + 4] in _HIDDEN:
                items.hidden.append(place)


def _references(data: bytes, box: _Box, items: _Items) -> None:
    code = ">I" if data[box.start] else ">H"
    step = struct.calcsize(code)
    for part in _boxes(data, box.start + 4, box.end, items):
        (item,) = struct.unpack_from(code, data, part.start)
        (count,) = struct.unpack_from(">H", data, part.start + step)
        items.count(count)
        if part.name == b"dimg":
            first = part.start + step + 2
            items.made_of[item] = [
                struct.unpack_from(code, data, first + step * number)[0] for number in range(count)
            ]


def _properties(data: bytes, box: _Box, items: _Items) -> None:
    for part in _boxes(data, box.start, box.end, items):
        size = None
        if part.name == b"ispe":
            width, height = struct.unpack_from(">2I", data, part.start + 4)
            size = width, height
        elif part.name == b"colr" and data[part.start : part.start + 4] in (b"prof", b"rICC"):
            check_profile(part.end - part.start)  # its decoder finds the photo's
        items.sizes.append(size)


def _associations(data: bytes, box: _Box, items: _Items) -> None:
    version, flags = data[box.start], int.from_bytes(data[box.start + 1 : box.start + 4], "big")
    (count,) = struct.unpack_from(">I", data, box.start + 4)
    items.count(count)
    position = box.start + 8
    item_code = ">I" if version else ">H"
    code, mask = (">H", 0x7FFF) if flags & 1 else (">B", 0x7F)
    for _ in range(count):
        (item,) = struct.unpack_from(item_code, data, position)
        position += struct.calcsize(item_code)
        number = data[position]
        items.count(number)
        position += 1
        for _ in range(number):
            (index,) = struct.unpack_from(code, data, position)
            position += struct.calcsize(code)
            items.properties[item].append((index & mask) - 1)


def _size(items: _Items, item: int) -> tuple[int, int] | None:
    for index in items.properties.get(item, ()):
        if 0 <= index < len(items.sizes) and (size := items.sizes[index]) is not None:
            return size
    return None


def _coded(items: _Items, item: int, depth: int, known: dict[tuple[int, int], int]) -> int:
    """Returns the pixels that are decoded for an item: its own, or those of what it is made of.

    Each is known once it was counted: pictures may be made of the same ones again and again.
    """
    parts = items.made_of.get(item)
    if parts is None:
        width, height = _size(items, item) or (0, 0)
        return width * height
    if not depth:
        raise HeaderError(f"pictures made of pictures more than {_MAX_DEPTH} deep")
    if (item, depth) not in known:
        known[item, depth] = sum(_coded(items, part, depth - 1, known) for part in parts)
    return known[item, depth]
