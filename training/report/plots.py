"""Plots of predictions: confusion matrix and reliability diagrams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from lookalike.catalogue.sheets import FADED, FRAME, INK, PAPER
from training.calibration import BINS, Calibration, calibration
from training.report.style import RIGHT, WRONG, drawing, short

READABLE = 20  # most rows of a matrix with readable numbers
FEW = 10  # fewer photos make a share mostly chance


def confusion(
    truths: NDArray[np.str_], guesses: NDArray[np.str_], names: Sequence[str]
) -> NDArray[np.int64]:
    """Returns the confusion matrix, of shape (names, names): rows are true, columns predicted.

    Args:
        truths: True categories, of shape (photos,).
        guesses: Predicted ones, of shape (photos,).
        names: All categories that occur.
    """
    index = {name: number for number, name in enumerate(names)}
    counts = np.zeros((len(names), len(names)), np.int64)
    for truth, guess in zip(truths.tolist(), guesses.tolist(), strict=True):
        counts[index[truth], index[guess]] += 1
    return counts


def draw_confusion(counts: NDArray[np.int64], names: Sequence[str], out: Path) -> None:
    """Draws each row's shares as colours and percentages, with the number of photos below."""
    photos = counts.sum(axis=1)
    shares = counts / np.maximum(1, photos)[:, None]
    side = 0.58 * len(names)
    with drawing(out, side + 3.6, side + 3) as figure:
        axes = figure.add_subplot()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row, column in zip(*np.nonzero(counts), strict=True):
            colour = PAPER if shares[row, column] > 0.5 else INK
            heavy = "bold" if row == column else "normal"
            axes.text(
                column, row - 0.14, f"{100 * shares[row, column]:.0f}%",
                color=colour, weight=heavy, size=9, ha="center", va="center",
            )  # fmt: skip
            axes.text(
                column, row + 0.24, f"{counts[row, column]}",
                color=colour, size=6.5, ha="center", va="center",
            )  # fmt: skip
        rows = [f"{name}  ({n})" for name, n in zip(short(names), photos.tolist(), strict=True)]
        axes.set_yticks(range(len(names)), rows)
        axes.set_xticks(range(len(names)), short(names), rotation=40, ha="right")
        # white grid lines, so that a row can be followed to its name
        axes.set_xticks(np.arange(len(names) + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(len(names) + 1) - 0.5, minor=True)
        axes.grid(which="minor", color=FRAME, linewidth=0.6)
        axes.tick_params(which="both", length=0)
        axes.spines[:].set_visible(False)
        axes.set_title("rows: what it is (photos); columns: what it is taken for",
                       color=FADED, size=10, weight="normal")  # fmt: skip


def draw_calibration(
    logits: NDArray[np.float32],
    labels: NDArray[np.int64],
    temperature: float | None,
    out: Path,
) -> None:
    """Draws the accuracy and number of predictions by confidence.

    Args:
        logits: Of shape (photos, classes).
        labels: Of shape (photos,).
        temperature: Adds a curve of the scaled logits; None for none.
        out: File to write.
    """
    curves = [("as the network says it", "o-", WRONG, calibration(logits, labels))]
    if temperature is not None:
        scaled = calibration(logits, labels, temperature)
        curves.append((f"divided by temperature {temperature:.2f}", "s-", RIGHT, scaled))
    draw_reliability(curves, "share that is right", "confidence of the first guess", "photos", out)


def draw_likeness(likeness: Mapping[str, Calibration], out: Path) -> None:
    """Draws how often hits are the same item, and their number, by likeness.

    Args:
        likeness: Calibration by ranking.
        out: File to write.
    """
    looks = zip(("o-", "^-", "s-"), (FADED, WRONG, RIGHT), strict=True)
    curves = [
        (f"ranked by {name}", mark, colour, curve)
        for (mark, colour), (name, curve) in zip(looks, likeness.items(), strict=True)
    ]
    draw_reliability(curves, "share that is the same item", "likeness", "pairs", out, log=True)


def draw_reliability(
    curves: Sequence[tuple[str, str, str, Calibration]],
    right: str,
    said: str,
    counted: str,
    out: Path,
    *,
    log: bool = False,
) -> None:
    """Draws curves, each with name, marker and colour; `log` if most counts are in one bin."""
    with drawing(out, 7.2, 7.6) as figure:
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        top.plot([0, 1], [0, 1], "--", color=FADED, linewidth=1, label="as it should be")
        edges = np.arange(BINS) / BINS
        width = 0.9 / BINS / len(curves)
        for number, (label, mark, colour, curve) in enumerate(curves):
            filled = curve.photos > 0
            told = f"{label}: error {curve.error:.3f}"
            top.plot(
                curve.confidence[filled], curve.accuracy[filled], mark,
                color=colour, label=told, markersize=6,
            )  # fmt: skip
            left = edges + 0.05 / BINS + number * width
            few = filled & (curve.photos < FEW)
            top.plot(
                curve.confidence[few], curve.accuracy[few], mark[0],
                color=colour, markerfacecolor=PAPER, markersize=6,
            )  # fmt: skip
            bottom.bar(left, curve.photos, width, align="edge", color=colour)
        top.set(xlim=(0, 1), ylim=(-0.03, 1.03), ylabel=right)
        top.legend(loc="upper left")
        bottom.set(xlabel=said, ylabel=counted, yscale="log" if log else "linear")
        if log:  # not as powers: math text is off, as names may hold dollar signs
            bottom.yaxis.set_major_formatter("{x:,.0f}")
        for axes in (top, bottom):
            axes.grid(visible=True)
        for axis in (top.yaxis, bottom.xaxis):
            axis.set_major_formatter(PercentFormatter(1, decimals=0))
