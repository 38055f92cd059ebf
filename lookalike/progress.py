"""Shows how far long work is: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

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
from rich.text import Text

# Seconds between two lines: often enough to see that the work goes on, and no more than 120 lines
# an hour.
LINE_EVERY_S = 30.0

Item = TypeVar("Item")


class PhotosPerSecond(ProgressColumn):
    """Shows the recent speed; at the end, that of the whole."""

    def render(self, task: Task) -> Text:
        """Returns what the column shows; nothing until there is a speed."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.0f} photos/s", style="progress.data.speed")


class ProgressLines:
    """Prints a line every 30 seconds, and one at the end.

    Args:
        description: What is done.
        done: Steps that an earlier run did.
        unit: What a step is, in the plural.
    """

    def __init__(self, description: str, *, done: int = 0, unit: str = "photos") -> None:
        self._description = description
        self._unit = unit
        self._before = self._done = self._told = done
        self._total = 0
        self._started = self._printed = time.monotonic()

    def reach(self, done: int, total: int) -> None:
        """Takes note of how many steps are done, and prints a line if it is time for one."""
        self._done, self._total = done, total
        if time.monotonic() - self._printed >= LINE_EVERY_S:
            self.tell()

    def tell(self) -> None:
        """Prints a line now, unless the last one said as much."""
        if self._told == self._done:
            return
        self._told, self._printed = self._done, time.monotonic()
        speed = (self._done - self._before) / max(self._printed - self._started, 1e-9)
        line = f"{self._description}: {self._done}/{self._total} {self._unit}, {speed:.3g}/s"
        left = self._total - self._done
        print(line + (f", about {_clock(left / speed)} left" if left else ""), flush=True)  # noqa: T201


@contextmanager
def photo_progress(description: str, *, done: int = 0) -> Iterator[Callable[[int, int], None]]:
    """Yields what to call after each photo, with the photos done so far and those in all.

    Args:
        description: What is done.
        done: Photos that an earlier run did.
    """
    if not Console().is_terminal:  # rich would print nothing there before the end
        lines = ProgressLines(description, done=done)
        try:
            yield lines.reach
        finally:
            lines.tell()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        PhotosPerSecond(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns) as bars:
        # Not `Progress.track`, which counts from 0 whatever it is told of the start.
        task = bars.add_task(description, total=None, completed=done)
        yield lambda now, total: bars.update(task, completed=now, total=total)


def track_photos(
    work: Iterable[Item], description: str, *, total: int, done: int = 0
) -> Iterator[Item]:
    """Yields what `work` yields, once a photo, and shows how far it is.

    Args:
        work: Does the work as it is iterated.
        description: What is done.
        total: Photos, those included that an earlier run did.
        done: Number of those.
    """
    with photo_progress(description, done=done) as reach:
        for number, item in enumerate(work, done + 1):
            yield item
            reach(number, total)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
