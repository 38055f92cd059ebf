from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from benchmarks.report import Figure, show, write


@pytest.mark.parametrize(
    ("figure", "target", "holds"),
    [
        (Figure("p50", 1.2, "ms", at_most=1.2), "≤ 1.2", True),
        (Figure("p50", 1.3, "ms", at_most=1.2), "≤ 1.2", False),
        (Figure("rate", 0.96, "ratio", at_least=0.96), "≥ 0.96", True),
        (Figure("rate", 0.95, "ratio", at_least=0.96), "≥ 0.96", False),
        (Figure("rate", 0.95, "ratio"), None, None),
        (Figure("held", 0.77, "share", at_most=0.83, at_least=0.77), "0.77 to 0.83", True),
        (Figure("held", 0.83, "share", at_most=0.83, at_least=0.77), "0.77 to 0.83", True),
        (Figure("held", 0.76, "share", at_most=0.83, at_least=0.77), "0.77 to 0.83", False),
        (Figure("held", 0.84, "share", at_most=0.83, at_least=0.77), "0.77 to 0.83", False),
    ],
)
def test_figure_holds_exactly_if_it_meets_its_target(
    figure: Figure, target: str | None, holds: bool | None
) -> None:
    assert (figure.target, figure.holds) == (target, holds)


def test_json_has_the_machine_and_every_figure(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    write(file, [Figure("rate", 2.5, "photos/s", at_least=2)])
    content = json.loads(file.read_text(encoding="utf-8"))
    assert content["machine"]["cores"] >= 1
    assert content["machine"]["packages"]["grpcio"]
    assert content["figures"] == [
        {
            "name": "rate",
            "value": 2.5,
            "unit": "photos/s",
            "target": "≥ 2",
            "holds": True,
            "note": "",
        }
    ]


def test_figure_that_was_not_measured_says_why_and_is_neither_met_nor_missed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figure = Figure("rate", math.nan, "ratio", at_least=3, note="[other] is not installed")
    show("demo", [figure])
    line = next(row for row in capsys.readouterr().out.splitlines() if "rate" in row)
    assert "–" in line
    assert "[other] is not installed" in line
    write(tmp_path / "figures.json", [figure])
    (row,) = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))["figures"]
    assert (row["value"], row["holds"]) == (None, None)


def test_table_marks_a_missed_target(capsys: pytest.CaptureFixture[str]) -> None:
    show("demo", [Figure("in all", 250, "s", at_most=240), Figure("query", 3.25, "ms")])
    lines = capsys.readouterr().out.splitlines()
    missed = next(line for line in lines if "in all" in line)
    assert "missed" in missed
    assert "≤ 240" in missed
    assert "3.25" in next(line for line in lines if "query" in line)
