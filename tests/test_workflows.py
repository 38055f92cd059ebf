"""GitHub's workflows, which cannot be run here: they run what `.ci/run` runs, and are pinned."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def read(workflow: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(workflow.read_text(encoding="utf-8"))
    return loaded


def make_targets(text: str) -> set[str]:
    return set(re.findall(r"\bmake ([a-z][a-z0-9-]*)", text))


def run_by(workflow: Path) -> set[str]:
    """The make targets that a workflow's jobs run, those of a matrix too."""
    found: set[str] = set()
    for job in read(workflow)["jobs"].values():
        commands = [step["run"] for step in job["steps"] if "run" in step]
        for target in job.get("strategy", {}).get("matrix", {}).get("target", [""]):
            filled = (command.replace("${{ matrix.target }}", target) for command in commands)
            found |= make_targets("\n".join(filled))
    return found


def test_continuous_integration_is_the_same_in_both_places() -> None:
    checks = make_targets((ROOT / ".ci/run").read_text(encoding="utf-8"))
    assert {"lint", "test", "contract"} <= checks
    assert run_by(ROOT / ".github/workflows/ci.yml") == checks | {"e2e", "test-all"}


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_run_targets_that_exist(workflow: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert run_by(workflow) <= set(re.findall(r"^([a-z][a-z0-9-]*):", makefile, re.MULTILINE))


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_to_a_commit_whose_release_is_named(workflow: Path) -> None:
    used = re.findall(r"uses: (.*)", workflow.read_text(encoding="utf-8"))
    assert used
    # A tag can be moved to other code; a commit cannot.
    loose = [each for each in used if not re.fullmatch(r"\S+@[0-9a-f]{40} # v[\d.]+", each)]
    assert loose == []


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_read_and_one_job_of_a_release_write(workflow: Path) -> None:
    asked = read(workflow)
    assert asked["permissions"] == {"contents": "read"}
    more = {name for name, job in asked["jobs"].items() if "permissions" in job}
    assert more == ({"publish"} if workflow.stem == "release" else set())
