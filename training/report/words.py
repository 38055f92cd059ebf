"""Writes the report on photos, words and both together.

report.md     for people
metrics.json  the same figures for programs
*.png         the plots
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lookalike.files import write_json
from training.report.curves import draw_curves
from training.report.disagreement import disagreements, draw_disagreements
from training.report.plots import FEW
from training.report.tables import figure, table
from training.report.towers import (
    WAYS,
    draw_abilities,
    draw_classes,
    draw_reliabilities,
    f1_by_class,
)
from training.text.judged import Judged


def write_words_report(
    folder: Path, judged: Judged, metrics: dict[str, Any], *, title: str, run: Path
) -> None:
    """Writes a report into an empty directory.

    Args:
        folder: The directory.
        judged: The listings.
        metrics: Result of `evaluate_text`.
        title: The model and the data.
        run: The text run, for its training curves.
    """
    parts = [
        f"# {title}",
        *_summary(metrics),
        *_abilities(folder, judged),
        *_classes(folder, judged),
        *_disagreements(folder, judged),
        *_calibration(folder, judged, metrics),
        *_own_photo(metrics),
        *_curves(folder, run),
    ]
    (folder / "report.md").write_text("\n\n".join(parts) + "\n", "utf-8")
    write_json(folder / "metrics.json", metrics)


def _summary(metrics: dict[str, Any]) -> Iterable[str]:
    rows = [
        (name, *(figure(row[key]) for key in (
            "accuracy_by_listing", "accuracy_by_listing_top3", "accuracy", "calibration_error"
        )))
        for name, row in metrics["by"].items()
    ]  # fmt: skip
    header = ("category by", "listings", "among the first 3", "photos", "calibration error")
    yield table(header, rows, "lrrrr")
    yield (
        f"The share that is right of {metrics['listings']} listings of the {metrics['split']} "
        f"split, each once, and of their {metrics['photos']} photos, each by itself or by its "
        "listing. `one photo` is told by each photo alone, `photos` by all of a listing together, "
        "`title` by the title alone, `words` by title and description. The calibration error says "
        "how far confidence and share of right guesses of listings are apart, on average."
    )


def _abilities(folder: Path, judged: Judged) -> Iterable[str]:
    draw_abilities(judged, folder / "abilities.png")
    yield "## What photos, words and both tell"
    yield (
        "On the left, listings are answered in the order of confidence: one that answers only its "
        "surest half is right as often as the curve says at 50 %. On the right, an answer counts "
        "if it is among the first guesses."
    )
    yield "![Accuracy by coverage and by guesses](abilities.png)"


def _classes(folder: Path, judged: Judged) -> Iterable[str]:
    draw_classes(judged, folder / "categories.png")
    yield "## Each category"
    yield (
        "F1, the harmonic mean of precision and recall. The figure beside each group is what both "
        "together gain over the words alone."
    )
    yield "![F1 by category](categories.png)"
    found = [f1_by_class(judged, way) for way in WAYS]
    names = sorted(found[-1], key=lambda name: -found[-1][name])
    rows = [(name, *(figure(values[name]) for values in found)) for name in names]
    means = [figure(sum(values.values()) / len(values)) for values in found]
    yield table(("category", *WAYS), [*rows, ("**mean**", *means)], "lrrr")


def _disagreements(folder: Path, judged: Judged) -> Iterable[str]:
    yield "## Where they disagree"
    yield from disagreements(judged)
    if draw_disagreements(judged, folder / "disagreements.png"):
        yield "![Listings of which photos and words tell different things](disagreements.png)"


def _calibration(folder: Path, judged: Judged, metrics: dict[str, Any]) -> Iterable[str]:
    draw_reliabilities(judged, folder / "calibration.png")
    yield "## Whether confidences can be believed"
    yield (
        "Guesses are grouped by their confidence; where a curve lies on the dashed line, guesses "
        "of 80 % confidence are right four times in five, and below it the model is too sure of "
        f"itself. The bars count the guesses of each group; marks of fewer than {FEW} are hollow. "
        "What logits are multiplied by, fitted on validation listings:"
    )
    rows = [(name, figure(value)) for name, value in metrics["fusion"].items()]
    yield table(("logits of", "times"), [(n.replace("_", " "), v) for n, v in rows], "lr")
    yield "![Reliability diagram](calibration.png)"


def _own_photo(metrics: dict[str, Any]) -> Iterable[str]:
    if "own_photo" not in metrics:
        return
    yield "## Whether words find their photo"
    yield (
        f"The share of the {metrics['photos']} photos that are among the first 10 of them which "
        "their own listing's words find, and the share of the listings of which any photo is. "
        "With frozen towers, the language model stays as it was downloaded, and a projection of "
        "its vectors of titles to the photos' space is learnt from the same training listings."
    )
    rows = [
        (name, figure(row["photos"]), figure(row["listings"]))
        for name, row in metrics["own_photo"].items()
    ]
    yield table(("found by", "photos", "listings"), rows, "lrr")


def _curves(folder: Path, run: Path) -> Iterable[str]:
    drawn = draw_curves(run, folder / "curves.png")
    if drawn:
        yield "## How training went"
        yield "What the text run logged after each epoch; the weights are those of the best one."
        yield f"![{', '.join(drawn)}](curves.png)"
