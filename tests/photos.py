"""Photos that tests make: encoded in any format, of four plain quarters."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image, ImageDraw

RED, GREEN, BLUE, WHITE, BLACK = (
    (255, 0, 0),
    (0, 255, 0),
    (0, 0, 255),
    (255, 255, 255),
    (0, 0, 0),
)


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def quarters(size: tuple[int, int] = (64, 48)) -> Image.Image:
    """Red and green above, blue and white below."""
    image = Image.new("RGB", size, WHITE)
    pen, (width, height) = ImageDraw.Draw(image), size
    for colour, x, y in [(RED, 0, 0), (GREEN, 1, 0), (BLUE, 0, 1)]:
        left, top = x * width // 2, y * height // 2
        pen.rectangle((left, top, left + width // 2 - 1, top + height // 2 - 1), fill=colour)
    return image
