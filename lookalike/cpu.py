"""How many CPU cores this process may use."""

from __future__ import annotations

import os


def available_cores() -> int:
    """Returns the number of cores, at least 1; honours the process's CPU affinity."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
