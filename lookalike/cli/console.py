"""What a command says: data to stdout, all else to stderr, and the exit codes.

Knows no command. Colours and bars only where somebody looks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from lookalike.command import INTERRUPTED
from lookalike.prices import price_text


class ExitCode(IntEnum):
    """What a script can tell from a command's end; docs/cli.md lists them."""

    OK = 0
    FAILED = 1
    USAGE = 2
    SOME_FAILED = 3
    INTERRUPTED = INTERRUPTED


class CommandError(Exception):
    """A command cannot do what it was asked: one line for a person, and the exit code."""

    def __init__(self, message: str, code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.code = code


class UsageError(CommandError):
    """The options contradict each other, or one of them is wrong."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ExitCode.USAGE)


class PhotosPerSecond(ProgressColumn):
    """The speed of late; at the end, of the whole."""

    def render(self, task: Task) -> Text:
        """Returns what the column shows; nothing until there is a speed."""
        speed = task.finished_speed or task.speed
        shown = "" if speed is None else f"{speed:,.{0 if speed >= 10 else 1}f} photos/s"
        return Text(shown, style="progress.data.speed")


class Bar:
    """One task of a progress bar."""

    def __init__(self, progress: Progress, task: Any) -> None:
        self._progress = progress
        self._task = task

    def advance(self, count: int = 1) -> None:
        """Says that more is done."""
        self._progress.advance(self._task, count)


def say(text: str) -> None:
    """Tells a person something, on stderr."""
    _stderr().print(Text(printable(text)), soft_wrap=True)


def emit(content: Any) -> None:
    """Writes one line of JSON to stdout, in ASCII: no terminal or locale can spoil it."""
    print(json.dumps(content, allow_nan=False), flush=True)


def show_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()
) -> None:
    """Writes a table to stdout.

    Args:
        header: The columns' names.
        rows: Their cells, as they are to be read.
        right: Numbers of the columns whose cells stand at the right.
    """
    tall = any("\n" in cell for row in rows for cell in row)
    table = Table(*header, header_style="bold", show_lines=tall)
    for number, column in enumerate(table.columns):
        column.overflow = "fold"
        if number in right:
            column.justify = "right"
            column.no_wrap = True
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))  # a title may hold [markup]
    stdout = Console(highlight=False)
    if not stdout.is_terminal:  # a file or a pipe has no width; lines that are folded do not grep
        stdout.width = max(stdout.width, _natural(table, stdout))
    stdout.print(table)


def show_line(text: str) -> None:
    """Writes a line of data to stdout."""
    Console(highlight=False).print(Text(printable(text)), soft_wrap=True)


def has_room(columns: int) -> bool:
    """Says whether a table may be that wide: always, where it goes into a file or a pipe."""
    stdout = Console()
    return not stdout.is_terminal or stdout.width >= columns


@contextmanager
def progress_bar(description: str, *, total: int, done: int = 0) -> Iterator[Bar]:
    """Shows how far a command is: how many, how fast, how long still; nothing if nobody looks.

    Args:
        description: What is done.
        total: Photos, those included that an earlier run did.
        done: Number of those.
    """
    console = _stderr()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        PhotosPerSecond(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        # Not `Progress.track`, which counts from 0 whatever it is told of the start.
        task = progress.add_task(description, total=total, completed=done)
        yield Bar(progress, task)


def counted(number: int, thing: str, things: str = "") -> str:
    """Returns `1 photo`, `1,200 photos`."""
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"


def price(value: float | None, currency: str = "") -> str:
    """Returns a price with its currency, as people write it; nothing for none."""
    return "" if value is None else price_text(value, currency)


def per_cent(share: float) -> str:
    """Returns a probability as people say it: never that something is impossible, or certain."""
    if share < 0.01:
        return "<1 %"
    return ">99 %" if share > 0.99 else f"{share * 100:.0f} %"


def printable(text: str) -> str:
    """Returns a text without what would move the cursor: titles are written by strangers."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)


def _stderr() -> Console:
    return Console(stderr=True, highlight=False)


def _natural(table: Table, console: Console) -> int:
    options = console.options.update(max_width=10_000)
    return table.__rich_measure__(console, options).maximum
