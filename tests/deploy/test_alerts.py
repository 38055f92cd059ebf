"""Alert rules: each fires and stays silent in promtool, and the runbook tells of each."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy/prometheus"
TESTS = sorted((FOLDER / "tests").glob("*.yml"))

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not there: install prometheus"
)


def rules(kind: str) -> list[dict[str, Any]]:
    """Every rule with a key such as `alert` or `record`, whichever file it is in."""
    files = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in FOLDER.glob("*.yml")]
    groups = [group for file in files for group in file["groups"]]
    return [rule for group in groups for rule in group["rules"] if kind in rule]


ALERTS = [rule["alert"] for rule in rules("alert")]


def promtool(*arguments: str) -> None:
    done = subprocess.run(["promtool", *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_rules_are_what_prometheus_reads() -> None:
    promtool("check", "rules", *map(str, sorted(FOLDER.glob("*.yml"))))


@needs_promtool
@pytest.mark.parametrize(
    "file",
    # three days of samples take promtool six seconds
    [pytest.param(file, marks=[pytest.mark.long] * file.stem.startswith("slow")) for file in TESTS],
    ids=lambda file: file.stem,
)
def test_alerts_fire_and_stay_silent_as_their_tests_say(file: Path) -> None:
    promtool("test", "rules", str(file))


def test_what_is_recorded_is_never_older_than_queries_look_back() -> None:
    for file in FOLDER.glob("*.yml"):
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]:
            assert group.get("interval", "1m") in {"30s", "1m", "2m"}, group["name"]


def test_each_alert_is_tested_firing_and_silent() -> None:
    outcomes: dict[str, set[bool]] = defaultdict(set)
    for file in TESTS:
        for test in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]:
            for case in test.get("alert_rule_test", []):
                outcomes[case["alertname"]].add(bool(case["exp_alerts"]))
    assert outcomes == {alert: {True, False} for alert in ALERTS}


def test_each_alert_has_words_for_people_and_a_severity() -> None:
    for rule in rules("alert"):
        assert {"summary", "description", "runbook_url"} <= rule["annotations"].keys(), rule
        assert rule["labels"]["severity"] in {"critical", "warning"}, rule


def test_the_runbook_has_a_section_for_each_alert_and_for_nothing_else() -> None:
    text = (ROOT / "docs/runbook.md").read_text(encoding="utf-8")
    _, *sections = re.split(r"^## ", text, flags=re.MULTILINE)
    assert [section.splitlines()[0] for section in sections] == ALERTS
    for section in sections:
        assert "**Means**" in section, section
        assert re.search(r"\*\*(Look at|Look at, do)\*\*", section), section
    links = [rule["annotations"]["runbook_url"] for rule in rules("alert")]
    assert links == [f"docs/runbook.md#{alert.lower()}" for alert in ALERTS]
