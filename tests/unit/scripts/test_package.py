"""What is wrong with a wheel is named; the real one is built in tests/e2e/test_package.py."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lookalike import __version__
from scripts.package import problems

INFORMATION = f"lookalike-{__version__}.dist-info"
METADATA = f"""Metadata-Version: 2.4
Name: lookalike
Version: {__version__}
Requires-Dist: numpy>=2.0
Description-Content-Type: text/markdown

# Lookalike
"""
GOOD = {"lookalike/__init__.py": "", "lookalike/py.typed": "", f"{INFORMATION}/METADATA": METADATA}

Wheel = Callable[[dict[str, str]], Path]


@pytest.fixture
def wheel(tmp_path: Path) -> Wheel:
    def wheel(files: dict[str, str]) -> Path:
        path = tmp_path / "a.whl"
        with zipfile.ZipFile(path, "w") as file:
            for name, text in files.items():
                file.writestr(name, text)
        return path

    return wheel


def test_a_good_wheel_has_no_problems(wheel: Wheel) -> None:
    assert problems(wheel(GOOD)) == []


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"lookalike/serving/server.py": ""}, "a.whl has lookalike/serving/server.py"),
        ({"tests/test_a.py": ""}, "a.whl has tests/test_a.py, which is not for users"),
        ({f"{INFORMATION}/METADATA": METADATA.replace("numpy>=2.0", "numpy >> 2")}, "numpy >> 2"),
        ({f"{INFORMATION}/METADATA": METADATA.replace("text/markdown", "text/plain")}, "Markdown"),
    ],
)
def test_what_is_wrong_is_named(wheel: Wheel, change: dict[str, str], wrong: str) -> None:
    (problem,) = problems(wheel({**GOOD, **change}))
    assert wrong in problem


def test_what_lacks_is_named(wheel: Wheel) -> None:
    found = problems(wheel({"lookalike/__init__.py": ""}))
    assert found == [
        "a.whl lacks lookalike/py.typed",
        f"a.whl has no {INFORMATION}/METADATA: another version?",
    ]
