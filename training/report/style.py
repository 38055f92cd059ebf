"""One look for all plots of a report, that of contact sheets with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from lookalike.catalogue.sheets import FADED, FRAME, INK, PAPER

# Blue and vermilion of Okabe and Ito, "Color Universal Design": told apart by nearly everybody.
RIGHT, WRONG = "#0072b2", "#d55e00"
# Paul Tol's "bright" scheme, made for people who see colours differently. Shapes tell apart what
# shares a colour.
COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#8c8c8c")
SHAPES = ("o", "^", "s", "D")

_DPI = 144
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


def short(names: Sequence[str], most: int = 34) -> list[str]:
    """Returns names cut to a number of letters."""
    return [name if len(name) <= most else name[: most - 1].rstrip() + "…" for name in names]
