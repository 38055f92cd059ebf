"""The bar of a step that goes through photos: how many, how fast, how long still."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

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

Item = TypeVar("Item")


class PhotosPerSecond(ProgressColumn):
    """The speed of late; at the end, of the whole."""

    def render(self, task: Task) -> Text:
        """Returns what the column shows; nothing until there is a speed."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.0f} photos/s", style="progress.data.speed")


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
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        PhotosPerSecond(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns) as bars:
        # Not `Progress.track`, which counts from 0 whatever it is told of the start.
        task = bars.add_task(description, total=total, completed=done)
        for item in work:
            yield item
            bars.advance(task)
