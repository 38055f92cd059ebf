"""Draws the answers of a dashboard's queries with matplotlib, laid out as Grafana would."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.dates import DateFormatter, MinuteLocator, date2num
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, MultipleLocator

from scripts.dashboards.prometheus_server import Series

mpl.use("agg")

Answers = Mapping[int, Sequence[tuple[Mapping[str, Any], Sequence[Series]]]]

_INK, _FAINT, _PAPER, _PANEL, _LINES = "#1f2430", "#69707d", "#f2f4f7", "#ffffff", "#e3e7ec"
_COLOURS = (
    "#2f6fde", "#e07b39", "#2c9c69", "#c13c5b", "#8457c9", "#c9a227", "#1f9fb5", "#7a8796",
    "#9c5a3c", "#d766a8", "#5b7f2b", "#374a9c",
)  # fmt: skip
# Inches of Grafana's grid of 24 columns.
_COLUMN, _ROW, _HEADING = 0.75, 0.36, 0.9
_MOST_IN_LEGEND = 6
# From the value on, what to multiply it with, and what to write behind it.
_UNITS = {
    "s": ((3600, 1 / 3600, " h"), (1, 1, " s"), (1e-9, 1000, " ms"), (0, 1, " s")),
    "bytes": (
        *(
            (1 << bits, 2.0**-bits, f" {name}iB")
            for bits, name in ((30, "G"), (20, "M"), (10, "K"))
        ),
        (0, 1, " B"),
    ),
    "percentunit": ((0, 100, " %"),),
    "reqps": ((0, 1, "/s"),),
    "ops": ((0, 1, "/s"),),
}
_LABEL = re.compile(r"\{\{(\w+)\}\}")


def draw(
    dashboard: Mapping[str, Any], answers: Answers, file: Path, start: float, end: float
) -> None:
    """Writes the picture of a dashboard.

    Args:
        dashboard: Grafana's JSON model.
        answers: By each panel's id, its targets with their series.
        file: A PNG.
        start: The left edge, in seconds since 1970.
        end: The right one.
    """
    rows = max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in dashboard["panels"])
    width, height = 24 * _COLUMN + 0.4, rows * _ROW + _HEADING + 0.2
    figure = Figure(figsize=(width, height), facecolor=_PAPER)
    figure.text(
        0.2 / width, 1 - 0.38 / height, dashboard["title"], size=17, weight="bold", color=_INK,
        va="center",
    )  # fmt: skip
    figure.text(
        0.2 / width,
        1 - 0.7 / height,
        dashboard["description"],
        size=10.5,
        color=_FAINT,
        va="center",
    )
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        left, top = 0.2 + place["x"] * _COLUMN, _HEADING + place["y"] * _ROW
        wide, high = place["w"] * _COLUMN, place["h"] * _ROW
        box = (left / width, 1 - (top + high) / height, wide / width, high / height)
        if panel["type"] == "row":
            figure.text(
                box[0], box[1] + box[3] * 0.4, panel["title"], size=12, weight="bold", color=_INK,
                va="center",
            )  # fmt: skip
            continue
        _card(figure, box, width, height)
        figure.text(
            box[0] + 0.16 / width, box[1] + box[3] - 0.25 / height, panel["title"], size=10.5,
            weight="bold", color=_INK, va="center",
        )  # fmt: skip
        if panel["type"] == "stat":
            _stat(figure, box, panel, answers[panel["id"]])
        elif panel["type"] == "table":
            _table(figure, box, panel, answers[panel["id"]], height)
        else:
            axes = figure.add_axes(
                (
                    box[0] + 0.68 / width,
                    box[1] + 1.0 / height,
                    box[2] - 0.88 / width,
                    box[3] - 1.5 / height,
                )
            )
            _lines(axes, panel, answers[panel["id"]], start, end)
    figure.savefig(file, dpi=80)


def _card(figure: Figure, box: tuple[float, ...], width: float, height: float) -> None:
    gap = 0.05
    figure.add_artist(
        Rectangle(
            (box[0] + gap / width, box[1] + gap / height),
            box[2] - 2 * gap / width,
            box[3] - 2 * gap / height,
            facecolor=_PANEL,
            edgecolor=_LINES,
            zorder=-1,
        )
    )


def _stat(figure: Figure, box: tuple[float, ...], panel: Mapping[str, Any], targets: Any) -> None:
    series = targets[0][1]
    value = series[0].points[-1][1] if series else math.nan
    figure.text(
        box[0] + box[2] / 2, box[1] + box[3] * 0.38, written(value, _unit(panel)), size=22,
        weight="bold", color=_COLOURS[0], ha="center", va="center",
    )  # fmt: skip


def _table(
    figure: Figure, box: tuple[float, ...], panel: Mapping[str, Any], targets: Any, height: float
) -> None:
    y = box[1] + box[3] - 0.65 / height
    for target, found in targets:
        for series in found:
            words = f"{series.points[-1][1]:.0f} × {legend(target, series)}"
            figure.text(box[0] + 0.012, y, _shortened(words, 58), size=9.5, color=_INK, va="center")
            y -= 0.3 / height


def _lines(axes: Axes, panel: Mapping[str, Any], targets: Any, start: float, end: float) -> None:
    named = sorted(_named(targets), key=lambda pair: -max(_finite(pair[1]), default=0))
    custom = panel["fieldConfig"]["defaults"]["custom"]
    if custom["stacking"]["mode"] == "normal" and named:
        grid = sorted({point[0] for _, series in named for point in series.points})
        layers = [[dict(series.points).get(at, 0.0) for at in grid] for _, series in named]
        axes.stackplot(
            [_time(at) for at in grid], layers, labels=[name for name, _ in named],
            colors=_COLOURS, alpha=0.75,
        )  # fmt: skip
    else:
        for number, (name, series) in enumerate(named):
            colour = _COLOURS[number % len(_COLOURS)]
            values = [value if math.isfinite(value) else math.nan for _, value in series.points]
            times = [_time(at) for at, _ in series.points]
            # a break in a series is a break in the line
            axes.plot(*_with_gaps(times, values), label=name, color=colour, linewidth=1.6)
    axes.set_xlim(_time(start), _time(end))
    highest = panel["fieldConfig"]["defaults"].get("max") or axes.dataLim.y1
    axes.set_ylim(0, highest * 1.08 if named and highest > 0 else 1)
    minutes = max(1, round((end - start) / 60 / 5))
    axes.xaxis.set_major_locator(MinuteLocator(interval=minutes))  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(DateFormatter("%H:%M"))  # type: ignore[no-untyped-call]
    if _unit(panel) == "bytes":  # binary steps have round names
        axes.yaxis.set_major_locator(MultipleLocator(2.0 ** math.ceil(math.log2(highest / 4))))
    else:
        axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(lambda value, _: written(value, _unit(panel)))
    axes.tick_params(labelsize=8.5, length=0, colors=_FAINT)
    axes.grid(color=_LINES, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_facecolor(_PANEL)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if not named:
        axes.text(0.5, 0.5, "nothing", size=11, color=_FAINT, transform=axes.transAxes, ha="center")
        return
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(
        handles[:_MOST_IN_LEGEND], [_shortened(label, 34) for label in labels[:_MOST_IN_LEGEND]],
        loc="upper left", bbox_to_anchor=(-0.1, -0.13), ncols=2, fontsize=8, frameon=False,
        handlelength=1.0, columnspacing=1.0, labelcolor=_INK,
    )  # fmt: skip


def _named(targets: Any) -> Iterator[tuple[str, Series]]:
    for target, found in targets:
        yield from ((legend(target, series), series) for series in found)


def legend(target: Mapping[str, Any], series: Series) -> str:
    """Returns a series' legend, as the target's format has it."""
    text = _LABEL.sub(lambda m: series.labels.get(m[1], ""), target["legendFormat"])
    # The package and service stand in every method; what is called is at the end.
    return re.sub(r"lookalike\.\w+\.v1\.(\w+?)(Service)?/", r"", text).strip()


def written(value: float, unit: str) -> str:
    """Returns a value with its unit, as short as people read it."""
    if not math.isfinite(value):
        return "–"
    if unit == "bool":
        return {0.0: "no", 1.0: "yes"}.get(value, "")
    for least, factor, name in _UNITS.get(unit, ()):
        if value >= least:
            return f"{value * factor:.3g}{name}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _unit(panel: Mapping[str, Any]) -> str:
    unit: str = panel["fieldConfig"]["defaults"]["unit"]
    return unit


def _finite(series: Series) -> list[float]:
    return [value for _, value in series.points if math.isfinite(value)]


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _time(at: float) -> float:
    return float(date2num(datetime.fromtimestamp(at, UTC)))  # type: ignore[no-untyped-call]


def _with_gaps(times: list[float], values: list[float]) -> tuple[list[float], list[float]]:
    """Puts a hole where a series paused for more than three steps."""
    if len(times) < 3:
        return times, values
    step = min(after - before for before, after in itertools.pairwise(times))
    out_times, out_values = times[:1], values[:1]
    for number in range(1, len(times)):
        if times[number] - times[number - 1] > 3 * step:
            out_times.append(times[number - 1] + step)
            out_values.append(math.nan)
        out_times.append(times[number])
        out_values.append(values[number])
    return out_times, out_values
