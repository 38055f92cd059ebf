"""One look for all pictures of a report: colours, letters, and how a photo is shown."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matplotlib import get_data_path, rc_context
from matplotlib.figure import Figure
from PIL import Image, ImageFont, ImageOps

INK, FADED, PAPER, FRAME = "#1c1e21", "#6a6f76", "#ffffff", "#d9dce1"
# Blue and vermilion of Okabe and Ito, "Color Universal Design": told apart by nearly everybody.
RIGHT, WRONG = "#0072b2", "#d55e00"
# Paul Tol's "bright" scheme, made for people who see colours differently. Shapes tell apart what
# shares a colour.
COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#8c8c8c")
SHAPES = ("o", "^", "s", "D")

_DPI = 144
_BLACK = 24  # of 255: JPEG's noise in a letterbox's bars stays below
_LETTERS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # matplotlib brings it along, so it is on every machine
    "font.size": 10,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.edgecolor": FADED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": FRAME,
    "grid.linewidth": 0.8,
    "legend.edgecolor": PAPER,  # no frame, but what lies under its letters is dimmed
    "legend.framealpha": 0.85,
    "text.color": INK,
    "text.parse_math": False,  # a category may have dollars in its name
    "xtick.color": FADED,
    "xtick.labelcolor": INK,
    "ytick.color": FADED,
    "ytick.labelcolor": INK,
}


@contextmanager
def drawing(out: Path, width: float, height: float) -> Iterator[Figure]:
    """Yields a figure to draw on, and writes it to a PNG; sizes in inches."""
    with rc_context(_LETTERS):
        # Not through pyplot, which would keep every figure open and look for a window system.
        figure = Figure((width, height), facecolor=PAPER)
        figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.12)
        yield figure
        figure.savefig(out, dpi=_DPI)


def look(number: int) -> tuple[str, str]:
    """Returns the colour and shape of a group; the groups beyond 28 share a last one."""
    if number >= len(COLOURS) * len(SHAPES):
        return FRAME, "o"
    return COLOURS[number % len(COLOURS)], SHAPES[number // len(COLOURS)]


def thumbnail(photo: str, side: int, *, whole: bool) -> Image.Image:
    """Returns a photo in a square without the black bars of its letterbox.

    Args:
        photo: The file.
        side: In pixels.
        whole: Leave room at the sides, or else cut the photo to a square.
    """
    with Image.open(photo) as file:
        upright = ImageOps.exif_transpose(file).convert("RGB")
    bright = upright.convert("L").point(lambda value: 255 * (value > _BLACK))
    if box := bright.getbbox():  # none: the photo is black
        upright = upright.crop(box)
    if whole:
        return ImageOps.pad(upright, (side, side), Image.Resampling.LANCZOS, color=PAPER)
    return ImageOps.fit(upright, (side, side), Image.Resampling.LANCZOS)


def fitted(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """Returns the text in one line, cut with an ellipsis if it is wider than `width` pixels."""
    text = " ".join(text.split())
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"


@functools.cache
def letters(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Returns the font of the plots for Pillow; the size in pixels."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(get_data_path()) / "fonts/ttf" / name, size)


def short(names: Sequence[str], most: int = 34) -> list[str]:
    """Returns names cut to a number of letters."""
    return [name if len(name) <= most else name[: most - 1].rstrip() + "…" for name in names]
