"""Figures and tables of a report, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def figure(value: float) -> str:
    """Returns a figure as reports show it."""
    return f"{value:.3f}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], sides: str) -> str:
    """Returns a Markdown table; `sides` has an l or r for each column."""
    rules = ["---:" if side == "r" else "---" for side in sides]
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, rules, *cells])


def search_table(what: str, found: dict[str, dict[str, float]]) -> str:
    """Returns a table of what was found by each of several ways."""
    header = (what, "precision@5", "recall@1", "recall@5", "recall@10")
    rows = [(name, *map(figure, figures.values())) for name, figures in found.items()]
    return table(header, rows, "lrrrr")
