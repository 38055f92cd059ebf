"""What a query and an item cost, against the size of the collection, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from benchmarks.index.sizes import Cost
from training.report.style import COLOURS, FADED, drawing

_EXACT, _APPROXIMATE = COLOURS[0], COLOURS[1]
# A hundred megabytes of service are no cost of the items where these are few.
_FEWEST_FOR_RESIDENT = 1_000_000
_TARGET_BYTES = 120


def draw(costs: Sequence[Cost], empty_ms: float, file: Path) -> None:
    """Draws the costs.

    Args:
        costs: Of all sizes.
        empty_ms: p50 of a call that does nothing.
        file: The PNG.
    """
    with drawing(file, 10, 4.6) as figure:
        left, right = figure.subplots(1, 2)
        _times(left, costs, empty_ms)
        _memory(right, costs)
        for axes in (left, right):
            _sizes(axes, sorted({cost.items for cost in costs}))


def _times(axes: Axes, costs: Sequence[Cost], empty_ms: float) -> None:
    for approximate, colour, name in (
        (False, _EXACT, "exact"),
        (True, _APPROXIMATE, "approximate"),
    ):
        chosen = [cost for cost in costs if cost.approximate == approximate]
        sizes, times = [cost.items for cost in chosen], [cost.query_ms for cost in chosen]
        axes.plot(sizes, times, "o-", color=colour, label=name)
        for size, time in zip(sizes, times, strict=True):
            above = approximate == (time < empty_ms)
            text = f"{time:.2g}" if time < 10 else f"{time:.0f}"
            _label(axes, text, (size, time), colour, above=above)
    axes.axhline(
        empty_ms, color=FADED, linewidth=1, linestyle=":", label="a call that does nothing"
    )
    axes.set_yscale("log")
    axes.set_title("One query for ten neighbours")
    axes.set_ylabel("milliseconds, median of a lone caller")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.legend(loc="upper left")


def _memory(axes: Axes, costs: Sequence[Cost]) -> None:
    for approximate, colour, name in (
        (False, _EXACT, "vectors and columns"),
        (True, _APPROXIMATE, "with a graph"),
    ):
        chosen = [cost for cost in costs if cost.approximate == approximate]
        axes.plot(
            [cost.items for cost in chosen],
            [cost.counted for cost in chosen],
            "o-",
            color=colour,
            label=f"{name}, as counted by the service",
        )
        large = [cost for cost in chosen if cost.items >= _FEWEST_FOR_RESIDENT]
        axes.plot(
            [cost.items for cost in large],
            [cost.resident for cost in large],
            "D",
            color=colour,
            markerfacecolor="none",
            markersize=8,
            label=f"{name}, resident in all" if large else "",
        )
        for cost in large:
            place = (cost.items, cost.resident)
            _label(axes, f"{cost.resident:.0f}", place, colour, above=True)
    axes.axhline(_TARGET_BYTES, color=FADED, linewidth=1, linestyle=":", label="target, exact")
    axes.set_ylim(bottom=0)
    axes.set_title("Memory of an item")
    axes.set_ylabel("bytes")
    axes.legend(loc="lower left")


def _sizes(axes: Axes, sizes: Sequence[int]) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator([float(size) for size in sizes]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axes.set_xlim(sizes[0] / 1.6, sizes[-1] * 1.6)
    axes.set_xlabel("items in the collection")
    axes.grid(axis="y")


def _label(axes: Axes, text: str, place: tuple[float, float], colour: str, *, above: bool) -> None:
    axes.annotate(
        text,
        place,
        (0, 7 if above else -7),
        textcoords="offset points",
        ha="center",
        va="bottom" if above else "top",
        color=colour,
        fontsize=9,
    )


def short(number: float) -> str:
    """Returns a round number as people say it: `10 k`, `1 M`."""
    for unit, value in (("M", 1e6), ("k", 1e3)):
        if number >= value:
            return f"{number / value:g} {unit}"
    return f"{number:g}"
