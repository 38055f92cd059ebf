"""Draws contact sheets: a photo beside what was found for it. One look for all of them.

Knows neither gateway nor models: photos come as paths or as bytes.
"""

from __future__ import annotations

import functools
import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from lookalike.catalogue.images import ImageLimits, decode
from lookalike.errors import LookalikeError
from lookalike.files import replacing

MARGIN = 32
GAP = 24
QUERY_SIDE = 340
CARD_SIDE = 220
CARD_CAPTION = 146
COLUMNS = 5
TITLE = 36
SMALLEST = 12  # of letters; a line that is still too long is cut
_LARGEST = 40  # of words in a tile
_LEADING = 1.3  # from line to line, in sizes of letters
_MOST_IN_TILE = 1024  # characters; more are never legible there
INK, FADED, PAPER, FRAME, BLANK = "#1c1e21", "#6a6f76", "#ffffff", "#d9dce1", "#f4f5f7"
GOOD = "#177a3c"

_LIMITS = ImageLimits(max_bytes=64 << 20)
_BLACK = 24  # of 255: JPEG's noise in a letterbox's bars stays below

# Each with its bold letters, and with the pound sign, which Pillow's own font lacks. By name Pillow
# looks where the system keeps fonts.
_FONTS = (
    ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf"),
    ("LiberationSans-Regular.ttf", "LiberationSans-Bold.ttf"),
    ("NotoSans-Regular.ttf", "NotoSans-Bold.ttf"),
    ("Arial.ttf", "Arial Bold.ttf"),
)
# What Pillow's own font has instead.
_PLAIN = str.maketrans({"£": "GBP ", "€": "EUR ", "¥": "JPY ", "–": "-", "—": "-", "×": "x"})

Photo = Path | bytes | None
"""A file, or an encoded photo; None, or one that cannot be read, leaves a grey place."""


@dataclass(frozen=True)
class Card:
    """A tile and its caption: a line in ink, then fainter ones.

    Attributes:
        photos: Several share the tile.
        heading: The first line of the caption.
        lines: The others.
        agrees: The heading is green.
        words: Stand in the tile where there are no photos.
    """

    photos: Sequence[Photo]
    heading: str
    lines: Sequence[str]
    agrees: bool = False
    words: str = ""


class Sheet:
    """A picture that photos and texts are put on; all in pixels, corners at the top left."""

    def __init__(self, width: int, height: int) -> None:
        self.image = Image.new("RGB", (width, height), PAPER)
        self._draw = ImageDraw.Draw(self.image)

    def write(
        self,
        corner: tuple[int, int],
        text: str,
        size: int,
        colour: str,
        *,
        width: int,
        smaller: bool = False,
        bold: bool = False,
    ) -> None:
        """Writes one line.

        Args:
            corner: Where.
            text: What; cut with an ellipsis where it is wider than `width`.
            size: Of the letters.
            colour: Likewise.
            width: Room that there is.
            smaller: Make the letters smaller first, as far as one can read them.
            bold: Use bold letters.
        """
        line = one_line(text)
        if smaller:
            sizes = range(size, SMALLEST - 1, -1)
            fits = (each for each in sizes if letters(each, bold=bold).getlength(line) <= width)
            size = next(fits, size)
        font = letters(size, bold=bold)
        self._draw.text(corner, fitted(line, font, width), colour, font)

    def put(
        self,
        photos: Sequence[Photo],
        corner: tuple[int, int],
        side: int,
        *,
        frame: str = FRAME,
        border: int = 0,
        whole: bool = False,
    ) -> None:
        """Puts photos into a square.

        Args:
            photos: Several share it.
            corner: Where.
            side: Of the square.
            frame: Colour of its frame.
            border: Room for that; with none the frame is a line over the photo.
            whole: As of `shown`.
        """
        x, y = corner
        box = (x, y, x + side - 1, y + side - 1)
        self._draw.rectangle(box, fill=PAPER if border else BLANK)
        inner = side - 2 * border
        for photo, (left, top, right, bottom) in zip(
            photos, _places(len(photos), inner), strict=True
        ):
            place = (x + border + left, y + border + top)
            tile = shown(photo, (right - left, bottom - top), whole=whole)
            if tile is not None:
                self.image.paste(tile, place)
            else:
                middle = (place[0] + (right - left) // 2, place[1] + (bottom - top) // 2)
                self._draw.text(middle, "no photo here", FADED, letters(15), anchor="mm")
        self._draw.rectangle(box, outline=frame, width=max(1, border - 2))

    def put_words(self, words: str, corner: tuple[int, int], side: int) -> None:
        """Puts words into a square, in the largest letters with which they fit; cut if none do."""
        x, y = corner
        box = (x, y, x + side - 1, y + side - 1)
        self._draw.rectangle(box, fill=BLANK, outline=FRAME)
        room = side - 2 * GAP
        seen = (letter if letter.isprintable() else " " for letter in words[:_MOST_IN_TILE])
        line = one_line("".join(seen))
        lines: list[str] = []
        size = SMALLEST
        for size in range(_LARGEST, SMALLEST - 1, -2):
            lines = _wrapped(line, letters(size), room)
            if len(lines) * _LEADING * size <= room and " ".join(lines) == line:
                break
        most = int(room / (_LEADING * size))
        if len(lines) > most:
            lines = [*lines[: most - 1], lines[most - 1] + "…"]
        top = y + side / 2 - (len(lines) - 1) / 2 * _LEADING * size
        for number, each in enumerate(lines):
            at = (x + side / 2, top + number * _LEADING * size)
            font = letters(size)
            self._draw.text(at, fitted(each, font, room), INK, font, anchor="mm")

    def save(self, out: Path) -> None:
        """Writes the picture; the suffix says the format."""
        with replacing(out) as aside:
            self.image.save(aside)  # `optimize` would save 4 % of bytes in five times the time


def draw_contact_sheet(query: Card, hits: Sequence[Card], out: Path, *, note: str = "") -> None:
    """Writes a picture: the query at the left, what was found at the right, nearest first.

    Args:
        query: What was asked about.
        hits: What was found, five in a row; a green heading where `agrees`.
        out: File to write; its suffix says the format.
        note: Stands above the hits.

    Raises:
        FileError: The file cannot be written.
    """
    columns = min(COLUMNS, max(1, len(hits)))
    rows = max(1, math.ceil(len(hits) / COLUMNS))
    row_height = CARD_SIDE + CARD_CAPTION
    width = 2 * MARGIN + QUERY_SIDE + columns * (CARD_SIDE + GAP) + GAP
    height = 2 * MARGIN + TITLE + max(QUERY_SIDE + 40 + 26 * len(query.lines), rows * row_height)
    sheet = Sheet(width, height)
    sheet.write((MARGIN, MARGIN), "Query", 20, FADED, width=QUERY_SIDE)
    left = MARGIN + QUERY_SIDE + 2 * GAP
    note = note or "Nearest listings first"
    sheet.write((left, MARGIN), note, 20, FADED, width=width - left - MARGIN)
    top = MARGIN + TITLE
    _draw_card(sheet, query, (MARGIN, top), QUERY_SIDE, 24)
    for number, hit in enumerate(hits):
        row, column = divmod(number, COLUMNS)
        corner = (left + column * (CARD_SIDE + GAP), top + row * row_height)
        _draw_card(sheet, hit, corner, CARD_SIDE, 17)
    sheet.save(out)


def _draw_card(sheet: Sheet, card: Card, corner: tuple[int, int], side: int, size: int) -> None:
    if card.words and not card.photos:
        sheet.put_words(card.words, corner, side)
    else:
        sheet.put(card.photos, corner, side)
    x, y = corner
    y += side + 10
    sheet.write((x, y), card.heading, size, GOOD if card.agrees else INK, width=side)
    for line in card.lines:
        y += size + 7
        sheet.write((x, y), line, size - 2, FADED, width=side, smaller=True)


def shown(photo: Photo, size: tuple[int, int], *, whole: bool) -> Image.Image | None:
    """Returns a photo without the black bars of its letterbox; None if it cannot be read.

    Args:
        photo: The photo.
        size: Width and height to fill, in pixels.
        whole: Leave room at the sides, or else cut off what is too wide or too high.
    """
    if photo is None:
        return None
    try:
        data = photo if isinstance(photo, bytes) else photo.read_bytes()
        # Enough pixels to cut a tile out of a photo four times as wide as high.
        upright = decode(data, _LIMITS, fit=4 * max(size))
    except (OSError, ValueError, LookalikeError):
        return None  # the embedder has said what is wrong with it; a sheet only shows
    bright = upright.convert("L").point(lambda value: 255 * (value > _BLACK))
    if box := bright.getbbox():  # none: the photo is black
        upright = upright.crop(box)
    if whole:
        return ImageOps.pad(upright, size, Image.Resampling.LANCZOS, color=PAPER)
    return ImageOps.fit(upright, size, Image.Resampling.LANCZOS)


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


def fitted(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> str:
    """Returns the text in one line, cut with an ellipsis if it is wider than `width` pixels."""
    text = one_line(text)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"


def _wrapped(
    line: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float
) -> list[str]:
    """Returns a line broken between words; a word that is wider than that has a line of its own."""
    lines: list[str] = []
    for word in line.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    # Of a word that is too wide, only what fits: the next smaller letters may have room for it.
    return [fitted(each, font, width) for each in lines]


def one_line(text: str) -> str:
    """Returns a text without line breaks, and with what the font lacks spelt out."""
    if _font_files() is None:  # there is none but Pillow's own
        text = text.translate(_PLAIN)
    return " ".join(text.split())


@functools.cache
def letters(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Returns the font of all pictures, the size in pixels."""
    files = _font_files()
    return ImageFont.truetype(files[bold], size) if files else ImageFont.load_default(size)


@functools.cache
def _font_files() -> tuple[str, str] | None:
    """Returns plain and bold letters with a pound sign; None if this machine has none we know."""
    first, *others = _FONTS
    for plain, bold in (first, *_from_matplotlib(), *others):
        if _is_font(plain):
            return plain, bold if _is_font(bold) else plain
    return None


def _is_font(name: str) -> bool:
    try:
        ImageFont.truetype(name, SMALLEST)
    except OSError:
        return False
    return True


def _from_matplotlib() -> list[tuple[str, str]]:
    """Its copy of DejaVu Sans, on machines that train; it is looked for, not imported."""
    found = importlib.util.find_spec("matplotlib")
    folders = found.submodule_search_locations if found else None
    fonts = [f"{folder}/mpl-data/fonts/ttf" for folder in folders or ()]
    return [(f"{at}/DejaVuSans.ttf", f"{at}/DejaVuSans-Bold.ttf") for at in fonts]
