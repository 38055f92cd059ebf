"""What services wrote to their logs."""

from __future__ import annotations

from pathlib import Path


def lines_for_people(log: Path) -> list[str]:
    """Returns the lines that are no event: why a service did not start, or a traceback."""
    return [line for line in log.read_text().splitlines() if not line.startswith("{")]
