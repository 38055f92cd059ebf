"""Draws a contact sheet: the photo asked about beside the listings that were found for it.

Knows neither gateway nor files of a catalogue: photos come as paths or as bytes.
"""

from __future__ import annotations

import functools
import importlib.util
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lookalike.cli.console import UsageError

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

MARGIN = 32
GAP = 24
QUERY_SIDE = 340
CARD_SIDE = 220
CARD_CAPTION = 146
COLUMNS = 5
TITLE = 36
SMALLEST = 12  # of letters; a line that is still too long is cut
FORMATS = (".png", ".jpg", ".jpeg", ".webp")
INK, FADED, PAPER, FRAME, BLANK = "#1c1e21", "#6a6f76", "#ffffff", "#e4e6ea", "#f4f5f7"
GOOD = "#177a3c"

# Each has the pound sign, which Pillow's own font lacks. By name Pillow looks where the system
# keeps fonts.
_FONTS = ("DejaVuSans.ttf", "LiberationSans-Regular.ttf", "NotoSans-Regular.ttf", "Arial.ttf")
# What Pillow's own font has instead.
_PLAIN = str.maketrans({"£": "GBP ", "€": "EUR ", "¥": "JPY ", "–": "-", "—": "-", "×": "x"})


@dataclass(frozen=True)
class Card:
    """A tile and its caption: a line in bold ink, then fainter ones.

    Attributes:
        photos: Files, or encoded photos; several share the tile. None, or one that cannot be read,
            leaves a grey place.
        heading: The first line of the caption.
        lines: The others.
        agrees: The heading is green.
    """

    photos: Sequence[Path | bytes | None]
    heading: str
    lines: Sequence[str]
    agrees: bool = False


def check_writable(out: Path) -> None:
    """Raises UsageError for a file whose suffix names no format; better before the work."""
    if out.suffix.lower() not in FORMATS:
        raise UsageError(f"{out}: the sheet's name must end in one of {' '.join(FORMATS)}")


def draw_contact_sheet(query: Card, hits: Sequence[Card], out: Path, *, note: str = "") -> None:
    """Writes a picture: the query at the left, what was found at the right, nearest first.

    Args:
        query: What was asked about.
        hits: What was found, five in a row; a green heading where `agrees`.
        out: File to write; its suffix says the format.
        note: Stands above the hits.
    """
    from PIL import Image, ImageDraw

    columns = min(COLUMNS, max(1, len(hits)))
    rows = max(1, math.ceil(len(hits) / COLUMNS))
    row_height = CARD_SIDE + CARD_CAPTION
    width = 2 * MARGIN + QUERY_SIDE + columns * (CARD_SIDE + GAP) + GAP
    height = 2 * MARGIN + TITLE + max(QUERY_SIDE + 40 + 26 * len(query.lines), rows * row_height)
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    _label(draw, (MARGIN, MARGIN), "Query", FADED, 20)
    left = MARGIN + QUERY_SIDE + 2 * GAP
    space = width - left - MARGIN
    _label(draw, (left, MARGIN), _fitted(note or "Nearest listings first", 20, space), FADED, 20)
    top = MARGIN + TITLE
    _draw_card(sheet, query, (MARGIN, top), QUERY_SIDE, 24)
    for number, hit in enumerate(hits):
        row, column = divmod(number, COLUMNS)
        corner = (left + column * (CARD_SIDE + GAP), top + row * row_height)
        _draw_card(sheet, hit, corner, CARD_SIDE, 17)
    out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(out, optimize=True)


def _draw_card(
    sheet: Image.Image, card: Card, corner: tuple[int, int], side: int, size: int
) -> None:
    from PIL import ImageDraw

    draw = ImageDraw.Draw(sheet)
    x, y = corner
    draw.rectangle((x, y, x + side - 1, y + side - 1), fill=BLANK)
    for photo, (left, top, right, bottom) in zip(
        card.photos, _places(len(card.photos), side), strict=True
    ):
        tile = _tile(photo, (right - left, bottom - top))
        if tile is None:
            middle = (x + (left + right) // 2, y + (top + bottom) // 2)
            draw.text(middle, "no photo here", FADED, _font(15), anchor="mm")
        else:
            sheet.paste(tile, (x + left, y + top))
    draw.rectangle((x, y, x + side - 1, y + side - 1), outline=FRAME)
    y += side + 10
    _label(draw, (x, y), _fitted(card.heading, size, side), GOOD if card.agrees else INK, size)
    for line in card.lines:
        y += size + 7
        smaller = _size_for(line, size - 2, side)
        _label(draw, (x, y), _fitted(line, smaller, side), FADED, smaller)


def _places(photos: int, side: int) -> list[tuple[int, int, int, int]]:
    """Returns where each of several photos goes, so that together they fill a square."""
    across = max(1, math.ceil(math.sqrt(photos)))
    rows = [min(across, photos - start) for start in range(0, photos, across)]
    return [
        (
            column * side // inside,
            row * side // len(rows),
            (column + 1) * side // inside,
            (row + 1) * side // len(rows),
        )
        for row, inside in enumerate(rows)
        for column in range(inside)
    ]


def _tile(photo: Path | bytes | None, size: tuple[int, int]) -> Image.Image | None:
    from PIL import Image, ImageOps

    if photo is None:
        return None
    try:
        _know_heic()
        with Image.open(io.BytesIO(photo) if isinstance(photo, bytes) else photo) as opened:
            opened.draft("RGB", (2 * size[0], 2 * size[1]))  # a large JPEG is decoded smaller
            upright = ImageOps.exif_transpose(opened).convert("RGB")
            return ImageOps.fit(upright, size, Image.Resampling.LANCZOS)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None  # the embedder has said what is wrong with it; a sheet only shows


@functools.cache
def _know_heic() -> None:
    if importlib.util.find_spec("pi_heif"):  # comes with the services, not with the command line
        import pi_heif

        pi_heif.register_heif_opener()


def _label(
    draw: ImageDraw.ImageDraw, corner: tuple[int, int], text: str, colour: str, size: int
) -> None:
    draw.text(corner, _drawable(text), colour, _font(size))


def _size_for(text: str, size: int, width: int) -> int:
    """Returns the size in which a line fits, if one not too small does: words are worth more."""
    line = _one_line(text)
    sizes = range(size, SMALLEST - 1, -1)
    return next((each for each in sizes if _font(each).getlength(line) <= width), size)


def _fitted(text: str, size: int, width: int) -> str:
    """Returns the text in one line, cut with an ellipsis if it is wider than `width` pixels."""
    text = _one_line(text)
    font = _font(size)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"


def _one_line(text: str) -> str:
    return " ".join(_drawable(text).split())  # a title may hold line breaks


def _drawable(text: str) -> str:
    """Returns what the font has: all of it, unless there is none but Pillow's own."""
    return text.translate(_PLAIN) if _font_file() is None else text


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    from PIL import ImageFont

    file = _font_file()
    return ImageFont.truetype(file, size) if file else ImageFont.load_default(size)


@functools.cache
def _font_file() -> str | None:
    """Returns a font with a pound sign; None if this machine has none that we know."""
    from PIL import ImageFont

    for name in (*_FONTS, *_from_matplotlib()):
        try:
            ImageFont.truetype(name, 12)
        except OSError:
            continue
        return name
    return None


def _from_matplotlib() -> tuple[str, ...]:
    """Its copy of DejaVu Sans, on machines that train; it is looked for, not imported."""
    found = importlib.util.find_spec("matplotlib")
    folders = found.submodule_search_locations if found else None
    return tuple(f"{folder}/mpl-data/fonts/ttf/DejaVuSans.ttf" for folder in folders or ())
