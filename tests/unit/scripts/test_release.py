from __future__ import annotations

import pytest

from lookalike import __version__
from scripts.release import CHANGELOG, main, notes, problems

RELEASED = """# Changelog

## [Unreleased]

## [0.2.0] - 2026-02-01

### Added

- Sofas.

## [0.1.0] - 2026-01-01

- Lamps.
"""


def test_version_and_changelog_of_the_repository_agree() -> None:
    assert problems(__version__, CHANGELOG.read_text(encoding="utf-8")) == []
    assert main(["check"]) == 0


def test_a_release_agrees_with_its_tag_and_between_releases_the_version_may_be_ahead() -> None:
    assert problems("0.2.0", RELEASED, "v0.2.0") == []
    assert problems("0.3.0", RELEASED) == []


@pytest.mark.parametrize(
    ("version", "changelog", "tag", "wrong"),
    [
        ("0.2.0", RELEASED, "v0.2.1", "the tag is v0.2.1; lookalike.__version__ is 0.2.0"),
        ("0.3.0", RELEASED, "v0.3.0", r"no '## \[0.3.0\] - YYYY-MM-DD'"),
        ("0.1.0", RELEASED, "", "is 0.1.0; CHANGELOG.md has released 0.2.0"),
        ("0.2.0", RELEASED.replace("[Unreleased]", "Next"), "", "first heading is '## Next'"),
        ("0.2.0", RELEASED.replace("[Unreleased]", "[Unreleased]\n\n- X."), "v0.2.0", "not empty"),
        ("0.2.0", RELEASED.replace("-02-01", "-02-31"), "", "day is out of range"),
        ("0.2.0", RELEASED.replace("[0.1.0] -", "0.1.0,"), "", "is not '## "),
        ("0.2.0", RELEASED.replace("2026-01-01", "2026-03-01"), "", "but not older"),
        ("a", RELEASED, "", "Invalid version: 'a'"),
        ("0.2.0", "", "", "first heading"),
    ],
)
def test_what_does_not_agree_is_named(version: str, changelog: str, tag: str, wrong: str) -> None:
    (problem,) = problems(version, changelog, tag)
    with pytest.raises(ValueError, match=wrong):
        raise ValueError(problem)


def test_notes_are_what_the_changelog_says_of_the_version() -> None:
    assert notes("0.2.0", RELEASED) == "### Added\n\n- Sofas."
    with pytest.raises(ValueError, match=r"no '## \[0.4.0\]"):
        notes("0.4.0", RELEASED)
