"""Training curves, from the run's TensorBoard logs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lookalike.catalogue.sheets import FADED
from lookalike.files import read_json
from training.report.style import COLOURS, SHAPES, drawing

Scalars = Mapping[str, NDArray[np.float64]]  # by tag: rows of step and value

_NAMES = {
    "train/loss": "train: all that is minimised",
    "train/cross_entropy": "train: cross-entropy, smoothed labels",
    "train/leaf": "train: cross-entropy of whole categories",
    "train/photo": "train: finding the own photos",
    "validation/loss": "validation: cross-entropy",
}


def read_scalars(folder: Path) -> dict[str, NDArray[np.float64]]:
    """Returns each tag's steps and values, of shape (steps, 2); empty without logs.

    A step logged twice, by a run that was interrupted after it and resumed before it, keeps the
    later value.
    """
    if not folder.is_dir():
        return {}
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})  # 0: keep them all
    events.Reload()
    scalars = {}
    for tag in events.Tags()["scalars"]:
        values = {}
        for event in sorted(events.Scalars(tag), key=lambda event: event.wall_time):
            values[event.step] = event.value
        scalars[tag] = np.array(sorted(values.items()), np.float64)
    return scalars


def panels(tags: list[str]) -> dict[str, list[str]]:
    """Groups tags into plots, by title; other tags are left out."""
    groups: dict[str, list[str]] = {
        "Loss": [],
        "Contrastive loss": [],
        "Accuracy": [],
        "Learning rate": [],
    }
    for tag in sorted(tags):
        if tag.startswith("lr-") or "learning_rate" in tag.replace(" ", "_"):
            groups["Learning rate"].append(tag)
        elif "/contrastive/" in tag:
            groups["Contrastive loss"].append(tag)
        elif tag.endswith("/accuracy"):
            groups["Accuracy"].append(tag)
        elif tag.endswith(("/loss", "/cross_entropy", "/leaf", "/photo")):
            groups["Loss"].append(tag)
    return {title: found for title, found in groups.items() if found}


def draw_curves(run: Path, out: Path) -> list[str]:
    """Draws a run's logs; returns the titles of the plots; writes nothing without logs.

    Args:
        run: A complete run.
        out: File to write.
    """
    scalars = read_scalars(run / "tensorboard")
    groups = panels(list(scalars))
    if not groups:
        return []
    per_epoch = _steps_per_epoch(scalars)
    best = read_json(run / "run.json", "a run's report")["best_epoch"] + 1
    rows = -(-len(groups) // 2)
    with drawing(out, 10.8, 3.9 * rows) as figure:
        grid = figure.add_gridspec(rows, 2)
        for place, (title, tags) in enumerate(groups.items()):
            row, column = divmod(place, 2)
            alone = column == 0 and place == len(groups) - 1  # then it spans both columns
            axes = figure.add_subplot(grid[row, slice(None) if alone else column])
            for number, tag in enumerate(tags):
                steps, values = scalars[tag].T
                # A point covers everything up to the end of its step.
                axes.plot(
                    (steps + 1) / per_epoch, values, f"{SHAPES[number % len(SHAPES)]}-",
                    color=COLOURS[number % len(COLOURS)], label=_name(tag),
                    markersize=4 if len(steps) <= 60 else 0,
                )  # fmt: skip
            axes.set_title(title)
            axes.grid(visible=True)
            axes.set_xlabel("epoch" if per_epoch > 1 else "step")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            if per_epoch > 1:
                axes.axvline(best, color=FADED, linestyle=":", label=f"best epoch, {best}")
            axes.margins(y=0.08)
            axes.legend(fontsize=9)
    return list(groups)


def _steps_per_epoch(scalars: Scalars) -> float:
    """Returns the number of steps per epoch; 1 if no epochs were logged."""
    if "epoch" not in scalars:
        return 1
    step, epoch = scalars["epoch"][-1]
    return float((step + 1) / (epoch + 1))


def _name(tag: str) -> str:
    side, _, rest = tag.partition("/")
    if tag.startswith("lr-"):  # lightning's prefix, the optimiser's name, and that of a group
        return f"learning rate: {rest}" if rest else "learning rate"
    words = rest.removeprefix("contrastive/").replace("_", " ")
    return _NAMES.get(tag, f"{side}: {words}" if words else tag)
