"""The gate of coverage: levels are read as they are written, and what falls is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import coverage_gate
from scripts.coverage_gate import falls, read, written

REACHED = {"gateway/a.py": 100.0, "index_service/b.py": 93.7, "training/c.py": 0.0}


def test_levels_are_read_as_they_were_written() -> None:
    table = written(REACHED)

    assert table == "100 gateway/a.py\n 92 index_service/b.py\n  0 training/c.py\n"
    assert falls(read(table), REACHED) == []


def test_files_that_fall_are_new_or_are_gone_are_named() -> None:
    now = {"gateway/a.py": 99.5, "index_service/b.py": 92.1, "sample/d.py": 100.0}

    assert falls(read(written(REACHED)), now) == [
        "gateway/a.py: 99.5 %, which is below 100 %",
        "sample/d.py: new, without a level",
        "training/c.py: is gone",
    ]


def test_a_fall_ends_with_status_1_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = dict(REACHED)
    monkeypatch.setattr(coverage_gate, "measured", lambda: found)
    monkeypatch.setattr(coverage_gate, "ROOT", tmp_path)
    monkeypatch.setattr(coverage_gate, "TABLE", tmp_path / "coverage.txt")

    assert coverage_gate.main(["write"]) == coverage_gate.main([]) == 0
    found["gateway/a.py"] = 50.0
    assert coverage_gate.main([]) == 1
    assert "python -m scripts.coverage_gate write" in capsys.readouterr().err
