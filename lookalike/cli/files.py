"""Writes files aside and moves them into place, so that none is ever half there."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from lookalike.cli.console import CommandError


@dataclass(frozen=True)
class Failure:
    """A photo that could not be done, and why.

    Attributes:
        id: The photo's id.
        reason: Machine-readable, for example `INVALID_IMAGE`.
        message: For people.
    """

    id: str
    reason: str
    message: str


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yields a path beside `target` to write to; moves it there if the block ends well."""
    aside = target.with_name(f".{target.stem}-{os.getpid()}{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        aside.replace(target)
    except OSError as error:
        raise CommandError(f"{target}: cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            aside.unlink()


def write_failures(target: Path, failures: Sequence[Failure]) -> None:
    """Lists failures in a CSV of id, reason, message; removes an older list if there are none."""
    if not failures:
        target.unlink(missing_ok=True)
        return
    with (
        replacing(target) as aside,
        # A file's name may be no UTF-8; it is then shown as Python writes it.
        aside.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream,
    ):
        writer = csv.writer(stream)
        writer.writerow(("id", "reason", "message"))
        writer.writerows((each.id, each.reason, each.message) for each in failures)


def by_reason(failures: Sequence[Failure]) -> dict[str, int]:
    """Counts failures by reason, the most frequent first."""
    counts: dict[str, int] = {}
    for failure in failures:
        counts[failure.reason] = counts.get(failure.reason, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))
