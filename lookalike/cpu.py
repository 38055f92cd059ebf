"""Counts the CPU cores that this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def available_cores(cgroup: Path = _CGROUP) -> int:
    """Returns the number of cores, at least 1, by the process's affinity and its container's quota.

    A container that may use 1.5 cores counts as 2: one thread would leave a third unused.

    Args:
        cgroup: Directory of the control group's files, of version 2 or 1.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, math.ceil(min(cores or 1, _quota(cgroup))))


def _quota(cgroup: Path) -> float:
    """Returns the cores that the control group allows; infinity without a limit."""
    try:
        if (cgroup / "cpu.max").exists():
            limit, period = (cgroup / "cpu.max").read_text().split()
        else:
            limit = (cgroup / "cpu/cpu.cfs_quota_us").read_text()
            period = (cgroup / "cpu/cpu.cfs_period_us").read_text()
        if limit == "max" or int(limit) <= 0:
            return math.inf
        return int(limit) / int(period)
    except (OSError, ValueError):
        return math.inf
