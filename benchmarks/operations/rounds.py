"""The claims, one after the other."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from benchmarks.report import Figure

# By the name that `--only` takes: the module. docs/operations.md says what each claims.
CLAIMS = {
    "restarts": "restarts",
    "starts": "starts",
    "kills": "kills",
    "cuts": "cuts",
    "pods": "pods",
    "overload": "overload",
    "soak": "soak",
    "clocks": "clocks",
    "disks": "disks",
    "rotation": "rotation",
    "tls": "tls",
}


def measure(*, quick: bool, only: Sequence[str] = ()) -> list[Figure]:
    """Returns the figures of all claims, or of those that are named."""
    figures = []
    for name in only or CLAIMS:
        module = importlib.import_module(f"benchmarks.operations.{CLAIMS[name]}")
        figures += module.measure(quick=quick)
    return figures
