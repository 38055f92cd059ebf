"""Writes report.md: figures as tables, and plots with a sentence on each.

report.md     for people
metrics.json  the same figures for programs
*.png         the plots
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lookalike.catalogue.categories import root_of
from lookalike.files import write_json
from training.calibration import Calibration
from training.config import CATEGORY_OUTPUT
from training.judging import POOLED, Predictions
from training.report.answers import likenesses, prices, ranked
from training.report.curves import draw_curves
from training.report.embedding_map import LEAST, MOST, draw_map, sampled
from training.report.plots import FEW, READABLE, confusion, draw_calibration, draw_confusion
from training.report.sheets import NEIGHBOURS, chosen, draw_sheet
from training.report.sheets import ranked as ranked_by
from training.report.tables import figure, search_table, table

_PAIRS = 15


def write_report(
    folder: Path,
    judged: Predictions,
    metrics: dict[str, Any],
    *,
    title: str,
    likeness: Mapping[str, Calibration] | None = None,
    run: Path | None = None,
) -> None:
    """Writes a report into an empty directory.

    Args:
        folder: The directory.
        judged: The evaluated predictions.
        metrics: Result of `evaluate` or `evaluate_bundle`.
        title: The model and the data.
        likeness: Calibration of likeness by order, if any.
        run: A run, for its training curves.
    """
    parts = [
        f"# {title}",
        *_summary(metrics),
        *_retrieval(metrics),
        *ranked(metrics),
        *likenesses(folder, metrics, likeness or {}),
        *prices(metrics),
        *_confusion(folder, judged),
        *_calibration(folder, judged, metrics),
        *(_curves(folder, run) if run is not None else ()),
        *_map(folder, judged),
        *_sheets(folder, judged),
        *_per_class(metrics),
        *_skipped(metrics),
    ]
    (folder / "report.md").write_text("\n\n".join(parts) + "\n", "utf-8")
    write_json(folder / "metrics.json", metrics)


def _summary(metrics: dict[str, Any]) -> Iterable[str]:
    rows = [
        ("photos", str(metrics["photos"]), "that were judged"),
        ("accuracy", figure(metrics["accuracy"]), "of them the first guess was right"),
        ("accuracy, top 3", figure(metrics["accuracy_top3"]), "one of the first three was"),
        (
            "calibration error",
            figure(metrics["calibration_error"]),
            "how far confidence and share of right guesses are apart, on average",
        ),
    ]
    if "temperature" in metrics:
        rows += [
            (
                "temperature",
                figure(metrics["temperature"]),
                "what logits are divided by to be honest, fitted on validation photos",
            ),
            (
                "calibration error, scaled",
                figure(metrics["calibration_error_scaled"]),
                "the same after that division",
            ),
        ]
    together = metrics["by_listing"]
    rows.append(
        (
            "accuracy by listing",
            figure(together["accuracy"]),
            f"of {together['listings']} listings, guessed from all their photos together",
        )
    )
    yield table(("figure", "value", "what it says"), rows, "lrl")


def _retrieval(metrics: dict[str, Any]) -> Iterable[str]:
    yield "## What a search finds"
    pool = "the other photos that were judged"
    if "gallery" in metrics:
        pool += f" and {metrics['gallery']['photos']} of the gallery"
    yield (
        f"Each photo asks for its nearest among {pool}. Precision is the share of the first 5 that "
        "have its category; recall is the share of photos that find another photo of their listing "
        "among the first 1, 5 and 10, of those that have one."
    )
    yield search_table("vectors", metrics["outputs"])
    if "outputs_all_photos" in metrics:
        yield "The same, searched among the photos of all splits:"
        yield search_table("vectors", metrics["outputs_all_photos"])


def _confusion(folder: Path, judged: Predictions) -> Iterable[str]:
    truths, guesses, names = judged.categories, judged.guesses, judged.classes
    yield "## What is taken for what"
    matrix_truths, matrix_guesses, whose = truths, guesses, "category"
    if len(names) > READABLE:
        matrix_truths, matrix_guesses = (
            np.array([root_of(name) for name in side.tolist()]) for side in (truths, guesses)
        )
        names, whose = tuple(map(root_of, names)), "root category"
    rows = list(dict.fromkeys([*names, *matrix_truths.tolist()]))
    if len(rows) <= READABLE:
        counts = confusion(matrix_truths, matrix_guesses, rows)
        draw_confusion(counts, rows, folder / "confusion.png")
        yield (
            f"Each row is a true {whose}, with its share and number of photos that were taken for "
            "each; what is right is on the diagonal."
        )
        yield "![Confusion matrix](confusion.png)"
    yield from _confused_pairs(judged)


def _confused_pairs(judged: Predictions) -> Iterable[str]:
    truths, guesses = judged.categories, judged.guesses
    wrong = truths != guesses
    pairs, counts = np.unique(np.stack([truths[wrong], guesses[wrong]]), axis=1, return_counts=True)
    rows = []
    for pair in np.argsort(-counts, kind="stable")[:_PAIRS]:
        truth, guess = pairs[:, pair].tolist()
        share = counts[pair] / (truths == truth).sum()
        rows.append((truth, guess, str(counts[pair]), figure(share)))
    if rows:
        yield "The mistakes made most often, with their share of the true category's photos:"
        yield table(("really", "taken for", "photos", "share"), rows, "llrr")


def _calibration(folder: Path, judged: Predictions, metrics: dict[str, Any]) -> Iterable[str]:
    draw_calibration(
        judged.logits, judged.labels, metrics.get("temperature"), folder / "calibration.png"
    )
    yield "## Whether confidences can be believed"
    yield (
        "Guesses are grouped by their confidence; where a curve lies on the dashed line, guesses "
        "of 80 % confidence are right four times in five, and below it the model is too sure of "
        f"itself. The bars count the guesses of each group; marks of fewer than {FEW} are hollow."
    )
    yield "![Reliability diagram](calibration.png)"


def _curves(folder: Path, run: Path) -> Iterable[str]:
    yield "## How training went"
    drawn = draw_curves(run, folder / "curves.png")
    if not drawn:
        yield "The run has no TensorBoard logs to draw."
        return
    yield (
        "What the run logged after each epoch; the weights are those of the best epoch, the one of "
        "highest validation accuracy."
    )
    yield f"![{', '.join(drawn)}](curves.png)"


def _map(folder: Path, judged: Predictions) -> Iterable[str]:
    if len(judged) < LEAST:
        return
    rows = sampled(len(judged))
    groups = np.array([root_of(name) for name in judged.categories[rows].tolist()])
    draw_map(judged.logits[rows], groups, judged.photos[rows], folder / "map.png")
    yield "## A map of the photos"
    some = f"{MOST} of the photos" if len(rows) < len(judged) else "All photos"
    yield (
        f"{some}, laid out by t-SNE so that those with similar `{CATEGORY_OUTPUT}` vectors lie "
        "near one another, and coloured by their true category: islands of one colour are "
        "categories that the model tells apart. Only nearness means something; the axes do not."
    )
    yield "![Map of the photos](map.png)"


def _sheets(folder: Path, judged: Predictions) -> Iterable[str]:
    if len(set(judged.listings.tolist())) < 2:
        return
    yield "## The best and the worst searches"
    yield (
        f"Each row is a photo and its {NEIGHBOURS} nearest. The best are those with the most "
        "neighbours of their own category, the worst those with the fewest; among equals come "
        "first those whose neighbours are nearest. Rows are of different listings, and of "
        "different categories as far as there are enough."
    )
    for output in judged.outputs:
        if output == POOLED:  # not an output of a bundle
            continue
        found = ranked_by(judged, output)
        for which, order in (("best", found.best_first), ("worst", found.worst_first)):
            file = f"{output}-{which}.png"
            heading = f"The {which} searches by `{output}`"
            rows = chosen(order.tolist(), judged)
            draw_sheet(judged, found.neighbours, rows, heading.replace("`", ""), folder / file)
            yield f"### {heading}"
            yield f"![{heading.replace('`', '')}]({file})"


def _per_class(metrics: dict[str, Any]) -> Iterable[str]:
    yield "## Each category"
    yield (
        "Precision is the share of a category's guesses that are right, recall the share of its "
        "photos that are recognised, F1 the harmonic mean of both; best first."
    )
    seen = {name: row for name, row in metrics["per_class"].items() if row["photos"]}
    rows = [
        (name, *(figure(row[key]) for key in ("precision", "recall", "f1")), str(row["photos"]))
        for name, row in sorted(seen.items(), key=lambda item: -item[1]["f1"])
    ]
    yield table(("category", "precision", "recall", "F1", "photos"), rows, "lrrrr")
    if unseen := len(metrics["per_class"]) - len(seen):
        yield f"Of {unseen} more categories there was no photo."


def _skipped(metrics: dict[str, Any]) -> Iterable[str]:
    for whose, about in (("Photos", metrics), ("The gallery's photos", metrics.get("gallery", {}))):
        if problems := about.get("skipped"):
            yield f"## {whose} that could not be read"
            yield "\n".join(f"- {problem}" for problem in problems)
