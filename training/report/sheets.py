"""Contact sheets: photos beside the nearest of the other photos."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from lookalike.catalogue.categories import leaf_of
from training.judging import Judged
from training.model import CATEGORY_OUTPUT
from training.report.style import FADED, INK, PAPER, RIGHT, WRONG, fitted, letters, thumbnail
from training.retrieval import nearest

NEIGHBOURS = 5
ROWS = 8
# pixels
_MARGIN, _GAP, _SIDE, _CAPTION, _HEADER, _BORDER = 32, 18, 200, 50, 84, 5
_LEAST_WIDTH = 720  # title and legend fit


@dataclass(frozen=True)
class Ranked:
    """What each photo found, and in which order to look at them."""

    neighbours: NDArray[np.int64]  # (photos, up to 5), nearest first
    best_first: NDArray[np.int64]  # (photos,)
    worst_first: NDArray[np.int64]  # (photos,)


def ranked(judged: Judged, output: str) -> Ranked:
    """Ranks photos by how many of their 5 nearest have their category.

    Among equals those whose neighbours are the nearest come first on both sides: they are what the
    model is surest of, rightly or wrongly.

    Args:
        judged: At least two photos.
        output: Whose vectors are compared.
    """
    vectors = judged.outputs[output]
    cosine = output != CATEGORY_OUTPUT
    neighbours = nearest(vectors, vectors, NEIGHBOURS, cosine=cosine)
    if cosine:
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors = vectors / np.maximum(lengths, 1e-12)
    distances = np.linalg.norm(vectors[neighbours] - vectors[:, None], axis=2).mean(axis=1)
    precision = (judged.categories[neighbours] == judged.categories[:, None]).mean(axis=1)
    return Ranked(
        neighbours, np.lexsort((distances, -precision)), np.lexsort((distances, precision))
    )


def chosen(order: Iterable[int], judged: Judged, rows: int = ROWS) -> list[int]:
    """Returns the first photos of an order that are of different listings.

    Each is of another category, as far as there are so many.
    """
    found: list[int] = []
    spare: list[int] = []
    categories: set[str] = set()
    listings: set[str] = set()
    for row in order:
        category, listing = str(judged.categories[row]), str(judged.listings[row])
        if listing in listings:
            continue
        if category not in categories:
            found.append(row)
        elif len(spare) < rows:
            spare.append(row)
        else:
            continue
        categories.add(category)
        listings.add(listing)
        if len(found) == rows:
            break
    return [*found, *spare][:rows]


def draw_sheet(
    judged: Judged, neighbours: NDArray[np.int64], rows: list[int], title: str, out: Path
) -> None:
    """Draws a row for each photo: itself, then what it found, nearest first.

    Args:
        judged: The photos.
        neighbours: Of shape (photos, up to 5).
        rows: The photos that ask.
        title: The sheet's.
        out: File to write.
    """
    step = _SIDE + _GAP
    width = max(_LEAST_WIDTH, 2 * _MARGIN + (neighbours.shape[1] + 1) * step + _GAP)
    height = 2 * _MARGIN + _HEADER + len(rows) * (step + _CAPTION) - _GAP
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN, _MARGIN), title, INK, letters(22, bold=True))
    draw.text((_MARGIN, _MARGIN + 42), "photo and guess", FADED, letters(15))
    left = _MARGIN + step + 2 * _GAP  # of the neighbours
    x = left
    legend = (("nearest first:", FADED), ("✓ of its category", RIGHT), ("✗ of another", WRONG))
    for text, colour in legend:
        draw.text((x, _MARGIN + 42), text, colour, letters(15))
        x += int(letters(15).getlength(text)) + 18
    guesses = judged.guesses
    for number, row in enumerate(rows):
        y = _MARGIN + _HEADER + number * (step + _CAPTION)
        truth, guess = str(judged.categories[row]), str(guesses[row])
        guessed = f"{_mark(guess == truth)} {leaf_of(guess)}"
        _tile(sheet, str(judged.photos[row]), (_MARGIN, y), INK)
        _caption(draw, (_MARGIN, y), (leaf_of(truth), INK), (guessed, _colour(guess == truth)))
        for column, hit in enumerate(neighbours[row].tolist()):
            corner = (left + column * step, y)
            category = str(judged.categories[hit])
            colour = _colour(category == truth)
            name = f"{_mark(category == truth)} {leaf_of(category)}"
            same = "the same listing" if judged.listings[hit] == judged.listings[row] else ""
            _tile(sheet, str(judged.photos[hit]), corner, colour)
            _caption(draw, corner, (name, colour), (same, INK), bold_last=True)
    sheet.save(out)


def _tile(sheet: Image.Image, photo: str, corner: tuple[int, int], colour: str) -> None:
    x, y = corner
    inner = _SIDE - 2 * _BORDER
    sheet.paste(thumbnail(photo, inner, whole=True), (x + _BORDER, y + _BORDER))
    box = (x, y, x + _SIDE - 1, y + _SIDE - 1)
    ImageDraw.Draw(sheet).rectangle(box, outline=colour, width=_BORDER - 2)


def _caption(
    draw: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    *lines: tuple[str, str],
    bold_last: bool = False,
) -> None:
    """Writes lines, each a text and its colour, below a tile."""
    x, y = corner
    for number, (text, colour) in enumerate(lines):
        font = letters(15, bold=bold_last and number == len(lines) - 1)
        draw.text((x, y + _SIDE + 4 + 21 * number), fitted(text, font, _SIDE), colour, font)


def _mark(right: bool) -> str:
    return "✓" if right else "✗"


def _colour(right: bool) -> str:
    return RIGHT if right else WRONG
