"""The one shape of every benchmark's result: figures with targets, and the machine they are of."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lookalike.cpu import available_cores


@dataclass(frozen=True)
class Figure:
    """One measured value.

    Attributes:
        name: What was measured.
        value: The value, a median where it was measured more than once; NaN if it was not measured.
        unit: `s`, `ms`, `photos/s`, `ratio`, or `share`, which is shown with four digits.
        at_most: Target that the value must not exceed; none if it has none.
        at_least: Target that the value must reach; none if it has none.
        note: Why it was not measured, or what else there is to know of it.
    """

    name: str
    value: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None
    note: str = ""

    @property
    def target(self) -> str | None:
        """The target as people write it."""
        if self.at_most is not None and self.at_least is not None:
            return f"{self.at_least:g} to {self.at_most:g}"
        if self.at_most is not None:
            return f"≤ {self.at_most:g}"
        return None if self.at_least is None else f"≥ {self.at_least:g}"

    @property
    def holds(self) -> bool | None:
        """Whether the target is met; none without a target or a value."""
        if math.isnan(self.value) or self.target is None:
            return None
        above = self.at_least is None or self.value >= self.at_least
        return above and (self.at_most is None or self.value <= self.at_most)


def machine() -> dict[str, Any]:
    """Describes this machine and the libraries that the figures depend on."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    packages = ("grpcio", "openvino", "torch", "faiss-cpu", "pillow", "numpy")
    return {
        "cpu": model,
        "cores": available_cores(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
    }


def show(title: str, figures: Sequence[Figure]) -> None:
    """Prints the machine and a table of the figures."""
    console = Console()
    about = machine()
    console.print(f"{about['cpu']}, {about['cores']} cores, {about['memory_gib']} GiB")
    table = Table("figure", "value", "unit", "target", "", title=title, title_justify="left")
    table.columns[1].justify = "right"
    marks = {None: "", True: "[green]holds[/green]", False: "[red]missed[/red]"}
    for figure in figures:
        digits = 4 if figure.unit == "share" else 2 if figure.value < 100 else 0
        value = f"{figure.value:,.{digits}f}"
        last = " ".join(part for part in (marks[figure.holds], escape(figure.note)) if part)
        name = escape(figure.name)
        table.add_row(
            name,
            "–" if math.isnan(figure.value) else value,
            figure.unit,
            figure.target or "",
            last,
        )
    console.print(table)


def write(file: Path, figures: Sequence[Figure]) -> None:
    """Writes the figures and the machine as JSON."""
    rows = [
        {
            "name": figure.name,
            "value": None if math.isnan(figure.value) else figure.value,
            "unit": figure.unit,
            "target": figure.target,
            "holds": figure.holds,
            "note": figure.note,
        }
        for figure in figures
    ]
    content = {"machine": machine(), "figures": rows}
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
