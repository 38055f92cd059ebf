"""What a re-indexing says of its copy and its comparison."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lookalike.cli.console import counted, say, show_table
from lookalike.cli.failing import Failure, by_reason
from lookalike.cli.reindexing.comparing import Comparison
from lookalike.cli.reindexing.copying import Copied


def show_comparison(comparison: Comparison) -> None:
    """Writes what both collections find as a table to stdout."""
    old, new = comparison.old, comparison.new
    rows = [
        (
            "of 10 found, of the photo's own category",
            _share(old.own_category),
            _share(new.own_category),
        ),
        (
            "other photo of the listing found first",
            _share(old.other_photo_first),
            _share(new.other_photo_first),
        ),
        ("of 10 found, found by both", _share(comparison.agreement), ""),
    ]
    show_table((f"by {counted(comparison.queries, 'photo')}", "old", "new"), rows, right=(1, 2))


def tell_failures(failures: Sequence[Failure], listed: Path, which: str = "") -> None:
    """Says how many photos failed, and why; nothing if none did.

    Args:
        failures: These.
        listed: Where they are listed.
        which: Of which photos they are, for example `that came late`.
    """
    if failures:
        reasons = ", ".join(f"{why} {n:,}" for why, n in by_reason(failures).items())
        number = " ".join(filter(None, (counted(len(failures), "photo"), which)))
        say(f"{number} failed, listed in {listed}: {reasons}")


def as_json(copied: Copied, comparison: Comparison | None, listed: Path) -> dict[str, Any]:
    """Returns what `--json` tells of a copy and its comparison."""
    return {
        "photos": len(copied.source),
        "embedded": copied.written,
        "kept": copied.kept,
        "deleted": copied.deleted,
        "failed": len(copied.failures),
        "failures": str(listed) if copied.failures else None,
        "comparison": dataclasses.asdict(comparison) if comparison else None,
    }


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
