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


def commands_of(job: dict[str, Any]) -> str:
    """What a job runs, or the jobs of the workflow that it calls; of a matrix each filled in."""
    if "uses" in job:
        return "\n".join(map(commands_of, read(ROOT / job["uses"])["jobs"].values()))
    commands = "\n".join(step["run"] for step in job["steps"] if "run" in step)
    targets = job.get("strategy", {}).get("matrix", {}).get("target", [""])
    return "\n".join(commands.replace("${{ matrix.target }}", target) for target in targets)


def run_by(workflow: Path) -> set[str]:
    """The make targets that a workflow's jobs run, those of a matrix too."""
    return make_targets("\n".join(map(commands_of, read(workflow)["jobs"].values())))


def test_continuous_integration_is_the_same_in_both_places() -> None:
    checks = make_targets((ROOT / ".ci/run").read_text(encoding="utf-8"))
    assert {"lint", "test", "contract"} <= checks
    assert run_by(ROOT / ".github/workflows/ci.yml") == checks | {"e2e", "test-all"}


def test_nothing_is_released_before_all_checks_have_passed() -> None:
    release = ROOT / ".github/workflows/release.yml"
    assert run_by(ROOT / ".github/workflows/ci.yml") | {"package", "sbom"} <= run_by(release)
    for name, job in read(ROOT / ".github/workflows/ci.yml")["jobs"].items():
        assert "startsWith(github.ref, 'refs/tags/')" in job.get("if", "") or "if" not in job, name
    jobs = read(release)["jobs"]
    assert set(jobs["publish"]["needs"]) == set(jobs) - {"publish"}


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_where_tests_run_there_is_a_prometheus_so_that_none_is_skipped(workflow: Path) -> None:
    for name, job in read(workflow)["jobs"].items():
        if make_targets(commands_of(job)) & {"test", "test-all"}:
            assert re.search(r"apt-get install .*\bprometheus\b", commands_of(job)), name


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_run_targets_that_exist(workflow: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert run_by(workflow) <= set(re.findall(r"^([a-z][a-z0-9-]*):", makefile, re.MULTILINE))


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_to_a_commit_whose_release_is_named(workflow: Path) -> None:
    used = re.findall(r"uses: (.*)", workflow.read_text(encoding="utf-8"))
    assert used
    # A tag can be moved to other code; a commit cannot. Ours are called as files.
    pinned = r"\./\.github/workflows/\w+\.yml|\S+@[0-9a-f]{40} # v[\d.]+"
    loose = [each for each in used if not re.fullmatch(pinned, each)]
    assert loose == []


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_read_and_one_job_of_a_release_write(workflow: Path) -> None:
    asked = read(workflow)
    assert asked["permissions"] == {"contents": "read"}
    more = {name for name, job in asked["jobs"].items() if "permissions" in job}
    assert more == ({"publish"} if workflow.stem == "release" else set())
