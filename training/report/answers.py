"""The report's sections on search results: ranking, likeness, prices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from training.calibration import Calibration
from training.likeness import LISTINGS
from training.report.plots import draw_likeness
from training.report.tables import figure, search_table, table


def ranked(metrics: dict[str, Any]) -> Iterable[str]:
    """Yields the section on rankings and their figures."""
    if "ranking" not in metrics:
        return
    order = metrics["ranking"]
    yield "## In which order listings are shown"
    yield (
        f"`category` is the order of the default vectors. The first {order['candidates']} of it "
        f"are ranked again: by the cosine distance of `{order['output']}` alone (`features`), or "
        f"by that + {order['vector_weight']:g} x the distance by default vectors (`blend`, which "
        "people get unless they ask for another)."
    )
    yield search_table("ranked by", metrics["ranked"])
    if "ranked_all_photos" in metrics:
        yield "The same, searched among the photos of all splits:"
        yield search_table("ranked by", metrics["ranked_all_photos"])


def likenesses(
    folder: Path, metrics: dict[str, Any], likeness: Mapping[str, Calibration]
) -> Iterable[str]:
    """Yields the section on the calibration of likeness, with a plot."""
    if "likeness" not in metrics:
        return
    yield "## Whether likeness can be believed"
    yield (
        f"Each photo and the {LISTINGS} listings nearest to it, among all photos: of pairs that "
        "are said to be the same item with 80 %, four in five should be. The error is how far the "
        "two are apart, on average, of all pairs and of each photo's nearest listing alone. The "
        "same item is in a photo's own listing, and in those with a copy of its file."
    )
    rows = [
        (
            name,
            str(row["pairs"]),
            figure(row["calibration_error"]),
            figure(row["calibration_error_of_first"]),
        )
        for name, row in metrics["likeness"].items()
    ]
    yield table(("ranked by", "pairs", "calibration error", "of the nearest"), rows, "lrrr")
    if likeness:
        draw_likeness(likeness, folder / "likeness.png")
        yield "![Reliability diagram of likeness](likeness.png)"


def prices(metrics: dict[str, Any]) -> Iterable[str]:
    """Yields the section on the errors of price estimates."""
    if "price" not in metrics:
        return
    price, wanted = metrics["price"], metrics["price_range"]
    yield "## What a thing costs"
    yield (
        f"The price of each photo's listing, estimated from the {wanted['listings']} nearest other "
        "listings that have one. The range is made to hold "
        f"{wanted['coverage']:.0%} of the prices. An error is a share of the true price."
    )
    names = {
        "photos": "photos with a price",
        "median_error": "median error",
        "linear_median_error": "median error of a linear model of the true category",
        "log_linear_median_error": "median error of such a model of the price's logarithm",
        "coverage": "share of prices in their range",
        "median_range": "upper end of a range over its lower, median",
    }
    rows = [
        (words, str(price[name]) if name == "photos" else figure(price[name]))
        for name, words in names.items()
        if name in price
    ]
    yield table(("figure", "value"), rows, "lr")
