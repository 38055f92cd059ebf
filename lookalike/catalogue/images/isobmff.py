"""Reads the boxes of HEIF and AVIF (ISO/IEC 23008-12), and hides what only describes the photo."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from lookalike.catalogue.images import av1
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


class _Piece(NamedTuple):
    """Of an item's bytes, in the file or in `idat`."""

    start: int
    length: int
    inline: bool


@dataclass
class _Items:
    """What `meta` says of the items."""

    primary: int = 0
    sizes: list[tuple[int, int] | None] = field(default_factory=list)  # by property
    properties: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    made_of: dict[int, list[int]] = field(default_factory=dict)
    auxiliary: dict[int, list[int]] = field(default_factory=dict)  # alpha and the like, of an item
    hidden: list[int] = field(default_factory=list)  # places of the types of items
    av1: set[int] = field(default_factory=set)
    places: dict[int, list[_Piece]] = field(default_factory=dict)  # of an item's bytes
    inline: int = 0  # where `idat` begins
    frames: dict[int, list[int]] = field(default_factory=dict)  # pixels of each
    read: int = 0
    parts: int = 0

    def count(self, parts: int = 1) -> None:
        """Counts boxes, references and associations; raises HeaderError for too many."""
        self.parts += parts
        check_parts(self.parts, "boxes")

    def drawn(self, item: int) -> list[int]:
        """Returns the item and what belongs to it."""
        return [item, *self.auxiliary.get(item, ())]

    def size(self, item: int) -> tuple[int, int] | None:
        """Returns what boxes tell."""
        for index in self.properties.get(item, ()):
            if 0 <= index < len(self.sizes) and (size := self.sizes[index]) is not None:
                return size
        return None

    def pixels_held(self, item: int) -> int:
        """Returns how many count for memory: frames refer to others, which are kept."""
        width, height = self.size(item) or (0, 0)
        frames = self.frames.get(item, [])
        return max(width * height, max(frames, default=0) * min(len(frames), 2))

    def pixels_decoded(self, item: int) -> int:
        """Returns how many count for time."""
        width, height = self.size(item) or (0, 0)
        return max(width * height, sum(self.frames.get(item, ())))


def read(data: bytes) -> Header:
    """Returns the header of a HEIF or AVIF.

    A HEIF's decoder compares what is coded with the size that boxes tell, and an AVIF's makes it
    fit, after every frame that is there.

    Raises:
        HeaderError: It has no picture whose size is told.
    """
    kind = KINDS[data[8:12]]
    items = _Items()
    try:
        for box in _boxes(data, 0, len(data), items):
            if box.name == b"meta":
                _meta(data, box, items)
        for item in items.av1:
            items.frames[item] = av1.frames(_content(data, items, item), items.count)
    except (struct.error, IndexError):
        raise HeaderError(f"{kind} with damaged boxes") from None
    size = items.size(items.primary)
    if size is None or not all(size):
        raise HeaderError(f"{kind} without a picture whose size is told")
    width, height = size
    tiles = len(items.made_of.get(items.primary, ()))
    frames = [size for item in items.drawn(items.primary) for size in items.frames.get(item, ())]
    passes = f"{tiles:,} tiles" if tiles else ""
    if not tiles and (len(frames) > 2 or max(frames, default=0) > 4 * width * height):
        many = f"{len(frames):,} frames" if len(frames) > 1 else "a frame"
        passes = f"{many} of {max(frames):,} pixels"

    def share(pixels: Callable[[int], int]) -> float:
        most = _coded(items, items.primary, _MAX_DEPTH, pixels, {})
        return max(1.0, most / (width * height))

    return Header(
        kind,
        width,
        height,
        bytes_per_pixel=_BYTES_PER_PIXEL * share(items.pixels_held),
        ns_per_pixel=_NS_PER_PIXEL * share(items.pixels_decoded),
        size=len(data),
        drawing=partial(_drawing, data, items.hidden),
        passes=passes,
    )


def _drawing(data: bytes, hidden: list[int]) -> bytes:
    """Returns the file with items that only describe the photo of a type that nobody reads.

    A sequence becomes its still picture, which it holds too.
    """
    sequence = data[8:12] == b"avis"
    if not hidden and not sequence:
        return data
    shown = bytearray(data)
    if sequence:
        shown[8:12] = b"avif"
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
        elif box.name == b"iloc":
            _locations(data, box, items)
        elif box.name == b"idat":
            items.inline = box.start
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
            code = ">I" if version > 2 else ">H"
            place = entry.start + struct.calcsize(code) + 6
            kind = data[place : place + 4]
            if kind in _HIDDEN:
                items.hidden.append(place)
            elif kind == b"av01":
                items.av1.update(struct.unpack_from(code, data, entry.start + 4))


def _locations(data: bytes, box: _Box, items: _Items) -> None:
    """Reads where the bytes of items are: pieces of the file, or of `idat`."""
    version = data[box.start]
    sizes = struct.unpack_from(">H", data, box.start + 4)[0]
    offset_size, length_size, base_size, index_size = (
        sizes >> shift & 15 for shift in (12, 8, 4, 0)
    )
    position = box.start + 6

    def number(size: int) -> int:
        nonlocal position
        if position + size > box.end:
            raise IndexError
        position += size
        return int.from_bytes(data[position - size : position], "big")

    for _ in range(number(4 if version == 2 else 2)):
        item = number(4 if version == 2 else 2)
        inline = version > 0 and number(2) & 15 == 1
        number(2)  # another file's number
        base = number(base_size)
        pieces = number(2)
        items.count(1 + pieces)
        places = items.places[item] = []
        for _ in range(pieces):
            number(index_size if version else 0)
            start, length = base + number(offset_size), number(length_size)
            places.append(_Piece(start, length or len(data), inline))


def _content(data: bytes, items: _Items, item: int) -> bytes:
    """Returns an item's bytes; raises HeaderError where items share theirs."""
    pieces = []
    for piece in items.places.get(item, ()):
        start = piece.start + (items.inline if piece.inline else 0)
        pieces.append(data[start : start + piece.length])
        items.read += len(pieces[-1])
        if items.read > len(data):
            raise HeaderError("pictures that share their bytes")
    return b"".join(pieces)


def _references(data: bytes, box: _Box, items: _Items) -> None:
    code = ">I" if data[box.start] else ">H"
    step = struct.calcsize(code)
    for part in _boxes(data, box.start + 4, box.end, items):
        (item,) = struct.unpack_from(code, data, part.start)
        (count,) = struct.unpack_from(">H", data, part.start + step)
        items.count(count)
        if part.name not in (b"dimg", b"auxl"):
            continue
        first = part.start + step + 2
        others = [
            struct.unpack_from(code, data, first + step * number)[0] for number in range(count)
        ]
        if part.name == b"dimg":
            items.made_of[item] = others
        else:
            for other in others:
                items.auxiliary.setdefault(other, []).append(item)


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


def _coded(
    items: _Items,
    item: int,
    depth: int,
    pixels: Callable[[int], int],
    known: dict[tuple[int, int], int],
) -> int:
    """Returns the pixels of an item: its own, or those of what it is made of.

    Alpha of as many is part of the costs of a pixel, wherever it belongs. Each is known once it was
    counted: pictures may be made of the same ones again and again.
    """
    if (item, depth) in known:
        return known[item, depth]
    most = 0
    for one in items.drawn(item):
        parts = items.made_of.get(one)
        if parts is None:
            found = pixels(one)
        elif depth:
            found = sum(_coded(items, part, depth - 1, pixels, known) for part in parts)
        else:
            raise HeaderError(f"pictures made of pictures more than {_MAX_DEPTH} deep")
        most = max(most, found)
    known[item, depth] = most
    return most
