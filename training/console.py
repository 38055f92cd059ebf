"""Prints the results of `evaluate`, `evaluate-text` and `baselines` as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:  # scikit-learn takes long to import
    from training.baselines import Baselines

_MOST = 30  # categories; a longer table would push everything else off the screen


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
    for title, where in (("", ""), (", among all photos", "_all_photos")):
        for what, key in (("vectors", "outputs"), ("ranked by", "ranked")):
            if key + where in metrics:
                rows = [
                    (name, *(f"{figure:.3f}" for figure in row.values()))
                    for name, row in metrics[key + where].items()
                ]
                header = ("precision@5", "recall@1", "recall@5", "recall@10")
                _print_table((what + title, *header), rows)
    print("precision: of the category; recall: of another photo of the same listing")
    if "gallery" in metrics:
        print(f"searched among {metrics['gallery']['photos']} photos of the gallery too")
    for whose, about in (("", metrics), ("gallery: ", metrics.get("gallery", {}))):
        if problems := about.get("skipped"):
            print(f"{whose}{len(problems)} photos skipped:")
            for problem in problems:
                print(f"  {problem}")
    _print_answers(metrics)
    calibration = f"calibration error {metrics['calibration_error']:.3f}"
    if "temperature" in metrics:
        calibration += (
            f", at temperature {metrics['temperature']:.2f} "
            f"{metrics['calibration_error_scaled']:.3f}"
        )
    print(calibration)
    together = metrics["by_listing"]
    print(
        f"{together['listings']} listings, all photos of each: accuracy {together['accuracy']:.3f}"
    )
    split = f" of the {metrics['split']} split" if "split" in metrics else ""
    print(
        f"{metrics['photos']} photos{split}: accuracy "
        f"{metrics['accuracy']:.3f}, top-3 {metrics['accuracy_top3']:.3f}"
    )


def print_text_figures(metrics: dict[str, Any]) -> None:
    """Prints what photos, words and both together tell."""
    rows = [
        (name, *(f"{figure:.3f}" for figure in figures.values()))
        for name, figures in metrics["by"].items()
    ]
    header = (f"category of the {metrics['split']} split by", "photos", "listings", "first 3")
    _print_table((*header, "calibration error"), rows)
    found = [
        (name, f"{row['photos']:.3f}", f"{row['listings']:.3f}")
        for name, row in metrics.get("own_photo", {}).items()
    ]
    if found:
        among = f"own photo among the first 10 of {metrics['photos']} by"
        _print_table((among, "photos", "listings"), found)


def print_baselines(found: Baselines) -> None:
    """Prints what simple models reach."""
    rows = [(m.name, f"{m.accuracy:.3f}", f"{m.by_listing:.3f}") for m in found.classified]
    _print_table(("category of the test split by", "photos", "listings"), rows)
    prices = [
        (m.name, f"{m.r2:.3f}", f"{m.mean_error:.2f}", f"{m.median_error:.2f}", m.listings)
        for m in found.priced
    ]
    _print_table(("price by", "R²", "mean error", "median error", "listings"), prices)


def _print_answers(metrics: dict[str, Any]) -> None:
    if "ranking" in metrics:
        order = metrics["ranking"]
        print(
            f"blend: {order['output']} + {order['vector_weight']:g} x category, of "
            f"{order['candidates']} candidates"
        )
    if "likeness" in metrics:
        errors = (
            f"{name} {row['calibration_error']:.3f}" for name, row in metrics["likeness"].items()
        )
        print(f"likeness: calibration error {', '.join(errors)}")
    if "price" in metrics:
        price = metrics["price"]
        print(
            f"prices of {price['photos']} photos: median error {price['median_error']:.0%}"
            + "".join(
                f", {price[key]:.0%} by category ({name})"
                for name, key in (
                    ("linear", "linear_median_error"), ("log-linear", "log_linear_median_error"),
                )
                if key in price
            )
            + f"; {price['coverage']:.1%} in their range"
        )  # fmt: skip
    if "not_fitted" in metrics:
        print(f"not fitted: {metrics['not_fitted']}")


def _print_table(header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    table = Table(*header)
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        table.add_row(*map(str, row))
    Console().print(table)
