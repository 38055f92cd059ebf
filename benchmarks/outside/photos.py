"""Makes photos that cost their decoder much, from numbers that a search may change."""

from __future__ import annotations

import dataclasses
import io
import random
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from lookalike.catalogue.images import av1

# By format, the modes that its files have and what its encoder may be told.
CHOICES: Mapping[str, tuple[Sequence[str], Mapping[str, Sequence[Any]]]] = {
    "JPEG": (
        ("L", "RGB", "CMYK"),
        {
            "quality": (1, 30, 75, 100),
            "progressive": (False, True),
            "subsampling": (0, 1, 2),
            "optimize": (False, True),
            "restart_marker_blocks": (0, 1, 100),
        },
    ),
    "PNG": (
        ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
        {"compress_level": (1, 6, 9), "compress_type": (0, 1, 2, 3, 4)},
    ),
    "WEBP": (
        ("RGB", "RGBA"),
        {
            "lossless": (False, True),
            "quality": (0, 50, 100),
            "method": (0, 2),
            "alpha_quality": (0, 100),
        },
    ),
    "GIF": (("L", "P"), {"transparency": (0, 255), "interlace": (0, 1)}),
    "TIFF": (
        ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"),
        {"compression": ("tiff_lzw", "tiff_adobe_deflate", "packbits", "raw")},
    ),
    "AVIF": (
        ("RGB", "RGBA"),
        {"quality": (1, 50, 90), "subsampling": ("4:2:0", "4:4:4"), "speed": (9, 10)},
    ),
}


@dataclass(frozen=True)
class Recipe:
    """How a photo is made.

    Attributes:
        kind: Format, as Pillow names it.
        mode: Pillow's mode.
        wide: Width as a share of the longer side, and height, on a logarithmic scale from -1 to 1.
        noise: Largest deviation of a pixel, 0 to 255.
        period: Pixels after which the pattern returns.
        repeats: How often the last scan of a JPEG or the last frame of an AVIF is repeated.
        options: The encoder's.
    """

    kind: str
    mode: str
    wide: float = 0.0
    noise: int = 8
    period: int = 64
    repeats: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)

    def changed(self, dice: random.Random) -> Recipe:
        """Returns a neighbour."""
        modes, options = CHOICES[self.kind]
        name = dice.choice([*options, "mode", "wide", "noise", "period", "repeats"])
        if name in options:
            return dataclasses.replace(
                self, options={**self.options, name: dice.choice(options[name])}
            )
        changes: dict[str, Any] = {
            "mode": dice.choice(modes),
            "wide": dice.uniform(-1, 1),
            "noise": dice.choice((0, 1, 4, 16, 64, 255)),
            "period": dice.choice((1, 3, 16, 64, 1000)),
            "repeats": dice.choice((0, 10, 40, 160)),
        }
        return dataclasses.replace(self, **{name: changes[name]})

    def make(self, pixels: int) -> bytes:
        """Returns the photo, of about so many pixels."""
        ratio = 30.0**self.wide
        width = max(1, min(16_000, round((pixels * ratio) ** 0.5)))
        height = max(1, min(16_000, round(pixels / width)))
        options = dict(self.options)
        if self.mode not in ("L", "P"):
            options.pop("transparency", None)
        out = io.BytesIO()
        _picture(self.mode, width, height, self.noise, self.period).save(out, self.kind, **options)
        data = out.getvalue()
        again = {"JPEG": _with_repeated_scan, "AVIF": with_repeated_frame}.get(self.kind)
        return again(data, self.repeats) if again and self.repeats else data

    def __str__(self) -> str:
        return f"{self.kind} {self.mode}"


def _picture(mode: str, width: int, height: int, noise: int, period: int) -> Image.Image:
    dice = np.random.default_rng(7)
    channels = {"LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}.get(mode, 1)
    tile = dice.integers(0, noise + 1, (min(period, height), min(period, width), channels))
    repeats = (-(-height // tile.shape[0]), -(-width // tile.shape[1]), 1)
    values = np.tile(tile.astype(np.uint8), repeats)[:height, :width]
    if channels > 1:
        return Image.fromarray(values, mode)
    grey = Image.fromarray(values[..., 0])
    if mode.startswith("I;16"):
        return Image.fromarray(values[..., 0].astype(np.uint16) * 257)
    return grey.quantize(256) if mode == "P" else grey.convert(mode)


def _with_repeated_scan(data: bytes, repeats: int) -> bytes:
    """Repeats the last scan, with the tables before it, as a decoder is bound to follow."""
    scans = [found.start() for found in re.finditer(rb"\xff\xda", data)]
    last, end = data[scans[-1] : -2], data[-2:]
    return data[:-2] + last * repeats + end


def with_repeated_frame(data: bytes, repeats: int) -> bytes:
    """Repeats the last frame of an AVIF's last picture: decoded each time, and never shown."""
    start = data.index(b"mdat") + 4
    mdat = len(data) - start
    # The last extent of `iloc`, as Pillow writes it: offset and length, of 4 bytes each.
    table = data.index(b"iloc")
    table_end = table - 4 + int.from_bytes(data[table - 4 : table], "big")
    offset, length = struct.unpack_from(">2I", data, table_end - 8)
    end = offset + length
    *_, (_, frame, _, _) = av1.units(data[offset:end])
    more = data[offset + frame : end] * repeats
    head = bytearray(data[:start])
    struct.pack_into(">I", head, start - 8, 8 + mdat + len(more))
    struct.pack_into(">I", head, table_end - 4, length + len(more))
    return bytes(head) + data[start:end] + more + data[end:]
