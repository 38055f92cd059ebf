"""Counts what a decoder of AV1 does for an AVIF's picture, which its boxes do not tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lookalike.catalogue.images.headers import HeaderError

_SEQUENCE_HEADER, _FRAME_HEADER, _FRAME = 1, 3, 6
_HEADER_BYTES = 1000  # of a sequence header; it has some ten


class _Bits:
    """Reads bits, the highest first."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        """Returns the next bits; raises HeaderError at the end."""
        self._left -= count
        if self._left < 0:
            raise HeaderError("AVIF with a damaged sequence header")
        return self._value >> self._left & ((1 << count) - 1)


def frames(data: bytes, count: Callable[[], None] = lambda: None) -> list[int]:
    """Returns the pixels of each frame, also of those that are not shown.

    Source: AV1 Bitstream & Decoding Process Specification, sections 5.3 to 5.5.

    Args:
        data: Open bitstream units of one picture.
        count: Called for each unit; raises HeaderError for too many.

    Raises:
        HeaderError: A sequence header is damaged.
    """
    found: list[int] = []
    pixels = 0
    for kind, _, start, end in units(data):
        count()
        if kind == _SEQUENCE_HEADER:
            pixels = max(pixels, _largest_frame(data[start : min(end, start + _HEADER_BYTES)]))
        elif kind in (_FRAME_HEADER, _FRAME):
            found.append(pixels)
    return found


def units(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yields of each unit its type, and where it, its body and what follows begin.

    Args:
        data: Open bitstream units.

    Raises:
        HeaderError: The size of one is damaged.
    """
    place = 0
    while place < len(data):
        head = data[place]
        kind, extended, sized = head >> 3 & 15, head >> 2 & 1, head >> 1 & 1
        start = place + 1 + extended
        size = len(data) - start
        if sized:
            size, start = _leb128(data, start)
        yield kind, place, start, start + size
        place = start + size


def _leb128(data: bytes, position: int) -> tuple[int, int]:
    """Returns a number in groups of 7 bits, and where it ends."""
    value = 0
    for number, byte in enumerate(data[position : position + 8]):
        value |= (byte & 0x7F) << 7 * number
        if not byte & 0x80:
            return value, position + number + 1
    raise HeaderError("AVIF with a damaged unit")


def _largest_frame(data: bytes) -> int:
    """Returns the pixels of the largest frame that a sequence header permits."""
    bits = _Bits(data)
    bits.take(4)  # profile, still picture
    reduced = bits.take(1)
    if reduced:
        bits.take(5)  # level
    else:
        _skip_operating_points(bits)
    width_bits, height_bits = bits.take(4) + 1, bits.take(4) + 1
    if not reduced:  # a frame may have a size of its own, of as many bits
        return 1 << width_bits + height_bits
    return (bits.take(width_bits) + 1) * (bits.take(height_bits) + 1)


def _skip_operating_points(bits: _Bits) -> None:
    delay_bits = 0
    if bits.take(1):  # timing
        bits.take(64)
        if bits.take(1):  # equal intervals, of a number whose bits are counted in zeros
            zeros = 0
            while not bits.take(1):
                zeros += 1
            bits.take(zeros)
        if bits.take(1):  # decoder model
            delay_bits = bits.take(5) + 1
            bits.take(42)
    delayed = bits.take(1)
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        if bits.take(5) > 7:  # level
            bits.take(1)
        if delay_bits and bits.take(1):
            bits.take(2 * delay_bits + 1)
        if delayed and bits.take(1):
            bits.take(4)
