"""A container's share of the machine counts, not the machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lookalike.cpu import available_cores

ALL = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("content", "cores"),
    [("100000 100000", 1), ("150000 100000", min(2, ALL)), ("20000 100000", 1)],
)
def test_quota_of_a_control_group_bounds_the_cores(
    tmp_path: Path, content: str, cores: int
) -> None:
    (tmp_path / "cpu.max").write_text(f"{content}\n")
    assert available_cores(tmp_path) == cores
    quota, period = content.split()
    (tmp_path / "cpu.max").unlink()
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text(f"{quota}\n")
    (tmp_path / "cpu/cpu.cfs_period_us").write_text(f"{period}\n")
    assert available_cores(tmp_path) == cores


@pytest.mark.parametrize("content", ["max 100000", "", "nonsense"])
def test_without_a_quota_all_cores_count(tmp_path: Path, content: str) -> None:
    assert available_cores(tmp_path) == ALL
    (tmp_path / "cpu.max").write_text(content)
    assert available_cores(tmp_path) == ALL
