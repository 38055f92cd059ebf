"""Contact sheets: photos beside the nearest of the other photos."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lookalike.catalogue.categories import leaf_of
from lookalike.catalogue.sheets import FADED, INK, MARGIN, Sheet, letters
from training.config import CATEGORY_OUTPUT
from training.judging import Predictions
from training.report.style import RIGHT, WRONG
from training.retrieval import nearest

NEIGHBOURS = 5
ROWS = 8
_GAP, _SIDE, _CAPTION, _HEADER, _BORDER = 18, 200, 50, 84, 5  # pixels
_LEAST_WIDTH = 720  # title and legend fit


@dataclass(frozen=True)
class Ranked:
    """What each photo found, and in which order to look at them."""

    neighbours: NDArray[np.int64]  # (photos, up to 5), nearest first
    best_first: NDArray[np.int64]  # (photos,)
    worst_first: NDArray[np.int64]  # (photos,)


def ranked(judged: Predictions, output: str) -> Ranked:
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


def chosen(order: Iterable[int], judged: Predictions, rows: int = ROWS) -> list[int]:
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
    judged: Predictions, neighbours: NDArray[np.int64], rows: list[int], title: str, out: Path
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
    width = max(_LEAST_WIDTH, 2 * MARGIN + (neighbours.shape[1] + 1) * step + _GAP)
    height = 2 * MARGIN + _HEADER + len(rows) * (step + _CAPTION) - _GAP
    sheet = Sheet(width, height)
    sheet.write((MARGIN, MARGIN), title, 22, INK, width=width - 2 * MARGIN, bold=True)
    sheet.write((MARGIN, MARGIN + 42), "photo and guess", 15, FADED, width=_SIDE)
    left = MARGIN + step + 2 * _GAP  # of the neighbours
    x = left
    legend = (("nearest first:", FADED), ("✓ of its category", RIGHT), ("✗ of another", WRONG))
    for text, colour in legend:
        sheet.write((x, MARGIN + 42), text, 15, colour, width=width - x)
        x += int(letters(15).getlength(text)) + 18
    guesses = judged.guesses
    for number, row in enumerate(rows):
        y = MARGIN + _HEADER + number * (step + _CAPTION)
        truth, guess = str(judged.categories[row]), str(guesses[row])
        guessed = f"{_mark(guess == truth)} {leaf_of(guess)}"
        _put(sheet, judged, row, (MARGIN, y), INK)
        sheet.write((MARGIN, y + _SIDE + 4), leaf_of(truth), 15, INK, width=_SIDE)
        colour = _colour(guess == truth)
        sheet.write((MARGIN, y + _SIDE + 25), guessed, 15, colour, width=_SIDE)
        for column, hit in enumerate(neighbours[row].tolist()):
            x = left + column * step
            category = str(judged.categories[hit])
            colour = _colour(category == truth)
            _put(sheet, judged, hit, (x, y), colour)
            name = f"{_mark(category == truth)} {leaf_of(category)}"
            sheet.write((x, y + _SIDE + 4), name, 15, colour, width=_SIDE)
            if judged.listings[hit] == judged.listings[row]:
                same = "the same listing"
                sheet.write((x, y + _SIDE + 25), same, 15, INK, width=_SIDE, bold=True)
    sheet.save(out)


def _put(sheet: Sheet, judged: Predictions, row: int, corner: tuple[int, int], colour: str) -> None:
    photo = Path(str(judged.photos[row]))
    sheet.put([photo], corner, _SIDE, frame=colour, border=_BORDER, whole=True)


def _mark(right: bool) -> str:
    return "✓" if right else "✗"


def _colour(right: bool) -> str:
    return RIGHT if right else WRONG
