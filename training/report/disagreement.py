"""Where photos, words and both together disagree: counts, and listings to look at."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lookalike.catalogue.categories import leaf_of
from lookalike.catalogue.sheets import FADED, INK, MARGIN, Sheet
from training.report.style import RIGHT, WRONG
from training.report.tables import figure, table
from training.text.judged import BOTH, PHOTOS, WORDS, Judged

ROWS = 4
_SIDE, _GAP, _HEADER, _BORDER = 150, 24, 56, 5  # pixels
_TEXT = 560  # width beside a photo
_LINE = 26
_WAYS = (PHOTOS, WORDS, BOTH)
# What each of the three says, right or not, by what that means; in the order of the sheets.
HELPED = {
    "photos corrected the words": (True, False, True),
    "words corrected the photos": (False, True, True),
    "both together are right where neither is alone": (False, False, True),
    "photos misled": (False, True, False),
    "words misled": (True, False, False),
}


def rights(judged: Judged) -> NDArray[np.bool_]:
    """Returns which of photos, words and both are right, of shape (listings, 3)."""
    return np.stack([judged.right(way) for way in _WAYS], axis=1)


def disagreements(judged: Judged) -> Iterable[str]:
    """Yields a table of how many listings each of the three tells, and a sentence on it."""
    found = rights(judged)
    meanings = {case: meaning for meaning, case in HELPED.items()}
    meanings |= {(True, True, True): "all are right", (False, False, False): "none is right"}
    rows = []
    for case in sorted(
        {tuple(row) for row in found.tolist()},
        key=lambda case: -int((found == case).all(axis=1).sum()),
    ):
        count = int((found == case).all(axis=1).sum())
        meaning = meanings.get(case, "both together are wrong where each alone is right")
        rows.append((*("✓" if one else "✗" for one in case), meaning, str(count),
                     figure(count / len(found))))  # fmt: skip
    yield table((*_WAYS, "so", "listings", "share"), rows, "llllrr")
    either = found[:, :2].any(axis=1)
    yield (
        f"Photos or words are right about a share of {figure(either.mean())}: whoever chooses "
        "between the two answers, however well, cannot be right more often."
    )


def draw_disagreements(judged: Judged, out: Path) -> list[str]:
    """Draws the listings of each kind of disagreement, surest first; returns the kinds.

    Args:
        judged: The listings.
        out: File to write; not written if there is no disagreement.
    """
    found = rights(judged)
    sure = judged.confidence(BOTH)
    groups = []
    for meaning, case in HELPED.items():
        rows = np.flatnonzero((found == case).all(axis=1))
        if len(rows):
            groups.append((meaning, rows[np.argsort(-sure[rows], kind="stable")][:ROWS].tolist()))
    if not groups:
        return []
    step = _SIDE + _GAP
    width = 2 * MARGIN + 2 * (_SIDE + _GAP + _TEXT) + _GAP
    height = 2 * MARGIN + sum(_HEADER + -(-len(rows) // 2) * step for _, rows in groups)
    sheet = Sheet(width, height)
    y = MARGIN
    for meaning, rows in groups:
        count = int((found == HELPED[meaning]).all(axis=1).sum())
        some = "1 listing" if count == 1 else f"{count} listings"
        which = ", the surest of them" if count > len(rows) else ""
        title = f"{meaning[0].upper()}{meaning[1:]}: {some}{which}"
        sheet.write((MARGIN, y), title, 22, INK, width=width - 2 * MARGIN, bold=True)
        y += _HEADER
        for number, row in enumerate(rows):
            below, beside = divmod(number, 2)
            corner = MARGIN + beside * (_SIDE + 2 * _GAP + _TEXT), y + below * step
            _draw_listing(sheet, judged, row, corner)
        y += -(-len(rows) // 2) * step
    sheet.save(out)
    return [meaning for meaning, _ in groups]


def _draw_listing(sheet: Sheet, judged: Judged, row: int, corner: tuple[int, int]) -> None:
    x, y = corner
    photo = Path(str(judged.pictures[row]))
    sheet.put([photo], corner, _SIDE, frame=FADED, border=_BORDER, whole=True)
    x += _SIDE + _GAP // 2 + 4
    truth = int(judged.labels[row])
    lines = [(judged.titles[row] or "no title", INK, True)]
    lines.append((f"is in {leaf_of(judged.classes[truth])}", FADED, False))
    for way in _WAYS:
        guess = int(judged.logits[way][row].argmax())
        mark, colour = ("✓", RIGHT) if guess == truth else ("✗", WRONG)
        share = judged.shares(way)[row, guess]
        text = f"{mark} {way}, {share:.0%}: {leaf_of(judged.classes[guess])}"
        lines.append((text, colour, False))
    for number, (text, colour, bold) in enumerate(lines):
        place = (x, y + 6 + number * _LINE)
        sheet.write(place, text, 17, colour, width=_TEXT - 8, bold=bold)
