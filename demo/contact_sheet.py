"""Draws a query photo beside the listings found for it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont, ImageOps

MARGIN = 32
GAP = 24
QUERY_SIDE = 340
CARD_SIDE = 220
QUERY_CAPTION = 66
INK, FADED, PAPER, FRAME = "#1c1e21", "#6a6f76", "#ffffff", "#e4e6ea"
GOOD = "#177a3c"


@dataclass(frozen=True)
class Card:
    """One photo and its caption: a line in bold ink, then fainter ones."""

    photo: Path
    heading: str
    lines: Sequence[str]
    agrees: bool = False


def draw_contact_sheet(query: Card, hits: Sequence[Card], out: Path) -> None:
    """Writes a PNG: the query at the left, what was found at the right, nearest first.

    Args:
        query: The photo asked about.
        hits: What was found; a green heading where `agrees`.
        out: File to write.
    """
    columns = max(1, len(hits))
    width = 2 * MARGIN + QUERY_SIDE + columns * (CARD_SIDE + GAP) + GAP
    height = 2 * MARGIN + 36 + QUERY_SIDE + QUERY_CAPTION
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    _label(draw, (MARGIN, MARGIN), "Query", FADED, 20)
    left = MARGIN + QUERY_SIDE + 2 * GAP
    _label(draw, (left, MARGIN), "Nearest listings first; green: of the category found", FADED, 20)
    top = MARGIN + 36
    _draw_card(sheet, query, (MARGIN, top), QUERY_SIDE, 24)
    for number, hit in enumerate(hits):
        _draw_card(sheet, hit, (left + number * (CARD_SIDE + GAP), top), CARD_SIDE, 17)
    out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(out, optimize=True)


def _draw_card(
    sheet: Image.Image, card: Card, corner: tuple[int, int], side: int, size: int
) -> None:
    draw = ImageDraw.Draw(sheet)
    x, y = corner
    with Image.open(card.photo) as photo:
        upright = ImageOps.exif_transpose(photo).convert("RGB")
    tile = ImageOps.fit(upright, (side, side), Image.Resampling.LANCZOS)
    sheet.paste(tile, corner)
    draw.rectangle((x, y, x + side - 1, y + side - 1), outline=FRAME)
    y += side + 10
    _label(draw, (x, y), _fitted(card.heading, size, side), GOOD if card.agrees else INK, size)
    for line in card.lines:
        y += size + 7
        _label(draw, (x, y), _fitted(line, size - 2, side), FADED, size - 2)


def _label(
    draw: ImageDraw.ImageDraw, corner: tuple[int, int], text: str, colour: str, size: int
) -> None:
    draw.text(corner, text, colour, _font(size))


def _fitted(text: str, size: int, width: int) -> str:
    """Returns the text in one line, cut with an ellipsis if it is wider than `width` pixels."""
    text = " ".join(text.split())  # a title may hold line breaks
    font = _font(size)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    # matplotlib brings a font along on every machine; Pillow's own has no pound sign.
    return ImageFont.truetype(Path(get_data_path()) / "fonts/ttf/DejaVuSans.ttf", size)
