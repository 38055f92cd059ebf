"""What a query and an item cost, against the size of the collection, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from benchmarks.index.sizes import Cost
from lookalike.catalogue.sheets import FADED, INK, PAPER
from training.report.style import COLOURS, drawing

_COLOURS = {False: COLOURS[0], True: COLOURS[1]}  # by whether it is approximate
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
    for approximate in (False, True):
        chosen = [cost for cost in costs if cost.approximate == approximate]
        sizes, times = [cost.items for cost in chosen], [cost.query_ms for cost in chosen]
        axes.plot(sizes, times, "o-", color=_COLOURS[approximate])
        for cost in chosen:
            others = [other.query_ms for other in costs if other.items == cost.items]
            above = cost.query_ms == max(others)
            text = f"{cost.query_ms:.2f}" if cost.query_ms < 10 else f"{cost.query_ms:.0f}"
            _label(axes, text, cost.items, cost.query_ms, _COLOURS[approximate], above=above)
    names = (("exact", _COLOURS[False], "o-"), ("approximate", _COLOURS[True], "o-"))
    _legend(axes, (*names, ("a call that does nothing", FADED, ":")))
    axes.axhline(empty_ms, color=FADED, linewidth=1, linestyle=":")
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_ylim(
        min(empty_ms, *(cost.query_ms for cost in costs)) / 1.7,
        max(cost.query_ms for cost in costs) * 1.7,
    )
    axes.set_title("One query for ten neighbours")
    axes.set_ylabel("milliseconds, median of a lone caller")


def _memory(axes: Axes, costs: Sequence[Cost]) -> None:
    highest = float(_TARGET_BYTES)
    for approximate, name in ((False, "vectors and columns"), (True, "with a graph")):
        colour = _COLOURS[approximate]
        chosen = [cost for cost in costs if cost.approximate == approximate]
        counted = [cost.counted for cost in chosen]
        axes.plot([cost.items for cost in chosen], counted, "o-", color=colour)
        axes.annotate(
            f"{name}: {counted[-1]:.0f}",
            (chosen[0].items, counted[0]),
            (0, -9),
            textcoords="offset points",
            va="top",
            color=colour,
        )
        large = [cost for cost in chosen if cost.items >= _FEWEST_FOR_RESIDENT]
        for cost in large:
            axes.plot(
                cost.items, cost.resident, "D", color=colour, markerfacecolor=PAPER, markersize=7
            )
            _label(axes, f"{cost.resident:.0f}", cost.items, cost.resident, colour, above=True)
        highest = max([highest, *counted, *(cost.resident for cost in large)])
    _legend(
        axes,
        (
            ("resident in all, after a restart", INK, "D"),
            ("counted by the service", INK, "o-"),
            (f"target of 10 M, exact: {_TARGET_BYTES}", FADED, ":"),
        ),
    )
    axes.axhline(_TARGET_BYTES, color=FADED, linewidth=1, linestyle=":")
    axes.set_ylim(0, highest * 1.45)  # the legend is above
    axes.set_title("Memory of an item")
    axes.set_ylabel("bytes")


def _legend(axes: Axes, entries: Sequence[tuple[str, str, str]]) -> None:
    for name, colour, form in entries:
        axes.plot(
            [], [], form, color=colour, markerfacecolor=PAPER if form == "D" else None, label=name
        )
    axes.legend(loc="best")


def _sizes(axes: Axes, sizes: Sequence[int]) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator([float(size) for size in sizes]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axes.set_xlim(sizes[0] / 1.6, sizes[-1] * 1.6)
    axes.set_xlabel("items in the collection")
    axes.grid(axis="y")


def _label(axes: Axes, text: str, x: float, y: float, colour: str, *, above: bool) -> None:
    axes.annotate(
        text,
        (x, y),
        (-7, 8) if above else (7, -8),  # beside a line that rises
        textcoords="offset points",
        ha="center",
        va="bottom" if above else "top",
        color=colour,
        fontsize=9,
        path_effects=[withStroke(linewidth=3, foreground=PAPER)],
    )


def short(number: float) -> str:
    """Returns a round number as people say it: `10 k`, `1 M`."""
    for unit, value in (("M", 1e6), ("k", 1e3)):
        if number >= value:
            return f"{number / value:g} {unit}"
    return f"{number:g}"
