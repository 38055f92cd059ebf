"""Fills the index as a seller's system would, with `lookalike ingest`."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from lookalike.cli import app
from lookalike.cli.console import ExitCode
from lookalike.errors import StartupError


def fill(gateway: str, marketplace: Path, journal: Path) -> bool:
    """Ingests every photo of a raw catalogue; returns whether none was refused.

    Args:
        gateway: Its address.
        marketplace: Holds Products.csv, Images.csv and images/.
        journal: Where to remember what is done; refused photos are listed beside it.

    Raises:
        StartupError: Nothing was ingested, or not to the end.
    """
    arguments = ["ingest", "--products", str(marketplace / "Products.csv")]
    arguments += ["--images", str(marketplace / "images"), "--journal", str(journal)]
    arguments += ["--restart", "--gateway", gateway]
    print(f"\n$ lookalike {shlex.join(arguments)}", flush=True)
    status = app.run(arguments)
    if status == ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    if status not in (ExitCode.OK, ExitCode.SOME_FAILED):
        raise StartupError(f"`lookalike ingest` failed with status {status:d}")
    return status == ExitCode.OK


def is_filled(marker: Path, wanted: dict[str, str]) -> bool:
    """Returns whether `mark_filled` recorded the same facts."""
    try:
        return bool(json.loads(marker.read_text()) == wanted)
    except (OSError, ValueError):
        return False  # never filled, or interrupted while recording it


def mark_filled(marker: Path, facts: dict[str, str]) -> None:
    """Records what an index was filled with."""
    marker.write_text(json.dumps(facts) + "\n")
