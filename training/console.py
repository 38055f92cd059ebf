"""Prints what `evaluate` found as tables."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

_MOST = 30  # categories; of more, the table would push everything else off the screen


def print_figures(metrics: dict[str, Any]) -> None:
    """Prints the figures of a run or a bundle."""
    classes = metrics["per_class"]
    if len(classes) <= _MOST:
        rows = [
            (name, *(f"{row[key]:.3f}" for key in ("precision", "recall", "f1")), row["photos"])
            for name, row in classes.items()
        ]
        _print_table(("category", "precision", "recall", "F1", "photos"), rows)
    else:
        print(f"{len(classes)} categories: each is in the JSON and in the report")
    pools = {"vectors": "outputs", "vectors, among all photos": "outputs_all_photos"}
    for title, key in pools.items():
        if key in metrics:
            rows = [
                (output, *(f"{figure:.3f}" for figure in row.values()))
                for output, row in metrics[key].items()
            ]
            _print_table((title, "precision@5", "recall@1", "recall@5", "recall@10"), rows)
    print("precision: of the category; recall: of another photo of the same listing")
    if "gallery" in metrics:
        print(f"searched among {metrics['gallery']['photos']} photos of the gallery too")
    for whose, about in (("", metrics), ("gallery: ", metrics.get("gallery", {}))):
        if problems := about.get("skipped"):
            print(f"{whose}{len(problems)} photos skipped:")
            for problem in problems:
                print(f"  {problem}")
    calibration = f"calibration error {metrics['calibration_error']:.3f}"
    if "temperature" in metrics:
        calibration += (
            f", at temperature {metrics['temperature']:.2f} "
            f"{metrics['calibration_error_scaled']:.3f}"
        )
    print(calibration)
    split = f" of the {metrics['split']} split" if "split" in metrics else ""
    print(
        f"{metrics['photos']} photos{split}: accuracy "
        f"{metrics['accuracy']:.3f}, top-3 {metrics['accuracy_top3']:.3f}"
    )


def _print_table(header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    table = Table(*header)
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        table.add_row(*map(str, row))
    Console().print(table)
