"""What a photo will cost, told from its headers and markers before a decoder sees it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

# Of profiles as devices and shops embed them; large ones are tables of print shops.
MAX_PROFILE_BYTES = 4 << 20
# Of chunks, segments and blocks; a photo has some dozens, and hundreds where it is written in
# small pieces. Each takes a microsecond of the interpreter.
MAX_PARTS = 20_000
# Pixels of a side, as of JPEG, GIF and what draws photos. Decoders spend time and memory on each
# row, and convert a row at once, so that one of 60 million pixels costs many times its share.
MAX_SIDE = 65_535

# Of an ordinary core, for each byte of the file; measured at the worst (docs/embedder.md).
_NS_PER_BYTE = 50


class HeaderError(ValueError):
    """A header does not hold what it must; the message says what."""


@dataclass(frozen=True)
class Header:
    """A photo's own account of itself.

    Attributes:
        kind: Format, as Pillow names it.
        width: In pixels; the canvas's, where frames are smaller.
        height: In pixels.
        bytes_per_pixel: Most memory for each pixel while it is decoded and converted.
        ns_per_pixel: Most time of an ordinary core for each pixel, all passes together; besides
            what each byte of the file takes.
        size: Bytes of the file.
        drawing: Returns the file for the decoder, without what only describes the photo.
        orientation: EXIF's, 1 to 8; 1 where the decoder turns the photo itself.
        profile: Its ICC profile; empty for sRGB.
        passes: What goes over the pixels again and again, such as `12 scans`; may be empty.
    """

    kind: str
    width: int
    height: int
    bytes_per_pixel: float
    ns_per_pixel: float
    size: int
    drawing: Callable[[], bytes] = field(repr=False)
    orientation: int = 1
    profile: bytes = field(default=b"", repr=False)
    passes: str = ""

    @property
    def pixels(self) -> int:
        """Width × height."""
        return self.width * self.height

    @property
    def memory(self) -> int:
        """Most bytes that its decoding holds, beside the file."""
        return round(self.pixels * self.bytes_per_pixel)

    @property
    def seconds(self) -> float:
        """Most time that its decoding takes on an ordinary core."""
        return (self.pixels * self.ns_per_pixel + self.size * _NS_PER_BYTE) / 1e9


def conversion_ns(*, grey: bool, alpha: bool, bits: int = 8) -> int:
    """Returns the time of a pixel's conversion to RGB, where it is not there already."""
    if bits > 8 and grey and not alpha:
        return 20
    return 16 if alpha else 6 if grey else 0


def check_parts(count: int, what: str) -> None:
    """Raises HeaderError for too many parts."""
    if count > MAX_PARTS:
        raise HeaderError(f"has more than {MAX_PARTS:,} {what}")


def check_profile(size: int) -> None:
    """Raises HeaderError for a colour profile that is too large."""
    if size > MAX_PROFILE_BYTES:
        raise HeaderError(
            f"has a colour profile of {size:,} bytes; the limit is {MAX_PROFILE_BYTES:,}"
        )
