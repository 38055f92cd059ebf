"""Plots of photos, words and both together: accuracy, reliability, and each category's F1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from lookalike.catalogue.sheets import FADED, INK
from training.calibration import calibration
from training.metrics import classification_metrics
from training.report.plots import draw_reliability
from training.report.style import COLOURS, drawing, short
from training.text.judged import BOTH, PHOTOS, WORDS, Judged

WAYS = (PHOTOS, WORDS, BOTH)
TOP = 5
LEAST_SHARE = 0.05  # of the listings: the accuracy of fewer is mostly chance
_LOOKS = dict(zip(WAYS, zip(COLOURS[:3], ("^", "s", "o"), strict=True), strict=True))


def accuracy_at_coverage(
    confidence: NDArray[np.float64], right: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns shares of the listings, surest first, and how many of those are right.

    Geifman and El-Yaniv 2017, "Selective Classification for Deep Neural Networks".

    Args:
        confidence: Of each listing, of shape (listings,).
        right: Likewise.
    """
    order = np.argsort(-confidence, kind="stable")
    counts = np.arange(1, len(order) + 1)
    return counts / len(order), np.cumsum(right[order]) / counts


def top_accuracies(
    logits: NDArray[np.float32], labels: NDArray[np.int64], most: int = TOP
) -> list[float]:
    """Returns the share of listings whose category is among the first 1, 2, … `most` guesses."""
    own = logits[np.arange(len(labels)), labels][:, None]
    place = (logits > own).sum(axis=1)
    return [float((place < k).mean()) for k in range(1, most + 1)]


def draw_abilities(judged: Judged, out: Path) -> None:
    """Draws accuracy by coverage, and by the number of guesses, of all three ways."""
    with drawing(out, 10.8, 4.6) as figure:
        left, right = figure.subplots(1, 2, width_ratios=[3, 2])
        for way in WAYS:
            colour, shape = _LOOKS[way]
            coverage, accuracy = accuracy_at_coverage(judged.confidence(way), judged.right(way))
            seen = coverage >= LEAST_SHARE
            left.plot(coverage[seen], accuracy[seen], color=colour, linewidth=2, label=way)
            left.plot(1, accuracy[-1], shape, color=colour, markersize=7, clip_on=False)
            tops = top_accuracies(judged.logits[way], judged.labels)
            right.plot(range(1, len(tops) + 1), tops, f"{shape}-", color=colour, linewidth=2)
            above = way == BOTH  # which lies close to the words
            right.annotate(
                f"{tops[0]:.3f}", (1, tops[0]), (-6, 9) if above else (9, -3),
                textcoords="offset points", color=colour, size=10, weight="bold",
                va="bottom" if above else "top",
            )  # fmt: skip
        left.set_title("If only the surest are answered")
        left.set(xlabel="share of the listings that are answered", ylabel="share that is right")
        left.legend(loc="lower left")
        right.set_title("If several guesses count")
        right.set(xlabel="guesses")
        right.xaxis.set_major_locator(MaxNLocator(integer=True))
        left.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        low = min(judged.right(way).mean() for way in WAYS)
        for axes in (left, right):
            axes.set_ylim(max(0.0, low - 0.08), 1.01)
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
            axes.grid(visible=True)


def draw_reliabilities(judged: Judged, out: Path) -> None:
    """Draws how often each way is right by its confidence."""
    curves = []
    for way in WAYS:
        colour, shape = _LOOKS[way]
        curve = calibration(judged.logits[way], judged.labels)
        curves.append((way, f"{shape}-", colour, curve))
    draw_reliability(
        curves, "share that is right", "confidence of the first guess", "listings", out
    )


def f1_by_class(judged: Judged, way: str) -> dict[str, float]:
    """Returns the F1 of each category that occurs."""
    figures = classification_metrics(judged.logits[way], judged.labels, judged.classes)
    return {name: row["f1"] for name, row in figures["per_class"].items() if row["photos"]}


def draw_classes(judged: Judged, out: Path) -> None:
    """Draws bars of each category's F1 by all three ways, what is known best on top."""
    found = {way: f1_by_class(judged, way) for way in WAYS}
    names = sorted(found[BOTH], key=lambda name: found[BOTH][name])
    counts = np.bincount(judged.labels, minlength=len(judged.classes))
    height = 0.26
    with drawing(out, 9.6, 1.9 + 0.52 * len(names)) as figure:
        axes = figure.add_subplot()
        places = np.arange(len(names))
        for number, way in enumerate(WAYS):
            values = [found[way][name] for name in names]
            y = places + (1 - number) * height
            axes.barh(y, values, height * 0.92, color=_LOOKS[way][0], label=way)
        for place, name in zip(places, names, strict=True):
            gain = found[BOTH][name] - found[WORDS][name]
            end = max(found[way][name] for way in WAYS)
            axes.text(
                end + 0.012, float(place), f"{gain:+.3f}", va="center", size=9.5,
                color=INK if abs(gain) >= 0.005 else FADED,
            )  # fmt: skip
        labels = [
            f"{label}  ({counts[judged.classes.index(name)]})"
            for label, name in zip(short(names), names, strict=True)
        ]
        axes.set_yticks(places, labels)
        axes.set(xlim=(0, 1.08), xlabel="F1", ylim=(-0.6, len(names) - 0.4))
        axes.tick_params(axis="y", length=0)
        axes.set_xticks(np.linspace(0, 1, 6))
        axes.grid(visible=True, axis="x")
        axes.set_title(
            "category (listings), and what photos add to the words' F1",
            color=FADED, size=10, weight="normal",
        )  # fmt: skip
        figure.legend(loc="outside upper right", ncols=3)
