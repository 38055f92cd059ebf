"""The locks of the images, held to constraints.txt and pyproject.toml without asking an index."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts.lock import EXTRAS, FOLDER, LEFT_OUT, ROOT

# `pip freeze`, which writes constraints.txt, leaves out what installs packages.
NOT_FROZEN = {"setuptools"}
IMAGE = {"python_version": "3.11", "python_full_version": "3.11.14", "sys_platform": "linux"}


def pins(text: str) -> dict[str, str]:
    """Names and versions of `name==version` lines."""
    found = re.findall(r"^([\w.-]+)==([^\s;\\]+)", text, re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


CONSTRAINTS = pins((ROOT / "constraints.txt").read_text(encoding="utf-8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def wanted(lines: list[str], extras: set[str]) -> list[Requirement]:
    """Those requirements that count on the images' platform with these extras."""
    environments = [{**IMAGE, "extra": extra} for extra in extras or {""}]
    every = [Requirement(line) for line in lines]
    return [
        one
        for one in every
        if one.marker is None or any(one.marker.evaluate(env) for env in environments)
    ]


def needed(extra: str, left_out: set[str]) -> set[str]:
    """All packages that an extra of ours leads to, by what those installed here say they need."""
    lines = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"][extra]]
    waiting, seen = wanted(lines, set()), set[tuple[str, str]]()
    while waiting:
        one = waiting.pop()
        name = canonicalize_name(one.name)
        if name in left_out:
            continue
        if name == "lookalike":
            ours = PROJECT["optional-dependencies"]
            waiting += [more for each in one.extras for more in wanted(ours[each], set())]
            continue
        for each in {"", *one.extras} - {had for of, had in seen if of == name}:
            seen.add((name, each))
            waiting += wanted(requires(name) or [], {each})
    return {name for name, _ in seen}


def test_there_is_a_lock_for_every_image_and_no_other() -> None:
    assert {file.stem for file in FOLDER.iterdir()} == set(EXTRAS)


@pytest.mark.parametrize("name", EXTRAS)
def test_a_lock_has_the_versions_that_are_tested(name: str) -> None:
    locked = pins((FOLDER / f"{name}.txt").read_text(encoding="utf-8"))
    assert set(locked) - NOT_FROZEN <= set(CONSTRAINTS)
    assert {
        package: version
        for package, version in locked.items()
        if package not in NOT_FROZEN and CONSTRAINTS[package] != version
    } == {}, "stale; run `make lock`"


@pytest.mark.parametrize("name", EXTRAS)
def test_a_lock_has_all_that_its_extra_needs_and_nothing_else(name: str) -> None:
    locked = pins((FOLDER / f"{name}.txt").read_text(encoding="utf-8"))
    left_out: set[str] = {canonicalize_name(package) for package in LEFT_OUT.get(name, ())}
    assert set(locked) == needed(EXTRAS[name], left_out), "stale; run `make lock`"


@pytest.mark.parametrize("name", EXTRAS)
def test_a_lock_has_hashes_for_every_package_and_names_no_host(name: str) -> None:
    text = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    entries = text.replace("\\\n", " ").splitlines()
    packages = [entry for entry in entries if not entry.startswith("#")]
    assert all("--hash=sha256:" in entry for entry in packages)
    assert not re.search(r"://|^\s*(-i|-f|--(extra-)?index|--find-links|--trusted)", text, re.M)


def test_no_serving_image_has_torch() -> None:
    for file in set(FOLDER.iterdir()) - {FOLDER / "training.txt"}:
        assert "torch" not in pins(Path(file).read_text(encoding="utf-8"))
