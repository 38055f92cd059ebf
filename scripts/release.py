"""Holds version, CHANGELOG.md and tag to each other.

python -m scripts.release check              the version and the changelog agree
python -m scripts.release check --tag v1.2.3    and this is the tag of that version
python -m scripts.release notes              what the changelog says of the version, for its page
"""

from __future__ import annotations

import argparse
import re
import sys
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from packaging.version import InvalidVersion, Version

from lookalike import __version__

CHANGELOG = Path(__file__).resolve().parent.parent / "CHANGELOG.md"
UNRELEASED = "[Unreleased]"
_HEADING = re.compile(r"^## (.*)$", re.MULTILINE)
_RELEASE = re.compile(r"\[(?P<version>\S+)\] - (?P<day>\d{4}-\d\d-\d\d)")


class Release(NamedTuple):
    """A release, as its heading in the changelog says."""

    version: Version
    day: date


def sections(changelog: str) -> dict[str, str]:
    """Returns the text below each heading of the second level, in the file's order."""
    _, *parts = _HEADING.split(changelog)
    return {heading: text.strip() for heading, text in zip(parts[::2], parts[1::2], strict=True)}


def release_of(heading: str) -> Release:
    """Reads `[1.2.3] - 2026-01-31`; ValueError says what is wrong with it."""
    found = _RELEASE.fullmatch(heading)
    if found is None:
        raise ValueError(f"CHANGELOG.md: '## {heading}' is not '## [X.Y.Z] - YYYY-MM-DD'")
    try:
        return Release(Version(found["version"]), date.fromisoformat(found["day"]))
    except (InvalidVersion, ValueError) as error:
        raise ValueError(f"CHANGELOG.md: '## {heading}': {error}") from None


def problems(version: str, changelog: str, tag: str = "") -> list[str]:
    """Returns what does not agree, a sentence each.

    Between releases the version is above the newest release, of which it is the next; when it is
    released, `[Unreleased]` is empty and the newest heading is the version's.

    Args:
        version: Of the package.
        changelog: The text of CHANGELOG.md.
        tag: What is about to be released, such as `v1.2.3`; empty between releases.
    """
    parts = sections(changelog)
    first, *others = parts or [""]
    if first != UNRELEASED:
        return [f"CHANGELOG.md: its first heading is '## {first}', not '## {UNRELEASED}'"]
    try:
        releases = [release_of(heading) for heading in others]
        current = Version(version)
    except ValueError as error:
        return [str(error)]
    found = [
        f"CHANGELOG.md: {older.version} of {older.day} is below {newer.version} of {newer.day}, "
        "but not older"
        for newer, older in pairwise(releases)
        if older.version >= newer.version or older.day > newer.day
    ]
    newest = releases[0].version if releases else None
    if newest is not None and current < newest:
        found.append(f"lookalike.__version__ is {version}; CHANGELOG.md has released {newest}")
    if not tag:
        return found
    if tag != f"v{version}":
        found.append(f"the tag is {tag}; lookalike.__version__ is {version}, so v{version} is it")
    if newest != current:
        found.append(f"CHANGELOG.md: no '## [{version}] - YYYY-MM-DD' below '## {UNRELEASED}'")
    elif parts[UNRELEASED]:
        found.append(f"CHANGELOG.md: '## {UNRELEASED}' is not empty; move it below '[{version}]'")
    return found


def notes(version: str, changelog: str) -> str:
    """Returns what the changelog says of a version; ValueError if it does not know it."""
    for heading, text in sections(changelog).items():
        if heading.startswith(f"[{version}] "):
            return text
    raise ValueError(f"CHANGELOG.md: no '## [{version}] - YYYY-MM-DD'")


def main(arguments: list[str]) -> int:
    """Checks, or prints notes; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m scripts.release")
    parser.add_argument("command", choices=("check", "notes"))
    parser.add_argument("--tag", default="", help="what is about to be released, such as v1.2.3")
    options = parser.parse_args(arguments)
    changelog = CHANGELOG.read_text(encoding="utf-8")
    if options.command == "notes":
        try:
            print(notes(__version__, changelog))
        except ValueError as error:
            print(error, file=sys.stderr)
            return 1
        return 0
    found = problems(__version__, changelog, options.tag)
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
