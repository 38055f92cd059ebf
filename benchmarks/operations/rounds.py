"""The claims, one after the other."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from benchmarks.report import Figure

# The module of each, which `--only` names too; docs/operations.md says what it claims.
CLAIMS = (
    "starts",
    "restarts",
    "kills",
    "cuts",
    "pods",
    "overload",
    "soak",
    "clocks",
    "disks",
    "rotation",
    "tls",
    "telemetry",
)


def measure(*, quick: bool, only: Sequence[str] = ()) -> list[Figure]:
    """Returns the figures of all claims, or of those that are named."""
    figures = []
    for name in only or CLAIMS:
        module = importlib.import_module(f"benchmarks.operations.{name}")
        figures += module.measure(quick=quick)
    return figures
